/**
 * One who speaks the protocol over real connections, properly until the handshake is done, and then whatever it is told.
 * Owns its sockets. Always true: its key is its own and proved. Called by the live part.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { openGroup } from '../../lib/net/group-keys.js';
import type { Identity } from '../../lib/net/keys.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { FrameDecoder, framePrefix } from '../../lib/wire/frame.js';
import { type Head, headStatement, packHead, proofStatement, readHead } from '../../lib/wire/head.js';
import { type Message, PROTOCOL } from '../../lib/wire/table.js';

const transport = tlsTransport(openGroup());
const HANDSHAKE_MS = 5000;

/** A socket to a port of this machine. */
export function socketTo(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/** One connection whose handshake is done. */
export class Conversation {
  readonly #socket: Socket;
  closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void {
    if (!this.closed) this.#socket.write(bytes);
  }

  send(message: Message): void {
    this.frame(encode(message));
  }

  frame(body: Uint8Array): void {
    this.write(Buffer.concat([framePrefix(body.length), body]));
  }

  /** Says nothing more, or breaks off. */
  end(abruptly: boolean): void {
    if (abruptly) this.#socket.destroy();
    else this.#socket.end();
  }
}

export class Speaker {
  readonly identity: Identity;
  readonly #template: Head;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  port = 0;
  /** Whether it is listed, or a one-shot. */
  flags = 1;
  /** Called with what comes after the handshake. */
  onMessage: (talk: Conversation, message: Message) => void = () => {};

  /** @param template a head of another peer, for the fields that do not matter */
  constructor(identity: Identity, template: Head) {
    this.identity = identity;
    this.#template = template;
  }

  /** Its words on itself. */
  words(): { head: Uint8Array; sig: Uint8Array } {
    const { id, key } = this.identity;
    const head = packHead({ ...this.#template, id, key, name: 'fuzz', port: this.port, flags: this.flags });
    return { head, sig: this.identity.sign(headStatement(head)) };
  }

  #hello(): Message {
    const { head, sig } = this.words();
    return { type: 'H', protocol: PROTOCOL, head, sig, instance: new Uint8Array(8), probe: false };
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => void this.#greet(socket, false).catch(() => socket.destroy()));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    this.port = typeof address === 'object' && address ? address.port : 0;
  }

  /** @throws Error where the other side does not answer as it should in time */
  async dial(port: number): Promise<Conversation> {
    return this.#greet(await socketTo(port), true);
  }

  async #greet(raw: Socket, dialled: boolean): Promise<Conversation> {
    this.#sockets.add(raw);
    raw.once('close', () => this.#sockets.delete(raw));
    raw.on('error', () => {});
    const late = setTimeout(() => raw.destroy(), HANDSHAKE_MS);
    try {
      const { socket, binding } = await transport.secure(raw, dialled);
      socket.on('error', () => {});
      return await this.#shake(new Conversation(socket), socket, binding);
    } finally {
      clearTimeout(late);
    }
  }

  #shake(talk: Conversation, socket: Socket, binding: Buffer): Promise<Conversation> {
    return new Promise((resolve, reject) => {
      let open = false;
      socket.once('close', () => reject(new Error('closed during the handshake')));
      const decoder = new FrameDecoder((frame) => {
        const message = decode(frame, 'tcp');
        if (open) this.onMessage(talk, message);
        else if (message.type === 'H') {
          const statement = proofStatement(this.identity.id, readHead(message.head).id, binding);
          talk.send({ type: 'V', sig: this.identity.sign(statement) });
        } else if (message.type === 'V') {
          open = true;
          resolve(talk);
        }
      });
      socket.on('data', (data: Buffer) => decoder.push(data));
      talk.send(this.#hello());
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server?.close();
  }
}
