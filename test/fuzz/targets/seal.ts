/** Datagrams of a private group: what was not sealed with its key never opens, and what was, opens once. */
import { SEAL_BYTES, Sealer } from '../../../lib/net/seal.js';
import { Chance } from '../chance.js';
import { spoilBytes } from '../mutate.js';
import { holds, type Target, target } from '../target.js';

interface Input {
  plain: Uint8Array;
  /** What comes, in this order: the n-th sealed, as it is or spoilt by a seed. */
  coming: { at: number; spoil: number; host: number }[];
  garbage: Uint8Array;
}

const sealed = target<Input>({
  name: 'seal',
  weight: 2,
  make: (chance) => ({
    plain: chance.bytes(chance.between(1, 60)),
    coming: Array.from({ length: chance.between(1, 12) }, () => ({
      at: chance.below(6),
      spoil: chance.is(0.5) ? chance.seed() : 0,
      host: chance.below(3),
    })),
    garbage: chance.bytes(chance.length(1300)),
  }),
  run({ plain, coming, garbage }, reach) {
    const chance = new Chance('seal');
    const key = Buffer.alloc(32, 1);
    const sender = new Sealer(key, (n) => chance.bytes(n));
    const receiver = new Sealer(key, (n) => chance.bytes(n));
    const stranger = new Sealer(Buffer.alloc(32, 2), (n) => chance.bytes(n));
    const all = Array.from({ length: 6 }, () => sender.seal(plain));
    holds(
      all.every((data) => data.length === plain.length + SEAL_BYTES),
      'another length',
    );
    const opened = new Set<number>();
    const now = 1000;
    const note = (got: Buffer | string) => reach.note('seal', typeof got === 'string' ? got : 'opened');
    for (const { at, spoil, host } of coming) {
      const data = spoil === 0 ? all[at] : spoilBytes(all[at], new Chance('spoil', spoil), garbage);
      const got = receiver.open(data, `10.0.0.${host}`, now);
      note(got);
      const same = all[at].equals(data);
      const which = all.findIndex((one) => one.equals(data));
      if (typeof got === 'string') holds(!same || opened.has(at), `did not open: ${got}`);
      else {
        holds(which >= 0 && !opened.has(which), 'opened what was spoilt, or twice');
        holds(got.equals(plain), 'opened as something else');
        opened.add(which);
      }
    }
    for (const data of [garbage, stranger.seal(plain)]) {
      const got = receiver.open(data, '10.0.0.9', now);
      note(got);
      holds(typeof got === 'string', 'opened what no member sealed');
    }
  },
});

export const SEAL: Target[] = [sealed];
