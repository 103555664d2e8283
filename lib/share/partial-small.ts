/**
 * Small files: each comes whole in memory, is written under a temporary name and takes its own at once. By synchronous
 * calls, which for a few KiB cost a third less than handing each to another thread and back, in slices short enough
 * that the network is not kept waiting.
 */
import { closeSync, fchmodSync, fstatSync, fsyncSync, futimesSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HearsayError } from '../errors.js';
import { idOfSmall } from '../transfer/content.js';
import type { FinishOptions } from './partial.js';
import { temporaryName } from './partial-names.js';
import { createNow, removeNow } from './place-acts.js';
import { diskError } from './place-errors.js';
import type { Folder, Held } from './place-folder.js';
import { executableMode, isPassing, land, landNow, utimeOf } from './place-land.js';

/** Milliseconds of work before the event loop has a turn. */
const SLICE_MS = 5;

export interface SmallFile extends FinishOptions {
  /** Where it goes: a `Spot`'s. */
  folder: Folder;
  /** The final name in it: one segment. */
  name: string;
  /** The verified content. */
  data: Uint8Array;
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

/** A small file as it came: its content is yet to be verified. */
export interface Arrival extends SmallFile {
  /** The content id that it must have. */
  id: string;
}

/** Why a file was not written; undefined where it was. */
export type Outcome = HearsayError | undefined;

/** Writes many small files. The result has, in order, where each file is, or why it is not. */
export async function writeSmallBatch(files: readonly SmallFile[]): Promise<(string | HearsayError)[]> {
  const outcomes = await writeAll(files);
  return files.map(({ folder, name }, i) => outcomes[i] ?? join(folder.path, name));
}

/** As `writeSmallBatch`, but for what does not fit its content id: `wrong-content`, and nothing is written of it. */
export function writeVerified(files: readonly Arrival[]): Promise<Outcome[]> {
  return writeAll(files, ({ data, id, name }) => {
    if (idOfSmall(data) !== id) throw new HearsayError('wrong-content', `${name} does not fit its content id`);
  });
}

/** @param check throws what a file fails with before anything is done for it */
async function writeAll<F extends SmallFile>(files: readonly F[], check?: (file: F) => void): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let held: Held | undefined;
  let began = performance.now();
  try {
    for (const file of files) {
      try {
        check?.(file);
        if (held?.folder !== file.folder) {
          held?.release();
          held = undefined;
          held = file.folder.hold();
          // Once in a slice: an exchange between this look and the landing is no other than one just after the landing.
          file.folder.check();
        }
        const temporary = writeHidden(held, file);
        try {
          const settling = settle(held, file, temporary);
          if (settling) await settling;
          outcomes.push(undefined);
        } catch (error) {
          removeNow(held, temporary);
          throw error;
        }
      } catch (error) {
        outcomes.push(held?.failure(file.name, error) ?? diskError(error, join(file.folder.path, file.name)));
        held?.release();
        held = undefined;
      }
      if (performance.now() - began > SLICE_MS) {
        held?.release();
        held = undefined;
        await nextTurn();
        began = performance.now();
      }
    }
  } finally {
    held?.release();
  }
  return outcomes;
}

/** Writes the content under a temporary name, with its time and permissions. Returns that name. */
function writeHidden(held: Held, file: SmallFile): string {
  const temporary = temporaryName();
  const fd = createNow(held, temporary);
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
    removeNow(held, temporary);
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
function settle(held: Held, { name, overwrite }: SmallFile, temporary: string): Promise<void> | undefined {
  try {
    landNow(held, temporary, name, overwrite);
    return undefined;
  } catch (error) {
    if (!isPassing(error)) throw error;
    return land(held, { from: temporary, to: name, overwrite });
  }
}
