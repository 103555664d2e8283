import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Code, HearsayError } from '../../lib/errors.js';
import { blake3 } from '../../lib/hash.js';
import { copyChunks, copyLocal, copySmall } from '../../lib/share/copy.js';
import { Partial } from '../../lib/share/partial.js';
import { lockText, ourLine, startOf } from '../../lib/share/partial-lock.js';
import { hiddenNames, isTemporary, temporaryName } from '../../lib/share/partial-names.js';
import { writeSmall } from '../../lib/share/partial-small.js';
import { discardPartial, findPartials, sweep } from '../../lib/share/partial-sweep.js';
import { Folder } from '../../lib/share/place-folder.js';
import { contentId } from '../../lib/transfer/content.js';

const CHUNK = 1024;
const DONE = { mtime: 1_600_000_000_001, executable: false, overwrite: false, sync: false };
const DAY = 24 * 60 * 60 * 1000;

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-partial-')));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A content: different in every chunk. */
function content(size: number, salt = 1): Buffer {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = (i * 31 + (i >> 10) * 7 + salt) & 255;
  return data;
}

function pieces(data: Buffer, chunkSize = CHUNK): Buffer[] {
  const count = Math.ceil(data.length / chunkSize);
  return Array.from({ length: count }, (_, i) => data.subarray(i * chunkSize, (i + 1) * chunkSize));
}

function manifest(data: Buffer, chunkSize = CHUNK): Buffer {
  return Buffer.concat(pieces(data, chunkSize).map((piece) => blake3(piece)));
}

function optionsFor(folder: string, data: Buffer, more: { id?: string; chunkSize?: number; name?: string } = {}) {
  return {
    folder: Folder.root(folder),
    name: 'file',
    path: 's/file',
    size: data.length,
    id: null,
    chunkSize: CHUNK,
    ...more,
  };
}

async function fill(partial: Partial, data: Buffer, chunks?: number[]): Promise<void> {
  const all = pieces(data, partial.chunkSize);
  await Promise.all((chunks ?? [...all.keys()]).map((chunk) => partial.write(chunk, all[chunk])));
}

function list(bits: { length: number; has(i: number): boolean }): number[] {
  return Array.from({ length: bits.length }, (_, i) => i).filter((i) => bits.has(i));
}

function coded(code: Code, message?: RegExp) {
  return { instanceOf: HearsayError, code, ...(message && { message }) };
}

test('a file is hidden until it is whole, then has its name, content, time and permissions', async (t) => {
  const folder = await folderFor(t);
  const data = content(5 * CHUNK + 3);
  const name = 'n'.repeat(255);
  const partial = await Partial.open(optionsFor(folder, data, { name }));
  t.is(partial.claimed.count, 0);
  await fill(partial, data);
  t.true(fs.readdirSync(folder).every((entry) => /^\.hearsay-[0-9a-f]{16}\.(part|journal|lock)$/.test(entry)));
  t.deepEqual(await partial.read(5), data.subarray(5 * CHUNK));
  const file = await partial.finish({ ...DONE, executable: true });
  t.is(file, path.join(folder, name));
  t.deepEqual(fs.readFileSync(file), data);
  t.is(Math.floor(fs.statSync(file).mtimeMs), DONE.mtime);
  if (process.platform !== 'win32') t.is(fs.statSync(file).mode & 0o111, (fs.statSync(file).mode & 0o444) >> 2);
  t.deepEqual(fs.readdirSync(folder), [name]);
  await t.throwsAsync(partial.write(0, data.subarray(0, CHUNK)), coded('interrupted'));
  await t.throwsAsync(partial.read(0), coded('interrupted'));
});

test('an empty file is whole at once', async (t) => {
  const folder = await folderFor(t);
  const partial = await Partial.open(optionsFor(folder, Buffer.alloc(0)));
  t.is(fs.statSync(await partial.finish(DONE)).size, 0);
  t.deepEqual(fs.readdirSync(folder), ['file']);
});

