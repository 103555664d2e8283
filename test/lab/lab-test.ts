import test, { type ExecutionContext } from 'ava';
import { captureReason, Lab, type LinkOptions, labReason, tmuxReason } from './lab.js';

type Body = (t: ExecutionContext, lab: Lab) => Promise<void>;
type Links = number | readonly LinkOptions[];

/**
 * A test that needs a LAN. Where there can be none it says why and passes.
 * @param links one for each host, or how many hosts
 */
export function labTest(title: string, links: Links, body: Body): void {
  when(labReason, title, links, body);
}

/** The same, at one time with the others of its file: for tests that wait more than they work. */
export function besideTest(title: string, links: Links, body: Body): void {
  when(labReason, title, links, body, test);
}

/** A test that captures what crosses the LAN, with tshark. */
export function captureTest(title: string, links: Links, body: Body): void {
  when(captureReason, title, links, body);
}

/** A test at a terminal, by tmux. */
export function tmuxTest(title: string, links: Links, body: Body): void {
  when(tmuxReason, title, links, body);
}

function when(
  whyNot: () => string | undefined,
  title: string,
  links: Links,
  body: Body,
  add: typeof test | typeof test.serial = test.serial,
): void {
  add(title, async (t) => {
    const reason = whyNot();
    if (reason) {
      t.log(`skipped: ${reason}`);
      t.pass();
      return;
    }
    const lab = await Lab.open(links);
    t.teardown(() => lab.close());
    await body(t, lab);
  });
}
