/** The command as a process of its own, among the peers of a test. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabProcess } from '../lab/process.js';
import { type Lan, LOOPBACK, NO_CONFIG } from './lan.js';

const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));

/** How long a child may take for anything, ms: the machine may be busy. */
export const CHILD_MS = 30_000;

/**
 * Starts `hearsay` with a state folder of its own; ended with the test.
 * @param args the command and its options, those that keep it among the peers of the test left out
 */
export async function hearsay(lan: Lan, ...args: string[]): Promise<LabProcess> {
  const state = join(await lan.fresh('child'), 'state');
  const given = (option: string, value: string) => (args.includes(option) ? [] : [option, value]);
  const own = [...given('--state', state), '--config', NO_CONFIG, ...given('--port', '0')];
  const near = args.includes('--no-multicast') ? [] : ['--multicast', lan.group];
  const all = [PROGRAM, ...args, ...own, ...near, '--interface', LOOPBACK];
  const child = new LabProcess(
    process.execPath,
    all,
    { env: { ...process.env } as Record<string, string> },
    args.join(' '),
  );
  lan.context.teardown(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  return child;
}

/** What it wrote with --json, of one kind of event. */
export function told(child: LabProcess, event: string): Record<string, unknown>[] {
  return child.stdout.map((line) => JSON.parse(line) as Record<string, unknown>).filter((e) => e.event === event);
}

/** The code of the errors that it told of with --json. */
export function errors(child: LabProcess): string[] {
  return child.stdout
    .map((line) => JSON.parse(line) as { error?: { code: string } })
    .flatMap(({ error }) => (error ? [error.code] : []));
}
