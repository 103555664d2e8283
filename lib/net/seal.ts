/**
 * Datagrams of a private group, sealed: salt (16 bytes), counter (8, big-endian), AES-256-GCM ciphertext, tag (16).
 *
 * Owns the key and counter of what this process sends, and for each sender heard the key, which counters came and from
 * where. Always true: no counter is used twice under one key; a datagram is opened once; nothing is remembered of a sender
 * until a datagram of it has opened, and what strangers can cost is bounded by tokens taken before the arithmetic.
 * Called by the driver of gossip.
 *
 * The salt is random for each process and makes its key: HMAC-SHA-256(group's key, "hearsay datagram 1" and salt). The
 * nonce is four zero bytes and the counter; salt and counter are authenticated. Only the counter's low half is used, so
 * that most of what is not ours is told by its zero bytes; when that is used up a fresh salt is taken.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { Millis } from '../clock.js';
import { TokenBucket } from '../gossip/pace.js';
import { Latest } from '../latest.js';
import { DATAGRAM_MAX, SEAL_HOSTS_MAX, SEAL_SENDERS_MAX } from '../limits.js';
import { ReplayWindow } from './replay.js';

const SALT = 16;
const HEAD = SALT + 8;
const TAG = 16;
/** Bytes that sealing adds. */
export const SEAL_BYTES = HEAD + TAG;

const DOMAIN = 'hearsay datagram 1';
const CIPHER = 'aes-256-gcm';
/** Counters under one salt. */
const COUNTERS = 2 ** 32;

/**
 * Datagrams a second from one address whose sender is not known that are tried: a machine on which many peers start at
 * once is heard within seconds, and a flood from it costs about a millisecond of a second.
 */
const PER_HOST = 100;
/** The same of all addresses together from which nothing has opened yet: about 1 % of a core. */
const STRANGERS = 1000;
/** Addresses of one sender: its cards, by IPv4 and IPv6. */
const HOSTS_PER_SENDER = 16;

/**
 * Why a datagram did not open. `shapeless`: it is none of any private group. `foreign`: sealed with another secret, or
 * damaged. `replayed`: it was opened before, or is older than the window. `limited`: not tried, as too many came.
 */
export type Refusal = 'shapeless' | 'foreign' | 'replayed' | 'limited';

interface Sender {
  key: Buffer;
  window: ReplayWindow;
  /** Addresses from which datagrams of it opened, the latest last. */
  hosts: Set<string>;
}

/** Whether a datagram has the shape of a sealed one; takes no key. */
export function looksSealed(data: Uint8Array): boolean {
  const { length } = data;
  if (length <= SEAL_BYTES || length > DATAGRAM_MAX) return false;
  return (data[SALT] | data[SALT + 1] | data[SALT + 2] | data[SALT + 3]) === 0;
}

function nonceOf(head: Uint8Array): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.set(head.subarray(SALT, HEAD), 4);
  return nonce;
}

export class Sealer {
  /** Datagrams by what became of them. */
  readonly counters = { sealed: 0, opened: 0, shapeless: 0, foreign: 0, replayed: 0, limited: 0 };
  readonly #groupKey: Buffer;
  readonly #random: (bytes: number) => Uint8Array;
  #head = Buffer.alloc(HEAD);
  #key: Buffer;
  #counter: number;
  /** By salt. */
  readonly #senders = new Latest<string, Sender>(SEAL_SENDERS_MAX);
  /** Tokens by address: of those from which something has opened, and of all others. */
  readonly #members = new Latest<string, TokenBucket>(SEAL_HOSTS_MAX);
  readonly #others = new Latest<string, TokenBucket>(SEAL_HOSTS_MAX);
  readonly #strangers = new TokenBucket(STRANGERS);

  /**
   * @param groupKey 32 bytes: `datagrams` of the group's keys
   * @param random bytes that nobody can foretell
   * @param counter where to begin: for tests
   */
  constructor(groupKey: Buffer, random: (bytes: number) => Uint8Array, counter = 0) {
    this.#groupKey = groupKey;
    this.#random = random;
    this.#key = this.#newSalt();
    this.#counter = counter;
  }

  #newSalt(): Buffer {
    this.#head = Buffer.alloc(HEAD);
    this.#head.set(this.#random(SALT));
    return this.#keyOf(this.#head.subarray(0, SALT));
  }

  #keyOf(salt: Uint8Array): Buffer {
    return createHmac('sha256', this.#groupKey).update(DOMAIN).update(salt).digest();
  }

  /** Seals a message; the result is SEAL_BYTES longer. */
  seal(plain: Uint8Array): Buffer {
    if (this.#counter >= COUNTERS) {
      this.#key = this.#newSalt();
      this.#counter = 0;
    }
    this.#head.writeUInt32BE(this.#counter++, HEAD - 4);
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(this.#head));
    cipher.setAAD(this.#head);
    const text = cipher.update(plain);
    cipher.final();
    this.counters.sealed++;
    return Buffer.concat([this.#head, text, cipher.getAuthTag()]);
  }

  /**
   * Opens a datagram.
   * @param host the address that it came from
   * @returns the message, or why there is none
   */
  open(data: Uint8Array, host: string, now: Millis): Buffer | Refusal {
    const opened = this.#open(Buffer.from(data.buffer, data.byteOffset, data.length), host, now);
    this.counters[typeof opened === 'string' ? opened : 'opened']++;
    return opened;
  }

  #open(data: Buffer, host: string, now: Millis): Buffer | Refusal {
    if (!looksSealed(data)) return 'shapeless';
    const salt = data.toString('latin1', 0, SALT);
    const counter = data.readUInt32BE(HEAD - 4);
    const known = this.#senders.get(salt);
    if (known && !known.window.fresh(counter)) return 'replayed';
    // Who is known, where it is known, always gets its turn: nobody else's flood takes it.
    if (!known?.hosts.has(host) && !this.#allowed(host, now)) return 'limited';
    const sender = known ?? {
      key: this.#keyOf(data.subarray(0, SALT)),
      window: new ReplayWindow(),
      hosts: new Set<string>(),
    };
    const plain = unseal(sender.key, data);
    if (!plain) return 'foreign';
    sender.window.mark(counter);
    this.#senders.set(salt, sender);
    this.#foundAt(sender, host);
    return plain;
  }

  /** Takes a token for one try. */
  #allowed(host: string, now: Millis): boolean {
    const member = this.#members.get(host);
    if (member) return member.take(now);
    let tokens = this.#others.get(host);
    if (!tokens) {
      tokens = new TokenBucket(PER_HOST);
      this.#others.set(host, tokens);
    }
    return tokens.take(now) && this.#strangers.take(now);
  }

  #foundAt({ hosts }: Sender, host: string): void {
    if (!hosts.has(host)) {
      if (hosts.size >= HOSTS_PER_SENDER) hosts.delete(hosts.values().next().value as string);
      hosts.add(host);
    }
    const tokens = this.#members.get(host) ?? this.#others.get(host) ?? new TokenBucket(PER_HOST);
    this.#others.delete(host);
    this.#members.set(host, tokens);
  }
}

function unseal(key: Buffer, data: Buffer): Buffer | undefined {
  const head = data.subarray(0, HEAD);
  const decipher = createDecipheriv(CIPHER, key, nonceOf(head), { authTagLength: TAG });
  decipher.setAAD(head);
  decipher.setAuthTag(data.subarray(data.length - TAG));
  const plain = decipher.update(data.subarray(HEAD, data.length - TAG));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}
