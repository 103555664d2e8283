/**
 * Who holds which parts of a content without offering it: those who are receiving it. Pure.
 * Owns the bit sets. Always true: at most HOLDINGS_MAX of one peer, and so many bytes of all; nothing is kept of a peer that was
 * dropped; no bit is set beyond a content's last chunk. Called by the registry.
 */
import type { PeerId } from '../ids.js';
import { HOLDING_BYTES_MAX, HOLDINGS_MAX } from '../limits.js';
import type { Holding } from './events.js';

/** Contents of one peer, the one that was told of longest ago first. */
interface Held {
  contents: Map<string, Holding>;
  bytes: number;
}

export class Holdings {
  readonly #most: number;
  readonly #byPeer = new Map<PeerId, Held>();
  readonly #byContent = new Map<string, Map<PeerId, Holding>>();
  #size = 0;
  #bytes = 0;

  constructor(most = HOLDING_BYTES_MAX) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of bit sets. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Who holds parts of a content. */
  of(content: string): Iterable<Holding> {
    return this.#byContent.get(content)?.values() ?? [];
  }

  get(peer: PeerId, content: string): Holding | undefined {
    return this.#byPeer.get(peer)?.contents.get(content);
  }

  /** What one peer holds. */
  by(peer: PeerId): Iterable<Holding> {
    return this.#byPeer.get(peer)?.contents.values() ?? [];
  }

  *[Symbol.iterator](): Generator<Holding, void, undefined> {
    for (const { contents } of this.#byPeer.values()) yield* contents.values();
  }

  /**
   * A stretch of a bit set, in place of what was there; without bits none of the content is held any more.
   * @param at its first byte
   * @returns what changed, as it is now: without bits where it is held no more
   */
  put(peer: PeerId, content: string, chunks: number, at: number, bits: Uint8Array): Holding[] {
    if (bits.length === 0) return this.#end(peer, content);
    const length = (chunks + 7) >> 3;
    if (at + bits.length > length) return [];
    const known = this.#byPeer.get(peer)?.contents.get(content);
    const before = known?.chunks === chunks ? known.bits : new Uint8Array(0);
    const whole = new Uint8Array(Math.max(before.length, at + bits.length));
    const given: Holding[] = [];
    if (!this.#makeRoom(peer, whole.length - (known?.bits.length ?? 0), given)) return given;
    whole.set(before);
    whole.set(bits, at);
    if (whole.length === length && chunks & 7) whole[length - 1] &= (1 << (chunks & 7)) - 1;
    const holding = { peer, id: content, chunks, bits: whole };
    this.#end(peer, content);
    this.#add(holding);
    return [...given, ...this.#trim(peer), holding];
  }

  /** Takes a holding as another tracker tells of it. */
  set({ peer, id, chunks, bits }: Holding): Holding[] {
    const ended = this.#end(peer, id);
    const now = this.put(peer, id, chunks, 0, bits);
    return now.length > 0 ? now : ended;
  }

  /** Nothing of a peer any more. */
  drop(peer: PeerId): void {
    for (const { id } of [...this.by(peer)]) this.#end(peer, id);
  }

  #add(holding: Holding): void {
    const { peer, id, bits } = holding;
    let held = this.#byPeer.get(peer);
    if (!held) {
      held = { contents: new Map(), bytes: 0 };
      this.#byPeer.set(peer, held);
    }
    held.contents.set(id, holding);
    held.bytes += bits.length;
    const all = this.#byContent.get(id) ?? new Map<PeerId, Holding>();
    this.#byContent.set(id, all.set(peer, holding));
    this.#size++;
    this.#bytes += bits.length;
  }

  #end(peer: PeerId, content: string): Holding[] {
    const held = this.#byPeer.get(peer);
    const holding = held?.contents.get(content);
    if (!held || !holding) return [];
    held.contents.delete(content);
    held.bytes -= holding.bits.length;
    if (held.contents.size === 0) this.#byPeer.delete(peer);
    const all = this.#byContent.get(content);
    all?.delete(peer);
    if (all?.size === 0) this.#byContent.delete(content);
    this.#size--;
    this.#bytes -= holding.bits.length;
    return [{ ...holding, bits: new Uint8Array(0) }];
  }

  /** The oldest of a peer that has too many. */
  #trim(peer: PeerId): Holding[] {
    const contents = this.#byPeer.get(peer)?.contents;
    if (!contents || contents.size <= HOLDINGS_MAX) return [];
    const [oldest] = contents.keys();
    return this.#end(peer, oldest);
  }

  /**
   * Makes room for so many bytes more of a peer: whoever would have more than it loses its oldest.
   * @param given gets what that took away
   * @returns whether there is room
   */
  #makeRoom(peer: PeerId, more: number, given: Holding[]): boolean {
    while (this.#bytes + more > this.#most) {
      let most = (this.#byPeer.get(peer)?.bytes ?? 0) + more;
      let who: PeerId | undefined;
      for (const [other, { bytes }] of this.#byPeer) if (other !== peer && bytes > most) [who, most] = [other, bytes];
      const oldest = who === undefined ? undefined : this.#byPeer.get(who)?.contents.keys().next().value;
      if (who === undefined || oldest === undefined) return false;
      given.push(...this.#end(who, oldest));
    }
    return true;
  }
}
