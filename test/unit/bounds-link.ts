/** A link whose other end the test is: what was sent over it, and when it is taken. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { HearsayError } from '../../lib/errors.js';
import { identityOf, newPrivateKey } from '../../lib/net/keys.js';
import { Link, type LinkSettings } from '../../lib/net/link.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../lib/wire/frame.js';
import { headStatement, packHead, readHead } from '../../lib/wire/head.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';

let born = Date.now();

/** A peer's signed head. */
export function signedHead(name = 'far', port = 47748) {
  const identity = identityOf(newPrivateKey(), born++);
  const { id, key } = identity;
  const none = new Uint8Array(0);
  const counts = { epoch: 1, version: 1, beat: 1, files: 1, bytes: 1, count: 1, floor: 0 };
  const packed = packHead({ id, key, name, port, flags: 0, ...counts, root: new Uint8Array(32), echo: none });
  return { identity, head: readHead(packed), packed, sig: identity.sign(headStatement(packed)) };
}

/** The other end of a link. */
export class FarEnd {
  readonly link: Link;
  /** What was taken of what was sent. */
  readonly got: Message[] = [];
  /** In how many pieces that came. */
  pieces = 0;
  /** Why the link ended. */
  ended: HearsayError | undefined;
  #held: (() => void)[] = [];
  /** Whether what is sent is taken at once. */
  #reads = true;
  readonly #decoder = new FrameDecoder((frame) => {
    const message = decode(frame, 'tcp');
    this.got.push('data' in message ? { ...message, data: Uint8Array.from(message.data) } : message);
  });

  constructor(host = '10.0.0.2', settings: Partial<LinkSettings> = {}) {
    const mine = signedHead('me');
    const { head, packed, sig } = signedHead();
    const duplex = new Duplex({
      read() {},
      write: (data: Buffer, _encoding, done) => {
        const take = () => {
          this.pieces++;
          this.#decoder.push(data);
          done();
        };
        if (this.#reads) take();
        else this.#held.push(take);
      },
    });
    // The parts of a socket that a link uses, and where it leads to.
    const socket = Object.assign(duplex, { remoteAddress: host }) as unknown as Socket;
    const hello = () => ({ head: mine.packed, sig: mine.sig });
    this.link = new Link(
      socket,
      { head, packed, sig, instance: new Uint8Array(8) },
      true,
      { identity: mine.identity, instance: new Uint8Array(8), hello, ...settings },
      {
        message: () => {},
        heard: () => {},
        closed: (_, why) => {
          this.ended = why;
        },
      },
    );
  }

  /** Takes nothing from now on. */
  hold(): void {
    this.#reads = false;
  }

  /** Takes all that waits, and what comes. */
  async release(): Promise<void> {
    this.#reads = true;
    for (let take = this.#held.shift(); take; take = this.#held.shift()) {
      take();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  of<L extends Message['type']>(type: L): MessageOf<L>[] {
    return this.got.filter((m): m is Message & MessageOf<L> => m.type === type);
  }
}

/** A frame as it travels. */
export function frameOf(message: Message): Buffer {
  const body = encode(message);
  return Buffer.concat([framePrefix(body.length), body]);
}

/** Waits for something that comes in a few turns of the event loop. */
export async function turns(holds: () => unknown, most = 20_000): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > most) throw new Error('waited in vain');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
