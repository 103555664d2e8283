/**
 * A peer that speaks the protocol by hand and so may break it: as a client that has shaken hands and then misbehaves, or
 * as a source that offers and sends whatever it is told to.
 * Owns its sockets. Always true: it has a proper key, and proves it. Called by tests.
 */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { blake3 } from '../../lib/hash.js';
import { type GroupKeys, openGroup } from '../../lib/net/group-keys.js';
import { type Identity, identityOf, newPrivateKey } from '../../lib/net/keys.js';
import { tlsTransport } from '../../lib/net/transport.js';
import type { Offer } from '../../lib/offer.js';
import { chunkCount, chunkLength, chunkSizeOf, contentId } from '../../lib/transfer/content.js';
import { decode, encode, pack } from '../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../lib/wire/frame.js';
import { type Head, headStatement, PASSIVE, packHead, proofStatement, readHead } from '../../lib/wire/head.js';
import { type Message, type MessageOf, PROTOCOL } from '../../lib/wire/table.js';
import { until } from './lan.js';

const NONE = new Uint8Array(0);

/** One connection of a raw peer, its handshake done. */
export class Talk {
  readonly socket: Socket;
  /** What binds this connection. */
  readonly binding: Buffer;
  /** All that came since the handshake. */
  readonly received: Message[] = [];
  closed = false;
  onMessage: (message: Message) => void = () => {};

  constructor(socket: Socket, binding: Buffer) {
    this.socket = socket;
    this.binding = binding;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(message: Message): void {
    this.bytes(encode(message));
  }

  /** A frame with any content. */
  bytes(body: Uint8Array): void {
    if (this.closed) return;
    this.socket.write(Buffer.concat([framePrefix(body.length), body]));
  }

  /** A message with any fields. */
  values(...values: unknown[]): void {
    this.bytes(pack(values));
  }

  take(message: Message): void {
    this.received.push(message);
    this.onMessage(message);
  }

  of<L extends Message['type']>(type: L): MessageOf<L>[] {
    return this.received.filter((m): m is Message & MessageOf<L> => m.type === type);
  }

  async ended(): Promise<void> {
    await until(() => this.closed, 'the connection is closed');
  }
}

/** What a raw source says of a file, and gives. */
export interface RawFile {
  data: Buffer;
  /** What differs from an honest offer. */
  offer?: Partial<Offer>;
}

export class RawPeer {
  readonly #t: ExecutionContext;
  readonly identity: Identity;
  readonly name: string;
  readonly talks: Talk[] = [];
  readonly #passive: boolean;
  readonly #transport: ReturnType<typeof tlsTransport>;
  #server: Server | undefined;
  #port = 0;
  /** Called for every connection, its handshake done. */
  onTalk: (talk: Talk) => void = () => {};

  /** The TCP port where it listens, 0 where it does not. */
  get port(): number {
    return this.#port;
  }

  /**
   * @param passive as a one-shot, which is not listed
   * @param group whose keys TLS has
   */
  constructor(t: ExecutionContext, name: string, passive: boolean, group: GroupKeys = openGroup()) {
    this.#t = t;
    this.#transport = tlsTransport(group);
    this.name = name;
    this.#passive = passive;
    this.identity = identityOf(newPrivateKey(), Date.now());
    t.teardown(() => {
      for (const { socket } of this.talks) socket.destroy();
      this.#server?.close();
    });
  }

  get id(): string {
    return this.identity.id;
  }

  /** What to give to `join`. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Its head, signed. @param differs from what an ordinary one says */
  head(differs: Partial<Head> = {}): { head: Buffer; sig: Uint8Array } {
    const { id, key } = this.identity;
    const head = packHead({
      id,
      key,
      name: this.name,
      port: this.#port,
      flags: this.#passive ? PASSIVE : 0,
      epoch: 1,
      version: 1,
      files: 1,
      bytes: 1,
      count: 1,
      floor: 0,
      beat: 0,
      root: randomBytes(32),
      echo: NONE,
      ...differs,
    });
    return { head, sig: this.identity.sign(headStatement(head)) };
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => void this.#greet(socket, false).catch(() => {}));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    this.#port = typeof address === 'object' && address ? address.port : 0;
  }

