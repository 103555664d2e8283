/** Among many real peers what one writes comes to all by way of a few, over real connections. */
import test from 'ava';
import { FEW } from '../../lib/gossip/pulls.js';
import type { Message } from '../../lib/wire/table.js';
import { Lan, type LanPeer, until, write } from './lan.js';

/** So many files of a folder. */
const many = (folder: string, count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${folder}/${i}`, '']));

test('where there are more than a few, a change that no datagram holds comes from relays', async (t) => {
  const lan = await Lan.make(t);
  const said = new Map<string, number>();
  const filter = (message: Message, direction: 'in' | 'out'): Message => {
    const what = `${direction} ${message.type}`;
    said.set(what, (said.get(what) ?? 0) + 1);
    return message;
  };
  const peers: LanPeer[] = await Promise.all(
    Array.from({ length: FEW + 1 }, (_, i) => lan.peer(`p${i}`, { files: { [`share${i}/a.txt`]: `${i}` }, filter })),
  );
  const know = (count: number) => () => peers.every(({ peer }) => [...peer.index].filter(isFile).length === count);
  await until(know(FEW + 1), 'all know of all');
  said.clear();
  await write(peers[0].root, many('share0/some', 300));
  await until(know(FEW + 301), 'all know of the change');
  t.true((said.get('out b') ?? 0) > 0, 'some asked relays');
  t.true((said.get('in r') ?? 0) > 0, 'and had it from them');
});

function isFile({ kind }: { kind: string }): boolean {
  return kind === 'file';
}
