import test, { type ExecutionContext } from 'ava';
import { Lab, type LinkOptions, labReason } from './lab.js';

/**
 * A test that needs a LAN. Where there can be none it says why and passes.
 * @param links one for each host, or how many hosts
 */
export function labTest(
  title: string,
  links: number | readonly LinkOptions[],
  body: (t: ExecutionContext, lab: Lab) => Promise<void>,
): void {
  test.serial(title, async (t) => {
    const reason = labReason();
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