test('a partial with a chunk missing takes no name and is kept', async (t) => {
  const folder = await folderFor(t);
  const data = content(3 * CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  await fill(partial, data, [0, 2]);
  await t.throwsAsync(partial.finish(DONE), coded('wrong-content', /1 chunks are missing/));
  t.false(fs.existsSync(path.join(folder, 'file')));
  const again = await Partial.open(optionsFor(folder, data));
  t.deepEqual(list(again.claimed), [0, 2]);
  await again.discard();
  t.deepEqual(fs.readdirSync(folder), []);
});

test('resume: claims are nothing until they are verified', async (t) => {
  const folder = await folderFor(t);
  const data = content(9 * CHUNK + 1);
  const first = await Partial.open(optionsFor(folder, data));
  await fill(first, data, [0, 3, 9]);
  await first.keep();
  const partial = await Partial.open(optionsFor(folder, data));
  t.deepEqual(list(partial.claimed), [0, 3, 9]);
  t.is(partial.have.count, 0);
  await t.throwsAsync(partial.read(3), coded('not-found'));
  const { have, bytes } = await partial.verify(manifest(data));
  t.deepEqual(list(have), [0, 3, 9]);
  t.is(bytes, 2 * CHUNK + 1);
  t.deepEqual(await partial.read(3), data.subarray(3 * CHUNK, 4 * CHUNK));
  await fill(partial, data, [1, 2, 4, 5, 6, 7, 8]);
  t.deepEqual(fs.readFileSync(await partial.finish(DONE)), data);
  t.deepEqual(fs.readdirSync(folder), ['file']);
});

test('a flipped byte drops exactly its chunk, for good', async (t) => {
  const folder = await folderFor(t);
  const data = content(6 * CHUNK);
  const part = path.join(folder, hiddenNames('file').part);
  const first = await Partial.open(optionsFor(folder, data));
  await fill(first, data);
  await first.keep();
  const bytes = fs.readFileSync(part);
  bytes[4 * CHUNK - 1] ^= 1;
  fs.writeFileSync(part, bytes);
  const second = await Partial.open(optionsFor(folder, data));
  t.is(second.claimed.count, 6);
  t.deepEqual(list((await second.verify(manifest(data))).have), [0, 1, 2, 4, 5]);
  await second.keep();
  const third = await Partial.open(optionsFor(folder, data));
  t.deepEqual(list(third.claimed), [0, 1, 2, 4, 5]);
  await third.discard();
});

test('a journal cut at every byte never claims too much, and what follows stands', async (t) => {
  const folder = await folderFor(t);
  const data = content(4 * CHUNK);
  const journal = path.join(folder, hiddenNames('file').journal);
  const first = await Partial.open(optionsFor(folder, data));
  const pristine = fs.readFileSync(journal).length;
  for (const chunk of [2, 0, 3]) await fill(first, data, [chunk]);
  await first.keep();
  const whole = fs.readFileSync(journal);
  const part = path.join(folder, hiddenNames('file').part);
  const content0 = fs.readFileSync(part);
  for (let length = 0; length <= whole.length; length++) {
    fs.writeFileSync(journal, whole.subarray(0, length));
    fs.writeFileSync(part, content0);
    const partial = await Partial.open(optionsFor(folder, data));
    const records = Math.floor((length - pristine) / 16);
    // With its first line torn a journal says nothing, and every chunk is looked at.
    const expected = length < pristine ? [0, 1, 2, 3] : [2, 0, 3].slice(0, records).sort();
    t.deepEqual(list(partial.claimed), expected, `cut at ${length}`);
    const { have } = await partial.verify(manifest(data));
    t.deepEqual(list(have), length < pristine ? [0, 2, 3] : expected, `cut at ${length}`);
    await fill(partial, data, [1]);
    await partial.keep();
    const again = await Partial.open(optionsFor(folder, data));
    t.deepEqual(list(again.claimed), [...new Set([...list(have), 1])].sort(), `after a cut at ${length}`);
    await again.keep();
  }
});

test('a journal with any byte flipped loses at most that record', async (t) => {
  const folder = await folderFor(t);
  const data = content(3 * CHUNK);
  const journal = path.join(folder, hiddenNames('file').journal);
  const first = await Partial.open(optionsFor(folder, data));
  const pristine = fs.readFileSync(journal).length;
  await fill(first, data, [0]);
  await fill(first, data, [2]);
  await first.keep();
  const whole = fs.readFileSync(journal);
  const part = fs.readFileSync(path.join(folder, hiddenNames('file').part));
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole);
    bytes[at] ^= 0x10;
    fs.writeFileSync(journal, bytes);
    fs.writeFileSync(path.join(folder, hiddenNames('file').part), part);
    const partial = await Partial.open(optionsFor(folder, data));
    const expected = at < pristine ? [0, 1, 2] : at < pristine + 16 ? [2] : [0];
    t.deepEqual(list(partial.claimed), expected, `byte ${at}`);
    await partial.keep();
  }
});

