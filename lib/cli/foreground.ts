/** Whether what is typed at the terminal is for this process. Asked by processIo. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * Whether this process is in the terminal's foreground: in the background one that reads what is typed is stopped by the
 * system. Where that cannot be found out, it is taken not to be. Never rejects.
 */
export async function isForeground(): Promise<boolean> {
  if (process.platform === 'win32') return true;
  try {
    const [group, foreground] = process.platform === 'linux' ? await fromProc() : await fromPs();
    return group === foreground;
  } catch {
    return false;
  }
}

/** The number of this process's group, and of the one in its terminal's foreground. */
type Groups = [string, string];

async function fromProc(): Promise<Groups> {
  const text = await readFile('/proc/self/stat', 'utf8');
  // What comes before is the program's name, which may hold anything: state, parent, group, session, terminal, foreground.
  const [, , group, , , foreground] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return [group, foreground];
}

async function fromPs(): Promise<Groups> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pgid=,tpgid=', '-p', `${process.pid}`]);
  const [group = '', foreground = '?'] = stdout.trim().split(/\s+/);
  return [group, foreground];
}
