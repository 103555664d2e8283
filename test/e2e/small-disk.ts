import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';

const run = promisify(execFile);

/** A small disk of its own; false, with a reason, where that cannot be. */
export async function disk(t: ExecutionContext, at: string, options: string): Promise<boolean> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    t.log('skipped: only root on Linux can mount a small disk');
    return false;
  }
  try {
    await run('mount', ['-t', 'tmpfs', '-o', options, 'hearsay-e2e', at]);
  } catch (thrown) {
    t.log(`skipped: ${thrown}`);
    return false;
  }
  t.teardown(() => run('umount', ['-l', at]));
  return true;
}
