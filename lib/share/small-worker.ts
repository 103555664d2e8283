/** Runs in a thread of its own: verifies small files and writes them into folders that the other thread holds meanwhile. */
import { parentPort } from 'node:worker_threads';
import { type Arrival, writeVerified } from './partial-small.js';
import { Folder } from './place-folder.js';
import { FIELDS, readFlags, type WriteTask, type Written } from './small-task.js';

const ID_DIGITS = 64;

async function write({ number, folders, names, ids, fields, buffer }: WriteTask): Promise<Written> {
  const replaced = new Set<number>();
  const known = folders.map((lent, i) => Folder.lent(lent, () => replaced.add(i)));
  let at = 0;
  const files = names.map((name, i): Arrival => {
    const first = i * FIELDS;
    const size = fields[first + 1];
    const data = Buffer.from(buffer, at, size);
    at += size;
    const id = ids.slice(i * ID_DIGITS, (i + 1) * ID_DIGITS);
    const { executable, overwrite, sync } = readFlags(fields[first + 3]);
    return { folder: known[fields[first]], name, data, id, mtime: fields[first + 2], executable, overwrite, sync };
  });
  const failed: Written['failed'] = [];
  const outcomes = await writeVerified(files);
  for (let place = 0; place < outcomes.length; place++) {
    const why = outcomes[place];
    if (why) failed.push({ place, code: why.code, message: why.message });
  }
  return { number, failed, replaced: [...replaced], buffer };
}

let before: Promise<void> = Promise.resolve();

// One bundle after another, in the order of their coming.
parentPort?.on('message', (task: WriteTask) => {
  before = before.then(async () => parentPort?.postMessage(await write(task), [task.buffer]));
});
