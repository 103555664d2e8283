/**
 * Small files: each comes whole in memory, is written under a temporary name and takes its own at once. By synchronous
 * calls, which for a few KiB cost a third less than handing each to another thread and back, in slices short enough
 * that the network is not kept waiting.
 */
import { closeSync, fchmodSync, fstatSync, fsyncSync, futimesSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { HearsayError } from '../errors.js';
import type { FinishOptions } from './partial.js';
import { temporaryName } from './partial-names.js';
import { diskError, executableMode, isPassing, land, landNow, removeNow, utimeOf } from './place-land.js';

/** Milliseconds of work before the event loop has a turn. */
const SLICE_MS = 5;

export interface SmallFile extends FinishOptions {
  /** Absolute, made and checked. */
  folder: string;
  /** The final name in it: one segment. */
  name: string;
  /** The verified content. */
  data: Uint8Array;
  /** Looks whether the folder is still the checked one: `Spot.check`. */
  check?: () => void;
}

/**
 * Writes one small file.
 * @returns where it is, absolute
 * @throws HearsayError `exists`, `in-the-way`, `bad-name`, `disk-full`, `not-writable`; nothing of it is left then
 */
export async function writeSmall(file: SmallFile): Promise<string> {
  const [result] = await writeSmallBatch([file]);
  if (typeof result === 'string') return result;
  throw result;
}

/** Writes many small files. The result has, in order, where each file is, or why it is not. */
export async function writeSmallBatch(files: readonly SmallFile[]): Promise<(string | HearsayError)[]> {
  const results: (string | HearsayError)[] = [];
  let began = performance.now();
  for (const file of files) {
    const target = join(file.folder, file.name);
    try {
      const temporary = writeHidden(file);
      try {
        await settle(file, temporary, target);
        results.push(target);
      } catch (error) {
        removeNow(temporary);
        throw error;
      }
    } catch (error) {
      results.push(diskError(error, target));
    }
    if (performance.now() - began > SLICE_MS) {
      await nextTurn();
      began = performance.now();
    }
  }
  return results;
}

/** Writes the content under a temporary name, with its time and permissions. Returns that name, absolute. */
function writeHidden(file: SmallFile): string {
  file.check?.();
  const temporary = join(file.folder, temporaryName());
  const fd = openSync(temporary, 'wx');
  try {
    const { data } = file;
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
    const time = utimeOf(file.mtime);
    quietly(() => futimesSync(fd, time, time));
    if (file.executable && process.platform !== 'win32') {
      quietly(() => fchmodSync(fd, executableMode(fstatSync(fd).mode)));
    }
    if (file.sync) fsyncSync(fd);
  } catch (error) {
    removeNow(temporary);
    throw error;
  } finally {
    closeSync(fd);
  }
  return temporary;
}

/** Time and permissions that a disk cannot hold do not fail the file. */
function quietly(call: () => void): void {
  try {
    call();
  } catch {
    // The content is what counts.
  }
}

/** Only where Windows asks for patience does this wait. */
function settle(file: SmallFile, temporary: string, target: string): Promise<void> | undefined {
  try {
    landNow(temporary, target, file.overwrite);
    return undefined;
  } catch (error) {
    if (!isPassing(error)) throw error;
    return land(temporary, target, file.overwrite, () => file.check?.());
  }
}
