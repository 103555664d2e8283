/**
 * One link from its first byte on: handshake, frames in any cut, and then what the peer's switch hands it to: the server
 * of files, the answerer of questions, the table of requests. Everything is as shipped but the socket, the clock's speed
 * and the disk.
 */
import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { seeded } from '../../../lib/clock.js';
import { Answerer } from '../../../lib/drive/answerer.js';
import type { Found, Shelf } from '../../../lib/drive/offered.js';
import { type Answer, errorOf, Requests } from '../../../lib/drive/requests.js';
import { Server } from '../../../lib/drive/serve.js';
import { HearsayError, isCode } from '../../../lib/errors.js';
import { Gossip } from '../../../lib/gossip/gossip.js';
import { blake3 } from '../../../lib/hash.js';
import { BLOCK, FRAME_MAX } from '../../../lib/limits.js';
import { type Door, shakeHands } from '../../../lib/net/handshake.js';
import { verifySignature } from '../../../lib/net/keys.js';
import type { Link, LinkHandlers } from '../../../lib/net/link.js';
import { chunkCount, contentId } from '../../../lib/transfer/content.js';
import { decode, encode } from '../../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../../lib/wire/frame.js';
import { headStatement, packHead, proofStatement, readHead } from '../../../lib/wire/head.js';
import { type Letter, type Message, PROTOCOL } from '../../../lib/wire/table.js';
import { files } from '../../sim/share.js';
import { LETTERS } from '../../unit/wire-messages.js';
import { Chance } from '../chance.js';
import { identityFrom } from '../keys.js';
import { likely } from '../likely.js';
import { spoilBytes } from '../mutate.js';
import { expected, Finding, holds, type Reach, type Target, target } from '../target.js';
import { spoiltBytes, validBytes } from './wire.js';

/** A socket without a network: what is written is kept to be looked at. */
class DeadSocket extends Socket {
  written: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    done();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    for (const { chunk } of chunks) this.written.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    done();
  }
}

const ME = identityFrom(new Chance('me'));
const THEM = identityFrom(new Chance('them'));
const BINDING = Buffer.alloc(32, 5);

const FILES = new Map(
  [
    ['a.bin', 3 * BLOCK + 5],
    ['b.bin', BLOCK],
    ['small', 10],
    ['empty', 0],
  ].map(([name, size]) => {
    const data = Buffer.alloc(size as number, name as string);
    const hashes = Buffer.concat(
      Array.from({ length: chunkCount(data.length) }, (_, i) => blake3(data.subarray(i * BLOCK, (i + 1) * BLOCK))),
    );
    return [name as string, { data, hashes, id: contentId(data.length, hashes) }];
  }),
);

/** Files in memory, one of them not hashed yet. */
const SHELF: Shelf = {
  async open(id, path): Promise<Found> {
    const found = [...FILES].find(([name, file]) => (id === null ? name === path : file.id === id));
    if (!found) throw new HearsayError('not-found', 'not here');
    const [name, { data, hashes, id: is }] = found;
    const source = {
      path: name,
      size: data.length,
      mtime: 1,
      executable: false,
      id: name === 'b.bin' ? null : is,
      async readChunk(chunk: number) {
        holds(chunk >= 0 && chunk < chunkCount(data.length), `reads the chunk ${chunk} of ${name}`);
        return data.subarray(chunk * BLOCK, (chunk + 1) * BLOCK);
      },
      async close() {},
    };
    return { source, manifest: source.id === null ? undefined : hashes, have: undefined, aside: false };
  },
  async readSmall(_id, path) {
    const file = FILES.get(path);
    if (!file || file.data.length > BLOCK) throw new HearsayError('not-found', 'not here');
    return { path, data: file.data, id: file.id, mtime: 1, executable: false };
  },
  recheck: async () => 'same',
  idOf: async (source) => FILES.get(source.path)?.id ?? '00'.repeat(32),
};

const gossip = (() => {
  const { id, key } = ME;
  const settings = { id, key, name: 'me', port: 1, epoch: 1, passive: false, tracker: false };
  const chance = new Chance('link');
  const core = new Gossip(settings, { sign: ME.sign, verify: verifySignature }, seeded(1), () => chance.bytes(16));
  core.handle({ kind: 'offers', changes: files('share', 300) }, 0);
  return core;
})();

const HEAD = packHead({ ...readHead(gossip.head().head), id: THEM.id, key: THEM.key, name: 'them', port: 9 });
const HELLO = encode({
  type: 'H',
  protocol: PROTOCOL,
  head: HEAD,
  sig: THEM.sign(headStatement(HEAD)),
  instance: new Uint8Array(8),
  probe: false,
});
const PROOF = encode({ type: 'V', sig: THEM.sign(proofStatement(THEM.id, ME.id, BINDING)) });

interface Input {
  /** Whether a proper handshake goes before. */
  greeted: boolean;
  frames: Uint8Array[];
  cuts: number[];
}

function framed(body: Uint8Array): Buffer {
  return Buffer.concat([framePrefix(body.length), body]);
}

const WANTED = [...FILES].map(([path, { id, data }]) => ({ path, id, size: data.length }));

/** Looks at all that was said to the other side: every frame of ours can be read, and none hides a fault of ours. */
function checkWritten(socket: DeadSocket, reach: Reach): void {
  const decoder = new FrameDecoder((frame) => {
    const message = decode(frame, 'tcp');
    reach.note(`said ${message.type}`, message.type === 'E' && message.code !== '' ? message.code : 'ok');
    if (message.type !== 'E' || message.code === '') return;
    holds(isCode(message.code), `the code ${message.code}`);
    // Nothing of this kind is wrong with files in memory.
    if (message.code === 'failed' || message.code === 'not-readable')
      throw new Finding(`told the other side: ${message.message}`);
  });
  for (const data of socket.written) decoder.push(data);
  holds(decoder.unfinished === 0, 'half a frame was sent');
}

