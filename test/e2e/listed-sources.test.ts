/** `ls --sources` of what a hostile peer offers. */
import test from 'ava';
import { FILE_SIZE_MAX } from '../../lib/limits.js';
import { chunkCount } from '../../lib/transfer/content.js';
import { Lan } from './lan.js';
import { RawPeer } from './raw.js';

test('a file that is said to be as large as any may be costs neither memory nor time', async (t) => {
  const lan = await Lan.make(t);
  const offer = { size: FILE_SIZE_MAX };
  const raw = await RawPeer.source(t, 'liar', { 'lie/huge': { data: Buffer.alloc(9), offer } });
  const asker = await lan.peer('asker', { passive: true, multicast: false, join: [raw.address] });
  const before = process.cpuUsage();
  const rows = await asker.peer.sources('lie/huge');
  const { user } = process.cpuUsage(before);
  t.deepEqual(
    rows.map(({ path, size, chunks, sources }) => ({ path, size, chunks, sources })),
    [{ path: 'lie/huge', size: FILE_SIZE_MAX, chunks: chunkCount(FILE_SIZE_MAX), sources: [] }],
  );
  // A bit for each chunk took seconds.
  t.true(user < 1_000_000, `${user} µs`);
});
