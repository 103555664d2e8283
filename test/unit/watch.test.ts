/** A lookup that is followed at a tracker, with a tracker that answers as the test says. */
import test from 'ava';
import type { Requests } from '../../lib/drive/requests.js';
import { Watch } from '../../lib/drive/watch.js';
import { peerId } from '../../lib/ids.js';
import type { Link } from '../../lib/net/link.js';
import { Directory } from '../../lib/tracker/directory.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';

const ID = peerId(new Uint8Array(32).fill(7), 1_700_000_000_000);
const WHOLE = { reset: false, peers: [], offers: [], have: [], gone: [], last: true };

test('a tracker that has too much to do is asked again soon, and less soon each time', async (t) => {
  const asked: number[] = [];
  let answer: (message: MessageOf<'f'> | MessageOf<'E'>) => void = () => {};
  let number = 0;
  const requests = {
    open: (_: Link, handlers: { answer: typeof answer }) => {
      answer = handlers.answer;
      return ++number;
    },
    close: () => {},
  } as unknown as Requests;
  const watch = new Watch(requests, new Directory({ id: ID, verify: () => true }), 0, '', () => {});
  const whole = new Promise<void>((resolve) => {
    const link = {
      peer: ID,
      address: { host: '10.0.0.1', port: 1 },
      open: true,
      send: (message: Message) => {
        if (message.type !== 'l') return;
        asked.push(performance.now());
        const { number: of } = message;
        setImmediate(() => {
          if (asked.length <= 3) answer({ type: 'E', number: of, code: 'limit', id: null, message: 'busy' });
          else {
            answer({ type: 'f', number: of, ...WHOLE });
            resolve();
          }
        });
      },
    } as unknown as Link;
    watch.attach(link);
  });
  await whole;
  t.true(watch.isWholeAt(ID));
  watch.end();
  const gaps = asked.slice(1).map((at, i) => at - asked[i]);
  t.true(gaps[0] < 1000 && gaps[2] > gaps[0] * 2, `${gaps}`);
});