const link = target<Input>({
  name: 'link',
  weight: 12,
  make(chance, seed, n) {
    const greeted = chance.is(0.85);
    const frames: Buffer[] = [];
    // Something is open already, mostly, when the rest comes.
    for (let number = 0; greeted && number < 4; number++) {
      const { path, id } = chance.one(WANTED);
      if (chance.is(0.6)) frames.push(encode({ type: 'G', number, id: chance.is(0.5) ? id : null, path, first: 0 }));
    }
    for (let left = chance.between(1, 25); left > 0; left--) {
      const letter: Letter = chance.one(LETTERS);
      if (greeted && chance.is(0.8)) frames.push(encode(likely(chance, WANTED, [ME.id, THEM.id])));
      else if (!greeted && chance.is(0.6))
        frames.push(chance.is(0.5) ? spoilBytes(chance.one([HELLO, PROOF]), chance) : chance.one([HELLO, PROOF]));
      else frames.push(chance.is(0.9) ? validBytes(letter, chance, seed, n) : spoiltBytes(letter, chance, seed, n));
    }
    let length = 0;
    const ends = frames.map((frame) => (length += frame.length + 4));
    // Between two frames, so that one is answered before the next comes, or anywhere.
    const cuts = chance.is(0.6) ? ends : [];
    return {
      greeted,
      frames,
      cuts: [...cuts, ...Array.from({ length: chance.length(20) }, () => chance.below(length + 1))],
    };
  },
  async run({ greeted, frames, cuts }, reach) {
    const socket = new DeadSocket();
    const faults: unknown[] = [];
    let ends = 0;
    const server = new Server(SHELF, { begun() {}, completed() {}, failed() {} });
    const answerer = new Answerer(gossip, undefined);
    const requests = new Requests();
    const handlers: LinkHandlers = {
      message(of, message) {
        if (!of.open) faults.push(new Finding(`${message.type} was handled after the end of its link`));
        take(of, message);
      },
      heard: (of) => requests.heard(of),
      closed(of, why) {
        ends++;
        reach.note('link', `closed ${expected(why)}`);
        if (why.code === 'failed')
          faults.push(new Finding(`the link was closed by a fault: ${why.message}`, { cause: why.cause }));
        server.linkClosed(of, why);
        requests.linkClosed(of, why);
      },
    };
    const take = (of: Link, message: Message): void => {
      switch (message.type) {
        case 'O':
        case 'L':
        case 'N':
        case 'j':
        case 'Y':
          reach.note(`handled ${message.type}`, 'by gossip');
          break;
        case 'P':
        case 'b':
        case 'F':
          answerer.take(of, message);
          reach.note(`handled ${message.type}`, 'by the answerer');
          break;
        case 'G':
        case 'R':
        case 'A':
        case 'B':
        case 's':
        case 'X':
        case 'S':
          server.handle(of, message);
          reach.note(`handled ${message.type}`, 'by the server');
          break;
        case 'Q':
        case 'C':
        case 'u':
        case 'H':
        case 'V':
        case 'J':
        case 'Z':
        case 'l':
        case 'f':
        case 'h':
        case 'c':
        case 'p':
        case 't':
        case 'x':
        case 'd':
        case 'w':
        case 'e':
        case 'i':
        case 'm':
          throw new HearsayError('bad-message', `${message.type} after the handshake`);
        default:
          requests.answer(of, message);
          reach.note(`handled ${message.type}`, 'by requests');
      }
    };
    const settings = { identity: ME, instance: new Uint8Array(8), hello: () => gossip.head() };
    let made: Link | undefined;
    const admit = (fresh: Link) => {
      made = fresh;
      reach.note('handshake', 'ok');
      // Something is awaited, so that answers reach whoever asked.
      for (let n = 0; n < 3; n++) requests.open(fresh, { answer: (answer) => void read(answer, reach), closed() {} });
      return fresh;
    };
    const door: Door = { isRival: () => false, settle: async () => {}, admit };
    const listen = (take: (data: Buffer) => void) => void socket.on('data', take);
    shakeHands({ socket, binding: BINDING, listen }, { dialled: false }, settings, handlers, door).catch((thrown) => {
      try {
        reach.note('handshake', `refused ${expected(thrown)}`);
      } catch (fault) {
        faults.push(fault);
      }
    });
    const say = (data: Buffer) => socket.destroyed || socket.emit('data', data);
    if (greeted) {
      say(framed(HELLO));
      say(framed(PROOF));
    }
    const stream = Buffer.concat(frames.map(framed));
    let at = 0;
    for (const end of [...[...cuts].sort((a, b) => a - b), stream.length]) {
      say(Buffer.from(stream.subarray(at, end)));
      at = end;
      await turn();
      await turn();
    }
    for (let n = 0; n < 12; n++) await turn();
    if (made) {
      const { queued } = made;
      holds(queued <= 40 * FRAME_MAX, `${queued} bytes wait`);
      made.close(new HearsayError('cancelled', 'done'));
      holds(
        ends === 1 && !server.busy(made) && !requests.busy(made),
        `after the end: ${ends} ends, busy ${server.busy(made)}`,
      );
    }
    socket.destroy();
    server.stop();
    await turn();
    checkWritten(socket, reach);
    if (faults.length > 0) throw faults[0];
  },
});

function read(answer: Answer, reach: Reach): void {
  reach.note('answer', answer.type);
  if (answer.type === 'E') expected(errorOf(answer));
}

export const LINK: Target[] = [link];
