/**
 * One connection to one peer, after its handshake has proved who that is.
 *
 * Owns the socket and its frame decoder. Always true: `peer` holds the key that its id names; a message that does not
 * decode closes the link. Made by Links; spoken to by the drivers.
 */
import type { Socket } from 'node:net';
import type { Endpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { BLOCK, SEND_QUEUE_CUT, SEND_QUEUE_MAX, SEND_STALL_MS } from '../limits.js';
import { decode, encode, encodeAhead } from '../wire/codec.js';
import { FrameDecoder, framePrefix } from '../wire/frame.js';
import { type Head, headStatement, proofStatement, readHead } from '../wire/head.js';
import { type Message, PROTOCOL } from '../wire/table.js';
import { type Identity, verifySignature } from './keys.js';
import { plainHost, type SecureStream } from './transport.js';

/** Sees each message before it is sent or handled, and may change it or, with undefined, drop it. For tests and demos. */
export type Filter = (message: Message, direction: 'in' | 'out', peer: PeerId) => Message | undefined;

/** Told of each message, for the trace. */
export type Tracer = (direction: 'in' | 'out', peer: string, message: Message) => void;

export interface LinkHandlers {
  message(link: Link, message: Message): void;
  /** Bytes of a large message came that is not whole yet; called at most every 250 ms. */
  heard(link: Link): void;
  closed(link: Link, why: HearsayError): void;
}

export interface LinkSettings {
  identity: Identity;
  /** 8 random bytes of this process, by which two that run with copies of one key are told apart. */
  instance: Uint8Array;
  /** The present head, signed. */
  hello(): { head: Uint8Array; sig: Uint8Array };
  filter?: Filter;
  tracer?: Tracer;
  /** Bytes that may be queued on each link before it is waited for, of what all may have; SEND_QUEUE_MAX without it. */
  room?(): number;
}

/** What the other side said of itself in its hello. */
interface Proved {
  head: Head;
  packed: Uint8Array;
  sig: Uint8Array;
  instance: Uint8Array;
}

const HEARD_EVERY = 250;
/** Bytes of an unfinished message from which on it is one worth waiting for: small ones come at once or not at all. */
const HEARD_BYTES = 4096;

export class Link {
  readonly peer: PeerId;
  readonly head: Head;
  /** The head as packed and signed by the peer. */
  readonly packedHead: Uint8Array;
  readonly sig: Uint8Array;
  /** The other process: another one of the same key has another. */
  readonly instance: Uint8Array;
  /** Whether we dialled. */
  readonly dialled: boolean;
  /** Where the peer's listener should be: the socket's host, the head's port. */
  readonly address: Endpoint;
  readonly openedAt = performance.now();
  /** When something was last sent or received, `performance.now()`. */
  usedAt = performance.now();
  readonly #socket: Socket;
  readonly #settings: LinkSettings;
  readonly #handlers: LinkHandlers;
  #closed: HearsayError | undefined;
  #heardAt = 0;
  /** When the other side last took something, or had nothing left to take. */
  #takenAt = performance.now();
  readonly #taken = (): void => {
    this.#takenAt = performance.now();
  };
  #drained: (() => void)[] = [];

  constructor(socket: Socket, proved: Proved, dialled: boolean, settings: LinkSettings, handlers: LinkHandlers) {
    this.#socket = socket;
    this.#settings = settings;
    this.#handlers = handlers;
    this.peer = proved.head.id;
    this.head = proved.head;
    this.packedHead = proved.packed;
    this.sig = proved.sig;
    this.instance = proved.instance;
    this.dialled = dialled;
    this.address = { host: plainHost(socket.remoteAddress ?? ''), port: proved.head.port };
    socket.on('drain', () => this.#wake());
    socket.on('error', (error) => this.close(asHearsayError(error, 'unreachable')));
    socket.on('close', () => this.close(new HearsayError('unreachable', 'the connection was closed')));
  }

  get open(): boolean {
    return this.#closed === undefined;
  }

  /** Bytes that wait for the other side to read. */
  get queued(): number {
    return this.#socket.writableLength;
  }

  /** Whether more may be sent without filling memory. */
  get writable(): boolean {
    if (this.#closed) return false;
    const room = Math.min(SEND_QUEUE_MAX, this.#settings.room?.() ?? SEND_QUEUE_MAX);
    return this.#socket.writableLength < Math.max(BLOCK, room);
  }

  /** For how long the other side has taken nothing of what waits for it, ms; 0 where nothing waits. */
  stalledFor(now: number): number {
    return this.queued > 0 ? now - this.#takenAt : 0;
  }

  /** Whether that is too long. */
  isStalled(now: number): boolean {
    return this.stalledFor(now) > SEND_STALL_MS;
  }

  /** Resolves when `writable`, or when the link is closed. */
  async whenWritable(): Promise<void> {
    while (this.#closed === undefined && !this.writable) {
      await new Promise<void>((resolve) => {
        this.#drained.push(resolve);
      });
    }
  }

  /** Sends one message. A payload is not copied: the caller must not change it afterwards. */
  send(message: Message): void {
    if (this.#closed) return;
    let sent: Message | undefined = message;
    if (this.#settings.filter) {
      sent = this.#settings.filter(message, 'out', this.peer);
      if (!sent) return;
    }
    this.#settings.tracer?.('out', this.peer, sent);
    this.usedAt = performance.now();
    if (this.queued === 0) this.#taken();
    writeMessage(this.#socket, sent, this.#taken);
    if (this.#socket.writableLength > SEND_QUEUE_CUT) {
      this.close(new HearsayError('limit', 'the other side does not read what it asked for'));
    }
  }

  /** Takes a whole frame; called by the decoder. */
  receive(frame: Buffer): void {
    // What came in one piece with the message that ended the link is not heard any more.
    if (this.#closed) return;
    this.usedAt = performance.now();
    let message: Message | undefined;
    try {
      message = decode(frame, 'tcp');
      if (this.#settings.filter) message = this.#settings.filter(message, 'in', this.peer);
      if (!message) return;
      this.#settings.tracer?.('in', this.peer, message);
      this.#handlers.message(this, message);
    } catch (thrown) {
      this.close(asHearsayError(thrown));
    }
  }

  /** Notes that a part of a message came. */
  heard(): void {
    const now = performance.now();
    this.usedAt = now;
    if (now - this.#heardAt < HEARD_EVERY) return;
    this.#heardAt = now;
    this.#handlers.heard(this);
  }

  /** Ends it at once; what was sent last may be lost. */
  cut(why: HearsayError): void {
    this.close(why);
    this.#socket.destroy();
  }

  close(why: HearsayError): void {
    if (this.#closed) return;
    this.#closed = why;
    // What was sent last (a goodbye, an error) still leaves; a reader that does not read is cut off after a second.
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), 1000);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
    this.#wake();
    this.#handlers.closed(this, why);
  }

  #wake(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }
}

/** @param taken called when it has left this machine */
function writeMessage(socket: Socket, message: Message, taken?: () => void): void {
  if (message.type === 'T' || message.type === 'U') {
    const ahead = encodeAhead(message, message.data.length);
    socket.cork();
    socket.write(framePrefix(ahead.length + message.data.length));
    socket.write(ahead);
    socket.write(message.data, taken);
    socket.uncork();
    return;
  }
  const body = encode(message);
  socket.cork();
  socket.write(framePrefix(body.length));
  socket.write(body, taken);
  socket.uncork();
}

/**
 * Shakes hands on a fresh stream: both say hello, then each proves its key over what binds this connection.
 * Ends with the stream at the latest: the caller sees to it that this is in time.
 * @param expected the id that must answer, or undefined for any
 * @param admit takes the new link in, before any message of it is handled, and gives the link to use
 * @returns what `admit` gave; messages that follow go to the handlers
 * @throws HearsayError `bad-message`, `other-version`, `unreachable` (another peer answers there, or none in time)
 */
export function shakeHands(
  { socket, binding }: SecureStream,
  dialled: boolean,
  expected: PeerId | undefined,
  settings: LinkSettings,
  handlers: LinkHandlers,
  admit: (link: Link) => Link,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    let proved: Proved | undefined;
    let link: Link | undefined;

    const fail = (thrown: unknown) => {
      socket.destroy();
      reject(asHearsayError(thrown, 'unreachable'));
    };
    const onError = (error: Error) => fail(error);
    const onClose = () => fail(new HearsayError('unreachable', 'the connection was closed during the handshake'));
    socket.once('error', onError);
    socket.once('close', onClose);

    // Who it is, is known only in the end; until then by its address.
    const who = () => proved?.head.id ?? expected ?? plainHost(socket.remoteAddress ?? '');
    const say = (message: Message) => {
      settings.tracer?.('out', who(), message);
      writeMessage(socket, message);
    };

    const onFrame = (frame: Buffer) => {
      if (link) return link.receive(frame);
      const message = decode(frame, 'tcp');
      settings.tracer?.('in', who(), message);
      if (!proved && message.type === 'H') {
        if (message.protocol !== PROTOCOL) {
          throw new HearsayError('other-version', `the other side speaks protocol ${message.protocol}, we ${PROTOCOL}`);
        }
        const head = readHead(message.head);
        if (!verifySignature(head.key, headStatement(message.head), message.sig)) {
          throw new HearsayError('bad-message', 'a hello with a wrong signature');
        }
        if (head.id === settings.identity.id) {
          throw new HearsayError(
            'unreachable',
            'that is this peer itself, or one that runs with a copy of its state folder',
          );
        }
        if (expected !== undefined && head.id !== expected) {
          throw new HearsayError('unreachable', `another peer answers there: ${head.id}`);
        }
        proved = { head, packed: message.head, sig: message.sig, instance: message.instance };
        const statement = proofStatement(settings.identity.id, head.id, binding);
        say({ type: 'V', sig: settings.identity.sign(statement) });
      } else if (proved && message.type === 'V') {
        const statement = proofStatement(proved.head.id, settings.identity.id, binding);
        if (!verifySignature(proved.head.key, statement, message.sig)) {
          throw new HearsayError('bad-message', 'a proof that does not fit');
        }
        socket.removeListener('error', onError);
        socket.removeListener('close', onClose);
        link = new Link(socket, proved, dialled, settings, handlers);
        resolve(admit(link));
      } else throw new HearsayError('bad-message', `${message.type} before the handshake was done`);
    };
    const decoder = new FrameDecoder(onFrame);
    socket.on('data', (data: Buffer) => {
      try {
        if (link && !link.open) return;
        decoder.push(data);
        // A message that is whole tells of itself.
        if (link?.open && decoder.unfinished >= HEARD_BYTES) link.heard();
      } catch (thrown) {
        if (link) link.close(asHearsayError(thrown));
        else fail(thrown);
      }
    });
    const { head, sig } = settings.hello();
    say({ type: 'H', protocol: PROTOCOL, head, sig, instance: settings.instance, probe: false });
  });
}
