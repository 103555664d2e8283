/** What is on this machine already is not fetched again: by one-shots, which share nothing and remember what they fetched. */
import { open, readFile, rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { assertContent, content, get, Lan, MIB } from './lan.js';

const SIZE = 4 * MIB;

test('what one-shots of a state folder fetched is copied under another name, and never believed', async (t) => {
  const lan = await Lan.make(t);
  const [data, other] = [content(SIZE, 61), content(SIZE, 62)];
  const changed = Buffer.from(data);
  changed[MIB] ^= 1;
  const files = {
    'share/a': data,
    'share/b': data,
    'share/c': data,
    'share/d': data,
    'share/e': other,
    'share/f': changed,
  };
  const source = await lan.peer('source', { files });
  for (const path of Object.keys(files)) await source.hashed(path);
  const state = await lan.fresh('state');
  const fetch = async (path: string, to: string, in_ = state) => {
    const shot = await lan.peer('shot', { passive: true, state: in_ });
    const outcome = await get(shot, path, `${to}/`);
    t.deepEqual(outcome.codes, [], path);
    await shot.peer.stop();
    return outcome.received;
  };
  const inbox = await lan.fresh('in');
  t.is(await fetch('share/a', inbox), SIZE);
  const elsewhere = await lan.fresh('elsewhere');
  t.is(await fetch('share/b', elsewhere), 0, 'where it landed is remembered');
  await assertContent(t, join(elsewhere, 'b'), data);
  t.is(
    await fetch('share/b', await lan.fresh('far'), await lan.fresh('another')),
    SIZE,
    'another state folder knows nothing',
  );

  // Neither is where it was left, but one lies beside the destination.
  await rename(join(inbox, 'a'), join(inbox, 'renamed'));
  const times = { at: new Date(1_600_000_000_000) };
  const file = await open(join(elsewhere, 'b'), 'r+');
  await file.write(Buffer.from([data[0] ^ 1]), 0, 1, 0);
  await file.close();
  await utimes(join(elsewhere, 'b'), times.at, times.at);
  t.is(await fetch('share/c', inbox), 0, 'a file of that size beside it has it');
  await assertContent(t, join(inbox, 'c'), data);
  t.is(await fetch('share/e', inbox), SIZE, 'those of that size that have nothing of it give nothing');
  const part = await fetch('share/f', inbox);
  t.true(part > 0 && part < MIB, `${part} bytes of another version`);
  await assertContent(t, join(inbox, 'f'), changed);

  // What the memory says is held against the hashes, and only where the file is unchanged.
  const memory = (await readFile(join(state, 'fetched'), 'utf8')).split('\n');
  t.true(memory.some((line) => line.includes(JSON.stringify(join(inbox, 'c')))));
  const lying = await open(join(state, 'fetched'), 'w');
  const [id] = JSON.parse(memory[0]);
  const e = memory.map((line) => line && JSON.parse(line)).find((line) => line && line[1] === join(inbox, 'e'));
  await lying.write(`${JSON.stringify([id, e[1], e[2]])}\n`);
  await lying.close();
  const last = await lan.fresh('last');
  t.is(await fetch('share/d', last), SIZE);
  await assertContent(t, join(last, 'd'), data);
});
