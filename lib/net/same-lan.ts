/**
 * Which cards of this machine lie on one LAN: what another multicasts there comes twice, once by each.
 *
 * Owns what came lately, and which cards it showed to be together. Always true: only cards by which the same datagram of the
 * same sender came are taken to be together, and only for LASTING or until the cards change; of each such group one card is
 * left to speak by. So a LAN with two of our cards carries nothing double, and where two cards are on two LANs with the same
 * numbers both are used. Called by Multicast.
 */
import type { Millis } from '../clock.js';
import { Latest } from '../latest.js';
import { COPIES_MAX } from '../limits.js';
import type { UdpAddress } from './datagrams.js';
import { type Card, isOnLink } from './interfaces.js';

/** The copies of one datagram come within so long; the same words said again come later. */
const TOGETHER: Millis = 50;
/** What was shown counts for so long: all cards are asked by whenever the network changes, and then it shows itself again. */
const LASTING: Millis = 10 * 60_000;
/** Of a datagram its end is enough to know it by: a signature, or the tag of a seal. */
const TAIL = 96;

interface Copy {
  at: Millis;
  zone: string;
}

export class SameLan {
  /** What came first of each datagram, by its sender and its bytes. */
  readonly #copies = new Latest<string, Copy>(COPIES_MAX);
  /** By the names of two cards: until when they count as being on one LAN. */
  readonly #together = new Map<string, Millis>();

  /**
   * A datagram to everyone came from another.
   * @param cards this machine's
   * @returns whether it came a moment ago, from there, and has nothing new to say
   */
  heard(data: Buffer, { host, port }: UdpAddress, cards: readonly Card[], now: Millis): boolean {
    const [bare, zone = ''] = host.split('%');
    const key = `${bare} ${port} ${data.length} ${data.toString('latin1', Math.max(0, data.length - TAIL))}`;
    const first = this.#copies.get(key);
    if (!first || now - first.at > TOGETHER) {
      this.#copies.set(key, { at: now, zone });
      return false;
    }
    // With a zone each copy says by which card it came; without, those that it can have come by are those in its network.
    const zones = [first.zone, zone];
    const among = cards.filter((card) => (zone === '' ? isOnLink(card, host) : zones.includes(card.zone)));
    const names = [...new Set(among.map(({ name }) => name))].sort();
    for (const name of names.slice(1)) this.#together.set(`${names[0]} ${name}`, now + LASTING);
    return first.zone === zone;
  }

  /** The cards were changed: all have to show themselves anew. */
  forget(): void {
    this.#together.clear();
  }

  /** Names of the cards that need not speak, as another one does on the same LAN. */
  spared(now: Millis): ReadonlySet<string> {
    const spared = new Set<string>();
    for (const [pair, until] of this.#together) {
      if (now < until) spared.add(pair.split(' ')[1]);
      else this.#together.delete(pair);
    }
    return spared;
  }
}