test('another version keeps the chunks that did not change', async (t) => {
  const folder = await folderFor(t);
  const old = content(5 * CHUNK + 10);
  const first = await Partial.open(optionsFor(folder, old, { id: 'a'.repeat(64) }));
  await fill(first, old);
  await first.keep();
  // Longer: the short last chunk is now another; one in the middle changed.
  const longer = Buffer.concat([old, content(2 * CHUNK, 9)]);
  longer[2 * CHUNK + 5] ^= 1;
  const second = await Partial.open(optionsFor(folder, longer, { id: 'b'.repeat(64) }));
  t.deepEqual(list(second.claimed), [0, 1, 2, 3, 4]);
  t.deepEqual(list((await second.verify(manifest(longer))).have), [0, 1, 3, 4]);
  await second.keep();
  // Shorter, to the middle of a chunk.
  const shorter = longer.subarray(0, CHUNK + 7);
  const third = await Partial.open(optionsFor(folder, shorter));
  t.deepEqual(list((await third.verify(manifest(shorter))).have), [0, 1]);
  t.deepEqual(fs.readFileSync(await third.finish(DONE)), Buffer.from(shorter));
});

test('another chunk size keeps what covers whole chunks', async (t) => {
  const folder = await folderFor(t);
  const data = content(9 * CHUNK);
  const first = await Partial.open(optionsFor(folder, data));
  await fill(first, data, [0, 1, 2, 3, 5, 6, 7, 8]);
  await first.keep();
  const coarse = await Partial.open(optionsFor(folder, data, { chunkSize: 4 * CHUNK }));
  t.deepEqual(list(coarse.claimed), [0, 2]);
  t.deepEqual(list((await coarse.verify(manifest(data, 4 * CHUNK))).have), [0, 2]);
  await coarse.keep();
  const fine = await Partial.open(optionsFor(folder, data, { chunkSize: CHUNK / 2 }));
  t.deepEqual(list((await fine.verify(manifest(data, CHUNK / 2))).have), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17]);
  await fine.discard();
});

test('a manifest or a chunk of the wrong length is refused', async (t) => {
  const folder = await folderFor(t);
  const data = content(2 * CHUNK + 1);
  const partial = await Partial.open(optionsFor(folder, data));
  await t.throwsAsync(partial.verify(new Uint8Array(32)), coded('wrong-content'));
  for (const [chunk, length] of [
    [0, CHUNK - 1],
    [0, CHUNK + 1],
    [2, 2],
    [3, 0],
    [-1, CHUNK],
    [0.5, CHUNK],
  ]) {
    await t.throwsAsync(partial.write(chunk, Buffer.alloc(length)), coded('wrong-content'));
  }
  t.is(partial.claimed.count, 0);
  await partial.keep();
  t.deepEqual(fs.readdirSync(folder), [], 'a partial that holds nothing is not kept');
  await t.throwsAsync(Partial.open({ ...optionsFor(folder, data), size: 2 ** 50 }), coded('limit'));
  await t.throwsAsync(Partial.open(optionsFor(folder, data, { name: '../x' })), coded('bad-name'));
});