  /** Connects and shakes hands. @param from an address of this machine */
  async dial(port: number, from?: string): Promise<Talk> {
    const socket = await rawSocket(this.#t, port, from);
    return this.#greet(socket, true);
  }

  async #greet(raw: Socket, dialled: boolean): Promise<Talk> {
    const { socket, binding } = await this.#transport.secure(raw, dialled);
    const talk = new Talk(socket, binding);
    this.talks.push(talk);
    return new Promise((resolve, reject) => {
      let open = false;
      socket.once('close', () => reject(new Error('closed during the handshake')));
      const decoder = new FrameDecoder((frame) => {
        const message = copied(decode(frame, 'tcp'));
        if (open) talk.take(message);
        else if (message.type === 'H') {
          const { id } = readHead(message.head);
          talk.send({ type: 'V', sig: this.identity.sign(proofStatement(this.identity.id, id, binding)) });
        } else if (message.type === 'V') {
          open = true;
          this.onTalk(talk);
          resolve(talk);
        }
      });
      socket.on('data', (data) => decoder.push(data));
      const { head, sig } = this.head();
      talk.send({ type: 'H', protocol: PROTOCOL, head, sig, instance: new Uint8Array(8), probe: false });
    });
  }

  /**
   * Listens as a source of these files, to be joined by one-shots: offers them to whoever asks, answers a request for one
   * with its manifest, and for blocks with the blocks, as `serve` says.
   */
  static async source(
    t: ExecutionContext,
    name: string,
    files: Record<string, RawFile>,
    serve: (talk: Talk, file: RawFile, request: MessageOf<'R'>) => void = serveHonestly,
    manifest: (file: RawFile, ask: MessageOf<'G'>) => Partial<MessageOf<'M'>> | undefined = () => ({}),
  ): Promise<RawPeer> {
    const raw = new RawPeer(t, name, false);
    const open = new Map<number, RawFile>();
    raw.onTalk = (talk) => {
      talk.onMessage = (message) => {
        if (message.type === 'F') {
          const offers = Object.entries(files).map(([path, file]) => offerOf(path, file));
          talk.send({ type: 'I', number: message.number, offers, last: true, aside: false });
        } else if (message.type === 'G') {
          const file = files[message.path];
          if (!file) return;
          open.set(message.number, file);
          const differs = manifest(file, message);
          if (differs) talk.send({ ...manifestOf(message.number, file), ...differs });
        } else if (message.type === 'R') {
          const file = open.get(message.number);
          if (file) serve(talk, file, message);
        }
      };
    };
    await raw.listen();
    return raw;
  }
}

/** A stream to a port of this machine under TLS with the open group's key, that says nothing by itself. */
export async function secureSocket(t: ExecutionContext, port: number, from?: string): Promise<Talk> {
  const raw = await rawSocket(t, port, from);
  const { socket, binding } = await tlsTransport(openGroup()).secure(raw, true);
  return new Talk(socket, binding);
}

/** A socket to a port of this machine, that says nothing by itself. */
export async function rawSocket(t: ExecutionContext, port: number, from?: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', ...(from ? { localAddress: from } : {}) });
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** The hashes of a content's chunks, one after another. */
export function hashesOf(data: Buffer): Buffer {
  const size = chunkSizeOf(data.length);
  return Buffer.concat(
    Array.from({ length: chunkCount(data.length) }, (_, i) =>
      blake3(data.subarray(i * size, i * size + chunkLength(data.length, i))),
    ),
  );
}

export function idOf(data: Buffer): string {
  return contentId(data.length, hashesOf(data));
}

export function offerOf(path: string, { data, offer }: RawFile): Offer {
  return { path, kind: 'file', size: data.length, mtime: 1_700_000_000_000, id: idOf(data), version: 1, ...offer };
}

function manifestOf(number: number, { data }: RawFile): MessageOf<'M'> {
  return {
    type: 'M',
    number,
    id: idOf(data),
    size: data.length,
    mtime: 1_700_000_000_000,
    executable: false,
    chunk: chunkSizeOf(data.length),
    first: 0,
    hashes: hashesOf(data),
    have: NONE,
  };
}

/** A block as an honest source sends it. */
export function blockOf(number: number, { data }: RawFile, block: number): MessageOf<'T'> {
  return { type: 'T', number, block, hash: NONE, data: data.subarray(block << 18, (block + 1) << 18) };
}

export function serveHonestly(talk: Talk, file: RawFile, { number, block, count }: MessageOf<'R'>): void {
  if (count === 0) talk.send({ type: 'E', number, code: '', id: idOf(file.data), message: '' });
  for (let i = 0; i < count; i++) talk.send(blockOf(number, file, block + i));
}

/** Payloads are lent; what is kept must be a copy. */
function copied(message: Message): Message {
  return 'data' in message ? { ...message, data: Uint8Array.from(message.data) } : message;
}
