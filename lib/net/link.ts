/**
 * One connection to one peer, after its handshake has proved who that is.
 *
 * Owns the socket and its frame decoder. Always true: `peer` holds the key that its id names; a message that does not
 * decode closes the link. Made by Links; spoken to by the drivers.
 */
import type { Socket } from 'node:net';
import { CHUNK_BUFFERS } from '../buffers.js';
import type { Endpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import {
  BLOCK,
  SEND_BESIDE_MAX,
  SEND_QUEUE_CUT,
  SEND_QUEUE_MAX,
  SEND_QUEUES_MAX,
  SEND_STALL_MS,
  TRACKER_CONNECTIONS_MAX,
} from '../limits.js';
import { decode, encode, encodeAhead } from '../wire/codec.js';
import { framePrefix, PREFIX } from '../wire/frame.js';
import type { Head } from '../wire/head.js';
import type { Message, MessageOf } from '../wire/table.js';
import type { Identity } from './keys.js';
import { plainHost } from './transport.js';

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
export interface Proved {
  head: Head;
  packed: Uint8Array;
  sig: Uint8Array;
  instance: Uint8Array;
}

const HEARD_EVERY = 250;
/** Who takes nothing for so long does not read, ms. */
const DEAF_MS = 2000;
/** How long a word that nobody waits for may wait for one that somebody does, to leave with it, ms. */
const PATIENT_MS = 10;
/** A piece that leaves at once, in a buffer that is used again: a block, what is said of it, and the words before it. */
const PIECE = BLOCK + (16 << 10);

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
  /**
   * Where the peer's listener should be: the socket's host, the head's port. Of one that is passed on by another peer the host is
   * that one's, which stands for it where connections are counted, and nothing listens there.
   */
  readonly address: Endpoint;
  /** Whether another peer passes it on. */
  readonly tunnelled: boolean;
  readonly openedAt = performance.now();
  /** When something was last sent or received, `performance.now()`. */
  usedAt = performance.now();
  readonly #socket: Socket;
  readonly #settings: LinkSettings;
  readonly #handlers: LinkHandlers;
  #closed: HearsayError | undefined;
  #toldAt = 0;
  /** When the other side last took something, or had nothing left to take. */
  #takenAt = performance.now();
  readonly #taken = (): void => {
    this.#takenAt = performance.now();
  };
  /** Small words, packed, that leave together, and their bytes. */
  #words: Buffer[] = [];
  #wordBytes = 0;
  /** At the end of this turn of the loop; those that are patient somewhat later. */
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;
  readonly #letGo = (): void => {
    clearImmediate(this.#soon);
    clearTimeout(this.#later);
    this.#soon = undefined;
    this.#later = undefined;
    if (this.#wordBytes === 0) return;
    const words = this.#takeWords(Buffer.allocUnsafe(this.#wordBytes));
    this.#socket.write(words, this.#taken);
  };
  #drained: (() => void)[] = [];
  /** Who waits for a word of the other side. */
  #listening: (() => void)[] = [];
  #pings = 0;

  /** @param relay the host of the peer that passes it on, where one does */
  constructor(
    socket: Socket,
    proved: Proved,
    dialled: boolean,
    settings: LinkSettings,
    handlers: LinkHandlers,
    relay?: string,
  ) {
    this.#socket = socket;
    this.#settings = settings;
    this.#handlers = handlers;
    this.peer = proved.head.id;
    this.head = proved.head;
    this.packedHead = proved.packed;
    this.sig = proved.sig;
    this.instance = proved.instance;
    this.dialled = dialled;
    this.tunnelled = relay !== undefined;
    this.address = { host: relay ?? plainHost(socket.remoteAddress ?? ''), port: proved.head.port };
    // What waits is not gathered once more: TLS would copy all of it into one piece.
    Object.assign(socket, { _writev: null });
    socket.on('drain', () => this.#wake());
    socket.on('error', (error) => this.close(asHearsayError(error, 'unreachable')));
    socket.on('close', () => this.close(new HearsayError('unreachable', 'the connection was closed')));
  }

  get open(): boolean {
    return this.#closed === undefined;
  }

  /** Bytes that wait for the other side to read. */
  get queued(): number {
    return this.#socket.writableLength + this.#wordBytes;
  }

  /** Whether more may be sent without filling memory. */
  get writable(): boolean {
    return this.open && this.queued < this.#room;
  }

  /** Bytes that may be queued before it is waited for. */
  get #room(): number {
    const room = Math.min(SEND_QUEUE_MAX, this.#settings.room?.() ?? SEND_QUEUE_MAX);
    // At the least what a tracker's links may have each, so that what all may have together holds for it too.
    return Math.max(SEND_QUEUES_MAX / TRACKER_CONNECTIONS_MAX, room);
  }

  /**
   * Whether a small word may be sent although others wait: a reader who is slow has not done anything wrong. One who takes
   * nothing, or to whom too many are said, has.
   */
  get hears(): boolean {
    if (this.writable) return true;
    const isFull = this.queued >= this.#room + SEND_BESIDE_MAX;
    return this.open && !isFull && this.stalledFor(performance.now()) < DEAF_MS;
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

  /**
   * Asks whether the other side is there.
   * @returns true as soon as anything comes, false where nothing does for so long, or the link ends
   */
  answers(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#listening.push(() => {
        clearTimeout(timer);
        resolve(this.open);
      });
      this.send({ type: 'p', number: this.#pings++, answer: false });
      if (!this.open) this.touch();
    });
  }

  /** Something came. */
  touch(): void {
    if (this.#listening.length === 0) return;
    for (const heard of this.#listening.splice(0)) heard();
  }

  /** Sends one message. A payload is copied: it is the caller's again when this returns. */
  send(message: Message): void {
    if (this.#closed) return;
    const sent = this.#settings.filter ? this.#settings.filter(message, 'out', this.peer) : message;
    if (!sent) return;
    this.#settings.tracer?.('out', this.peer, sent);
    this.usedAt = performance.now();
    if (this.queued === 0) this.#taken();
    if (hasPayload(sent)) this.#sendPayload(sent);
    else {
      const word = encode(sent);
      this.#words.push(framePrefix(word.length), word);
      this.#wordBytes += PREFIX + word.length;
      // Each by itself would be a record of TLS, a call of the system, and one more time that the other side is woken.
      if (isPatient(sent)) this.#later ??= setTimeout(this.#letGo, PATIENT_MS);
      else this.#soon ??= setImmediate(this.#letGo);
    }
    if (this.queued > SEND_QUEUE_CUT) {
      this.close(new HearsayError('limit', 'the other side does not read what it asked for'));
    }
  }

  /** A payload leaves with all words before it, in one piece: of several TLS would make one by a copy in fresh memory. */
  #sendPayload(message: MessageWithPayload): void {
    const { data } = message;
    const ahead = encodeAhead(message, data.length);
    const bytes = PREFIX + ahead.length + data.length;
    if (this.#wordBytes + bytes > PIECE) this.#letGo();
    const whole = this.#wordBytes + bytes;
    const lent = whole > PIECE / 2 && whole <= PIECE ? CHUNK_BUFFERS.take(PIECE) : undefined;
    const piece = (lent ?? Buffer.allocUnsafe(whole)).subarray(0, whole);
    let at = this.#wordBytes;
    if (at > 0) this.#takeWords(piece);
    at = piece.writeUInt32BE(ahead.length + data.length, at);
    at += ahead.copy(piece, at);
    piece.set(data, at);
    this.#socket.write(piece, () => {
      if (lent) CHUNK_BUFFERS.give(lent);
      this.#taken();
    });
  }

  /** Puts all small words at the beginning of a piece. @returns it */
  #takeWords(piece: Buffer): Buffer {
    let at = 0;
    for (const word of this.#words) at += word.copy(piece, at);
    this.#words = [];
    this.#wordBytes = 0;
    return piece;
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
    if (now - this.#toldAt < HEARD_EVERY) return;
    this.#toldAt = now;
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
    this.#letGo();
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), 1000);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
    this.#wake();
    this.touch();
    this.#handlers.closed(this, why);
  }

  #wake(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }
}

type MessageWithPayload = MessageOf<'T'> | MessageOf<'U'> | MessageOf<'d'>;

/** Whether a message has bytes behind it. */
function hasPayload(message: Message): message is MessageWithPayload {
  return message.type === 'T' || message.type === 'U' || message.type === 'd';
}

/** Whether nobody waits for a word: what has arrived, and what there is to be had. */
function isPatient(message: Message): boolean {
  return (message.type === 'A' && message.done.length > 0) || (message.type === 'K' && message.chunks.length > 0);
}

/** Sends a word by itself. */
export function writeMessage(socket: Socket, message: Message): void {
  const body = encode(message);
  socket.write(Buffer.concat([framePrefix(body.length), body]));
}