test('a file that appeared meanwhile is not clobbered, and the partial is kept whole', async (t) => {
  const folder = await folderFor(t);
  const data = content(2 * CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  await fill(partial, data);
  fs.writeFileSync(path.join(folder, 'file'), 'theirs');
  await t.throwsAsync(partial.finish(DONE), coded('exists'));
  t.is(fs.readFileSync(path.join(folder, 'file'), 'utf8'), 'theirs');
  const again = await Partial.open(optionsFor(folder, data));
  t.true((await again.verify(manifest(data))).have.isFull);
  await again.finish({ ...DONE, overwrite: true, sync: true });
  t.deepEqual(fs.readFileSync(path.join(folder, 'file')), data);
  t.deepEqual(fs.readdirSync(folder), ['file']);
});

test('planted links are neither followed nor believed', async (t) => {
  const folder = await folderFor(t);
  const outside = await folderFor(t);
  const data = content(2 * CHUNK);
  const names = hiddenNames('file');
  for (const name of [names.part, names.journal]) {
    fs.writeFileSync(path.join(outside, name), 'theirs');
    fs.symlinkSync(path.join(outside, name), path.join(folder, name));
  }
  const partial = await Partial.open(optionsFor(folder, data));
  t.is(partial.claimed.count, 0);
  await fill(partial, data);
  await partial.finish(DONE);
  for (const name of fs.readdirSync(outside)) t.is(fs.readFileSync(path.join(outside, name), 'utf8'), 'theirs');
  t.true(fs.lstatSync(path.join(folder, 'file')).isFile());
  t.deepEqual(fs.readdirSync(folder), ['file']);

  fs.symlinkSync(path.join(outside, 'made'), path.join(folder, names.lock));
  await t.throwsAsync(Partial.open(optionsFor(folder, data)), { instanceOf: HearsayError });
  t.false(fs.existsSync(path.join(outside, 'made')));
});

test('a partial that a crash left with the final name too is not written to', async (t) => {
  const folder = await folderFor(t);
  const data = content(2 * CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  await fill(partial, data);
  await partial.keep();
  fs.linkSync(path.join(folder, hiddenNames('file').part), path.join(folder, 'file'));
  const next = content(2 * CHUNK, 77);
  const again = await Partial.open(optionsFor(folder, next));
  await fill(again, next);
  t.deepEqual(fs.readFileSync(path.join(folder, 'file')), data);
  await again.discard();
  t.deepEqual(fs.readdirSync(folder), ['file']);
});

test('a second fetch to the same place is told who is first', async (t) => {
  const folder = await folderFor(t);
  const data = content(2 * CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  await t.throwsAsync(Partial.open(optionsFor(folder, data)), coded('busy', /this process/));
  await t.throwsAsync(discardPartial(Folder.root(folder), 'file'), coded('busy'));
  const other = await Partial.open(optionsFor(folder, data, { name: 'other' }));
  await other.discard();
  await partial.discard();
  await (await Partial.open(optionsFor(folder, data))).discard();
  t.deepEqual(fs.readdirSync(folder), []);
});

test('a lock stands while its process lives, and not when another has that number', async (t) => {
  const folder = await folderFor(t);
  const data = content(CHUNK);
  const lock = path.join(folder, hiddenNames('file').lock);
  const ours = ourLine('0123456789abcdef');
  const old = new Date(Date.now() - DAY);
  const opened = async () => (await Partial.open(optionsFor(folder, data))).discard();
  const gone = spawn(process.execPath, ['-e', '']);
  await once(gone, 'exit');

  fs.writeFileSync(lock, lockText({ ...ours, pid: gone.pid ?? 0 }));
  await t.notThrowsAsync(opened(), 'a process that is no more');
  fs.writeFileSync(lock, lockText({ ...ours, started: 'then', born: 1 }));
  await t.notThrowsAsync(opened(), 'an earlier process with our number');
  fs.writeFileSync(lock, lockText(ours));
  await t.throwsAsync(opened(), coded('busy'), 'another thread of ours');
  if (ours.started !== '-') {
    fs.writeFileSync(lock, lockText({ ...ours, pid: process.ppid, started: 'then' }));
    await t.notThrowsAsync(opened(), 'another process with that number');
  }
  fs.writeFileSync(lock, lockText({ ...ours, pid: process.ppid, started: '-' }));
  await t.throwsAsync(opened(), coded('busy', new RegExp(`process ${process.ppid} `)), 'alive and unknown');
  fs.utimesSync(lock, old, old);
  await t.notThrowsAsync(opened(), 'alive, unknown, and silent');
  fs.writeFileSync(lock, lockText({ ...ours, host: 'elsewhere/' }));
  await t.throwsAsync(opened(), coded('busy', /on elsewhere/), 'of another machine');
  fs.utimesSync(lock, old, old);
  await t.notThrowsAsync(opened(), 'of another machine, and silent');
  fs.writeFileSync(lock, '');
  await t.throwsAsync(opened(), coded('busy'), 'just being written');
  fs.utimesSync(lock, old, old);
  await t.notThrowsAsync(opened(), 'never written');
  t.deepEqual(fs.readdirSync(folder), []);
});

test('a process that was killed but not yet buried counts as dead', async (t) => {
  if (process.platform !== 'linux') return t.pass('only Linux tells');
  const folder = await folderFor(t);
  // The shell becomes a program that never asks after its child, and only then may the child end.
  const script = 'exec 3<&0; (read x <&3) & echo $!; exec sleep 60';
  const parent = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => parent.kill('SIGKILL'));
  const [said] = await once(parent.stdout, 'data');
  const pid = Number(`${said}`);
  while (fs.readFileSync(`/proc/${parent.pid}/comm`, 'utf8') !== 'sleep\n') await new Promise(setImmediate);
  parent.stdin.end('now\n');
  while (startOf(pid) !== 'ended') await new Promise(setImmediate);
  fs.writeFileSync(path.join(folder, hiddenNames('file').lock), lockText({ ...ourLine('0123456789abcdef'), pid }));
  await t.notThrowsAsync(async () => (await Partial.open(optionsFor(folder, content(CHUNK)))).discard());
});

test('one whose lock was taken from it finishes nothing', async (t) => {
  const folder = await folderFor(t);
  const data = content(CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  await fill(partial, data);
  fs.writeFileSync(path.join(folder, hiddenNames('file').lock), lockText(ourLine('0123456789abcdef')));
  await t.throwsAsync(partial.finish(DONE), coded('busy'));
  t.false(fs.existsSync(path.join(folder, 'file')));
  t.true(fs.existsSync(path.join(folder, hiddenNames('file').lock)), 'the other one keeps its lock');
});

test('one whose folder was removed, or exchanged for another, says so', async (t) => {
  for (const isExchanged of [false, true]) {
    const folder = path.join(await folderFor(t), 'in');
    fs.mkdirSync(folder);
    const data = content(CHUNK);
    const partial = await Partial.open(optionsFor(folder, data));
    await fill(partial, data);
    fs.rmSync(folder, { recursive: true });
    if (isExchanged) fs.mkdirSync(folder);
    await t.throwsAsync(partial.finish(DONE), coded('in-the-way', isExchanged ? /replaced|another/ : /was removed/));
  }
});

/** A process that writes chunks for ever, and says of each when it is written. */
const WRITER = `
  const [module, folders, root] = process.argv.slice(1);
  const { Partial } = await import(module);
  const folder = (await import(folders)).Folder.root(root);
  const size = 4096 * 65536;
  const partial = await Partial.open({ folder, name: 'file', path: 's/file', size, id: null, chunkSize: 65536 });
  for (let chunk = 0; chunk < 4096; chunk++) {
    await partial.write(chunk, Buffer.alloc(65536, chunk & 255));
    process.stdout.write(chunk + '\\n');
  }
  setInterval(() => {}, 1000);
`;

test('after kill -9 every chunk that was reported is there, and the lock is not', async (t) => {
  const folder = await folderFor(t);
  const module = new URL('../../lib/share/partial.js', import.meta.url).href;
  const folders = new URL('../../lib/share/place-folder.js', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, module, folders, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const options = {
    folder: Folder.root(folder),
    name: 'file',
    path: 's/file',
    size: 4096 * 65536,
    id: null,
    chunkSize: 65536,
  };
  let said = '';
  let met = false;
  for await (const data of child.stdout) {
    said += data;
    if (!met && said.length > 20) {
      met = true;
      await t.throwsAsync(Partial.open(options), coded('busy', new RegExp(`process ${child.pid} `)));
    }
    if (said.split('\n').length > 50) child.kill('SIGKILL');
  }
  if (child.signalCode === null) await once(child, 'exit');
  const reported = said.split('\n').length - 1;
  t.true(reported >= 50 && reported < 4096, `${reported}`);
  const hashes = Buffer.concat(Array.from({ length: 4096 }, (_, i) => blake3(Buffer.alloc(65536, i & 255))));
  const partial = await Partial.open(options);
  const { have } = await partial.verify(hashes);
  for (let chunk = 0; chunk < reported; chunk++) if (!have.has(chunk)) t.fail(`chunk ${chunk} is lost`);
  t.true(have.count < 4096);
  await partial.discard();
});

test('a full disk: a coded error, and what was there stays', async (t) => {
  const folder = await folderFor(t);
  try {
    if (process.platform !== 'linux') throw new Error('not Linux');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    t.log('skipped: needs root on Linux, for a small disk');
    return t.pass();
  }
  try {
    const data = content(512 * 1024);
    const options = optionsFor(folder, data, { chunkSize: 16 * 1024 });
    const partial = await Partial.open(options);
    const all = pieces(data, 16 * 1024);
    let written = 0;
    const error = await t.throwsAsync(
      async () => {
        for (; written < all.length; written++) await partial.write(written, all[written]);
      },
      coded('disk-full', /no space left/),
    );
    t.regex(error?.message ?? '', /file: no space left on the disk$/);
    t.true(written > 5 && written < 16, `${written}`);
    t.is(partial.claimed.count, written);
    await t.throwsAsync(
      writeSmall({ folder: Folder.root(folder), name: 'small', data: Buffer.alloc(128 * 1024), ...DONE }),
      coded('disk-full'),
    );
    t.false(fs.existsSync(path.join(folder, 'small')));
    await partial.keep();
    t.true(fs.readdirSync(folder).every((entry) => !isTemporary(entry)));
    execFileSync('mount', ['-o', 'remount,size=2m', folder]);
    const again = await Partial.open(options);
    t.is((await again.verify(manifest(data, 16 * 1024))).have.count, written);
    await fill(again, data);
    t.deepEqual(fs.readFileSync(await again.finish(DONE)), data);
  } finally {
    execFileSync('umount', ['-l', folder]);
  }
});

test('a chunk whose writing fails is not there; the others are', async (t) => {
  const folder = await folderFor(t);
  const data = content(3 * CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  await fill(partial, data, [0, 1]);
  // The journal is gone and its place taken: chunks that were noted stand, the next cannot be noted.
  await partial.keep();
  const again = await Partial.open(optionsFor(folder, data));
  await again.verify(manifest(data));
  const journal = path.join(folder, hiddenNames('file').journal);
  fs.renameSync(journal, `${journal}-aside`);
  fs.mkdirSync(journal);
  await t.throwsAsync(again.write(2, data.subarray(2 * CHUNK)), { instanceOf: HearsayError });
  await t.throwsAsync(again.write(0, data.subarray(0, CHUNK)), { instanceOf: HearsayError });
  t.deepEqual(list(again.have), [1]);
  t.deepEqual(list(again.claimed), [1]);
  fs.rmdirSync(journal);
  fs.renameSync(`${journal}-aside`, journal);
  await again.write(2, data.subarray(2 * CHUNK));
  await again.write(0, data.subarray(0, CHUNK));
  t.deepEqual(fs.readFileSync(await again.finish(DONE)), data);
});

test('closing waits for what is being written', async (t) => {
  const folder = await folderFor(t);
  const data = content(64 * CHUNK);
  const partial = await Partial.open(optionsFor(folder, data));
  const writing = fill(partial, data);
  await partial.keep();
  await writing;
  const again = await Partial.open(optionsFor(folder, data));
  t.is((await again.verify(manifest(data))).have.count, 64);
  const verifying = again.verify(manifest(data));
  const stopped = t.throwsAsync(verifying, coded('interrupted'));
  await again.keep();
  await stopped;
});

test('a week later a partial is forgotten, a day later a temporary file; nothing else is touched', async (t) => {
  const folder = await folderFor(t);
  const data = content(2 * CHUNK);
  const kept = await Partial.open(optionsFor(folder, data));
  await fill(kept, data, [0]);
  await kept.keep();
  const active = await Partial.open(optionsFor(folder, data, { name: 'active' }));
  const names = hiddenNames('file');
  const temporary = temporaryName();
  for (const name of [temporary, 'file.txt', '.hearsayignore', '.hearsay-notes'])
    fs.writeFileSync(path.join(folder, name), 'x');
  fs.mkdirSync(path.join(folder, '.hearsay-0123456789abcdef.part'));
  const now = Date.now();
  t.deepEqual(await sweep(Folder.root(folder), now), []);
  t.deepEqual(await sweep(Folder.root(folder), now + 2 * DAY), [temporary]);
  t.deepEqual(await sweep(Folder.root(folder), now + 6.9 * DAY), []);
  t.deepEqual((await sweep(Folder.root(folder), now + 7.1 * DAY)).sort(), [names.journal, names.part].sort());
  await active.discard();
  t.deepEqual(fs.readdirSync(folder).sort(), [
    '.hearsay-0123456789abcdef.part',
    '.hearsay-notes',
    '.hearsayignore',
    'file.txt',
  ]);
});

test('partials are found by what their journals say, and discarded by name', async (t) => {
  const folder = await folderFor(t);
  const data = content(2 * CHUNK + 5);
  const partial = await Partial.open(optionsFor(folder, data));
  await fill(partial, data, [0, 2]);
  await partial.keep();
  const file = path.join(folder, hiddenNames('file').part);
  t.deepEqual(await findPartials(Folder.root(folder)), [
    { name: 'file', path: 's/file', id: null, size: data.length, bytes: CHUNK + 5, file },
  ]);
  t.false(await discardPartial(Folder.root(folder), 'other'));
  t.true(await discardPartial(Folder.root(folder), 'file'));
  t.false(await discardPartial(Folder.root(folder), 'file'));
  t.deepEqual(fs.readdirSync(folder), []);
});

test('a file of this machine fills the partial, and is not believed', async (t) => {
  const folder = await folderFor(t);
  const data = content(4 * CHUNK + 1);
  const from = path.join(folder, 'from');
  fs.writeFileSync(from, data, { mode: 0o400 });
  const whole = await copyLocal(from, optionsFor(folder, data), manifest(data));
  t.true(whole.have.isFull);
  t.deepEqual(fs.readFileSync(await whole.finish(DONE)), data);
  fs.unlinkSync(path.join(folder, 'file'));

  const changed = Buffer.from(data);
  changed[2 * CHUNK] ^= 1;
  const some = await copyLocal(from, optionsFor(folder, changed), manifest(changed));
  t.deepEqual(list(some.have), [0, 1, 3, 4]);
  await some.discard();
  const none = await copyLocal(path.join(folder, 'gone'), optionsFor(folder, data), manifest(data));
  t.is(none.have.count, 0);
  t.is(await copyChunks(from, none, manifest(data)), data.length);
  t.is(await copyChunks(from, none, manifest(data)), 0);
  await none.discard();
});

test('a small file of this machine is copied if it is still that one', async (t) => {
  const folder = await folderFor(t);
  const data = content(100);
  const id = contentId(100, blake3(data));
  const from = path.join(folder, 'from');
  const to = { folder: Folder.root(folder), name: 'to', ...DONE };
  fs.writeFileSync(from, data);
  t.is(await copySmall(from, id, 100, to), path.join(folder, 'to'));
  t.deepEqual(fs.readFileSync(path.join(folder, 'to')), data);
  await t.throwsAsync(copySmall(from, id, 100, to), coded('exists'));
  fs.writeFileSync(from, content(100, 2));
  t.is(await copySmall(from, id, 100, { ...to, name: 'two' }), undefined);
  t.is(await copySmall(path.join(folder, 'gone'), id, 100, { ...to, name: 'two' }), undefined);
  t.is(await copySmall(folder, id, 100, { ...to, name: 'two' }), undefined);
  t.deepEqual(fs.readdirSync(folder).sort(), ['from', 'to']);
});
