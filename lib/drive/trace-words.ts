/** What a tracker's messages, those of sending and words about the missing say, in words for the trace; of others, why a request failed. Called by tracing.ts. */
import type { Message } from '../wire/table.js';

/** Of a content id or a name as much as a line of a trace has room for. */
const SHOWN = 60;

const count = (number: number, one: string) => `${number} ${one}${number === 1 ? '' : 's'}`;
const some = (parts: readonly [number, string][]) =>
  parts.flatMap(([number, one]) => (number > 0 ? [count(number, one)] : [])).join(', ') || 'nothing';
const clip = (text: string) => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text).toWellFormed();

/** What a lookup asks, by its kind. */
const ASKS: Record<number, (text: string) => string> = {
  0: () => 'everything',
  1: (text) => clip(text),
  2: (text) => `pattern ${clip(text)}`,
  3: (text) => `words ${clip(text)}`,
  5: (text) => `who holds #${text.slice(0, 12)}`,
  6: () => 'peers',
  7: (text) => `peer ${clip(text)}`,
  8: (text) => `who passes on to ${clip(text)}`,
};

/** What becomes of what was offered, by its state. */
const VERDICTS: Record<number, (bytes: number, code: string) => string> = {
  0: () => 'a person is asked',
  1: () => 'accepted',
  2: (bytes) => `${bytes} bytes are here`,
  3: () => 'all is here',
  4: (_, code) => `not taken: ${code}`,
};

/** @returns undefined where a letter and a name say enough */
export function traceWords(message: Message): string | undefined {
  switch (message.type) {
    case 'J':
      return `register me${message.addresses.length > 0 ? ` at ${message.addresses.join(', ')}` : ''}`;
    case 'Z': {
      const { reachable, lease, peers, offers } = message;
      const where = reachable.length > 0 ? `reached at ${reachable.join(', ')}` : 'cannot be dialled';
      return `registered for ${lease / 1000} s, ${where}; ${count(peers, 'peer')} and ${count(offers, 'offer')} here`;
    }
    case 'l':
      return `${ASKS[message.kind]?.(message.text) ?? clip(message.text)}${message.follow ? ', and what changes' : ''}`;
    case 'f': {
      const offers = message.offers.reduce((sum, each) => sum + each.offers.length, 0);
      const found = some([
        [message.peers.length, 'peer'],
        [offers, 'offer'],
        [message.have.length, 'part'],
        [message.gone.length, 'gone peer'],
      ]);
      return `${message.reset ? 'anew: ' : ''}${found}${message.last ? '' : ', not all yet'}`;
    }
    case 'h':
      return `parts of #${message.id?.slice(0, 12) ?? ''}, ${count(message.chunks, 'chunk')}`;
    case 'c':
      return `${message.peer} is to dial`;
    case 't':
      return `from ${message.from} to ${message.to}`;
    case 'i': {
      const [first, ...more] = message.items.map(({ name }) => clip(name));
      return `${first ?? 'nothing'}${more.length > 0 ? ` and ${more.length} more` : ''}, ${message.parcel}`;
    }
    case 'v':
      return VERDICTS[message.state]?.(message.bytes, message.code);
    case 'b':
      return count(message.known.length, 'writer');
    case 'r':
      return `${message.writer}, ${message.head.length > 0 ? count(message.offers.length, 'offer') : 'more than a page'}`;
    case 'm':
      return count(message.peers.length, 'receiver');
    case 'x':
      return `${message.id} since its heartbeat ${message.beat}`;
    case 'E':
    case 'e':
      return message.code === '' ? undefined : message.code;
    default:
      return undefined;
  }
}
