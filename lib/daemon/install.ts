/** Puts the system's service of the daemon in force, and undoes that: the file, and the commands of the system. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asHearsayError, HearsayError, reasonOf } from '../errors.js';
import type { Service, Step } from './service.js';

/** The system may take its time: it starts what it is told of. */
const STEP_MS = 330_000;

/** Whether a program is there and runs. */
export function works(program: string, ...args: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 5000, windowsHide: true }, (error) => resolve(error === null));
  });
}

/** Runs commands of the system one after another. @throws HearsayError `failed` with the one that failed, and why */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  for (const { words, lenient } of steps) {
    const [program, ...args] = words;
    await new Promise<void>((resolve, reject) => {
      execFile(program, args, { timeout: STEP_MS, windowsHide: true }, (error, stdout, stderr) => {
        if (!error || lenient) return resolve();
        const said = `${stderr}\n${stdout}`.trim().split('\n')[0] || error.message.split('\n')[0];
        const why = error.code === 'ENOENT' ? `there is no ${program} on this system` : said;
        reject(new HearsayError('failed', `${words.join(' ')}: ${why}`, { cause: error }));
      });
    });
  }
}

/** Writes the file of a service, readable by its owner only. @throws HearsayError `not-writable`, `disk-full` */
export async function writeService({ file, text, encoding }: Service): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { encoding, mode: 0o600 });
    await chmod(file, 0o600);
  } catch (thrown) {
    const error = asHearsayError(thrown, 'not-writable');
    throw new HearsayError(error.code, `${file}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

/** Takes it out of force and its file away. @throws HearsayError `not-writable` */
export async function removeService({ file, disable, after }: Service): Promise<void> {
  await runSteps(disable);
  try {
    await rm(file, { force: true });
  } catch (thrown) {
    throw new HearsayError('not-writable', `${file}: ${reasonOf(thrown)}`, { cause: thrown });
  }
  await runSteps(after);
}
