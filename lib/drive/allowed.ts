/**
 * Who may see what is shared with some only.
 *
 * Owns which keys each share is for, and who bears the names that are not tied to a key yet. Always true: a key is let in by
 * a whole id, or by a name or the beginning of an id that is tied to it; these are tied to the first key that bears them
 * alone for SETTLE, and to none once two bore them at a time. Shares come and go; who bears what stays known. Has no clock of
 * its own. Called by Asides.
 */
import type { PeerName } from '../api.js';
import type { Millis } from '../clock.js';
import { isPeerId, keyPart, type PeerId } from '../ids.js';
import { BEARERS_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Known } from '../share/known.js';

/** A share that is for some only. */
export interface Limited {
  name: string;
  /** Names, ids, or beginnings of ids. */
  for: readonly string[];
}

/** A name has been tied to a key. */
export interface Tied {
  /** As it was given. */
  name: string;
  peer: PeerName;
  shares: string[];
}

/** What became clear. */
export interface Decided {
  tied: Tied[];
  warnings: string[];
  /** When to look again, undefined where nothing is awaited. */
  next: Millis | undefined;
}

/** How long a name is borne by one key alone before it is tied to it: whoever else bears it here has answered by then. */
export const SETTLE: Millis = 1000;
/** Characters of an id from which on they mean one: fewer are the same for all who began in the same year. */
const PREFIX_MIN = 6;
const PREFIX = /^[0-7][0-9A-HJKMNP-TV-Z]*$/i;
/** Strangers with a known name of whom it was told. */
const WARNED_MAX = 1000;

interface Bearer {
  peer: PeerName;
  /** Under which ids its key is here: itself, and its one-shots. */
  ids: Set<PeerId>;
  since: Millis;
}

interface Awaited {
  bearers: Map<string, Bearer>;
  ambiguous: boolean;
}

const NOTHING: ReadonlySet<string> = new Set();

function isPrefix(text: string): boolean {
  return text.length >= PREFIX_MIN && text.length < 26 && PREFIX.test(text);
}

export class Allowed {
  readonly #known: Known;
  readonly #own: string;
  /** Shares by each text that they are for. */
  readonly #shares = new Map<string, string[]>();
  #all: ReadonlySet<string> = NOTHING;
  #prefixes: string[] = [];
  #awaited = new Map<string, Awaited>();
  /** Shares by key. A new set at every change. */
  readonly #granted = new Map<string, ReadonlySet<string>>();
  readonly #warned = new Set<string>();
  #warnings: string[] = [];

  /** @param own my own id: whoever holds my key is me */
  constructor(shares: readonly Limited[], known: Known, own: PeerId) {
    this.#known = known;
    this.#own = keyPart(own);
    this.set(shares);
  }

  /**
   * From now on these are the shares that are for some only. Who bears a name that was not awaited before is to be said
   * again, with `seen`.
   */
  set(shares: readonly Limited[]): void {
    const granted = new Map(this.#granted);
    const awaited = this.#awaited;
    this.#all = new Set(shares.map(({ name }) => name));
    this.#shares.clear();
    this.#granted.clear();
    this.#prefixes = [];
    this.#awaited = new Map();
    for (const share of shares) {
      for (const given of share.for) {
        const text = given.normalize('NFC');
        const named = this.#shares.get(text);
        if (named) named.push(share.name);
        else this.#shares.set(text, [share.name]);
      }
    }
    for (const text of this.#shares.keys()) this.#begin(text);
    for (const text of this.#awaited.keys()) {
      const before = awaited.get(text);
      if (before) this.#awaited.set(text, before);
    }
    // What a key may see is another set only where it is another.
    for (const [key, names] of this.#granted) {
      const before = granted.get(key);
      if (before?.size === names.size && [...names].every((name) => before.has(name))) this.#granted.set(key, before);
    }
  }

  /** Whether any share is for some only. */
  get any(): boolean {
    return this.#all.size > 0;
  }

  /** Whether a share is for some only. */
  isLimited(share: string): boolean {
    return this.#all.has(share);
  }

  /** The shares that are for some only, and for this peer or one-shot. Another set once it changes. */
  shares(peer: PeerId): ReadonlySet<string> {
    const key = keyPart(peer);
    return key === this.#own ? this.#all : (this.#granted.get(key) ?? NOTHING);
  }

  /** Names that are tied to nobody yet. */
  waiting(): string[] {
    return [...this.#awaited.keys()];
  }

  /** All texts that shares are for. */
  names(): string[] {
    return [...this.#shares.keys()];
  }

  /** Whether this one bears a name of which it is not clear yet to whom it belongs. */
  isUndecided(peer: PeerId): boolean {
    const key = keyPart(peer);
    for (const { bearers, ambiguous } of this.#awaited.values()) if (!ambiguous && bearers.has(key)) return true;
    return false;
  }

  /** A peer is here, or a one-shot is connected: its key is proved, its name is not. */
  seen(peer: PeerName, now: Millis): void {
    if (!this.any || keyPart(peer.id) === this.#own) return;
    for (const text of this.#textsOf(peer)) {
      const awaited = this.#awaited.get(text);
      if (awaited) this.#bear(awaited, peer, now);
      else this.#compare(text, peer);
    }
  }

  /** One is here no more. */
  gone(peer: PeerId): void {
    const key = keyPart(peer);
    for (const { bearers } of this.#awaited.values()) {
      const bearer = bearers.get(key);
      if (bearer?.ids.delete(peer) && bearer.ids.size === 0) bearers.delete(key);
    }
  }

  /** Ties the names that are clear by now. */
  decide(now: Millis): Decided {
    const tied: Tied[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [text, awaited] of this.#awaited) {
      const [first, ...others] = awaited.bearers.values();
      if (!first || awaited.ambiguous) continue;
      if (others.length > 0) {
        awaited.ambiguous = true;
        this.#warnings.push(this.#ambiguous(text, [first, ...others]));
      } else if (first.since + SETTLE > now) next = Math.min(next, first.since + SETTLE);
      else if (this.#known.tie(text, first.peer.id, now)) {
        this.#awaited.delete(text);
        this.#grant(text, first.peer.id);
        tied.push({ name: text, peer: first.peer, shares: this.#shares.get(text) ?? [] });
      } else {
        awaited.ambiguous = true;
        this.#warnings.push(`too many names are known: ${printable(text)} is not let in; name it by its id`);
      }
    }
    const warnings = this.#warnings;
    this.#warnings = [];
    return { tied, warnings, next: next === Number.POSITIVE_INFINITY ? undefined : next };
  }

  #begin(text: string): void {
    const id = text.toUpperCase();
    if (isPeerId(id)) {
      this.#grant(text, id);
      return;
    }
    const isBeginning = isPrefix(text);
    if (isBeginning) this.#prefixes.push(text);
    const tie = this.#known.get(text)?.id ?? (isBeginning ? this.#knownBy(id) : undefined);
    if (tie) this.#grant(text, tie);
    else this.#awaited.set(text, { bearers: new Map(), ambiguous: false });
  }

  /** The one id known under another name that begins so. */
  #knownBy(prefix: string): PeerId | undefined {
    const ids = this.#known.ids().filter((id) => id.startsWith(prefix));
    return new Set(ids.map(keyPart)).size === 1 ? ids[0] : undefined;
  }

  #grant(text: string, id: PeerId): void {
    const key = keyPart(id);
    this.#granted.set(key, new Set([...(this.#granted.get(key) ?? []), ...(this.#shares.get(text) ?? [])]));
  }

  /** What a share may be for that means this peer, not counting whole ids. */
  *#textsOf({ id, name }: PeerName): Generator<string> {
    const text = name.normalize('NFC');
    if (this.#shares.has(text) && !isPeerId(text.toUpperCase())) yield text;
    for (const prefix of this.#prefixes) if (prefix !== text && id.startsWith(prefix.toUpperCase())) yield prefix;
  }

  #bear({ bearers }: Awaited, peer: PeerName, since: Millis): void {
    const key = keyPart(peer.id);
    const known = bearers.get(key);
    if (known) {
      if (known.ids.size < BEARERS_MAX) known.ids.add(peer.id);
    } else if (bearers.size < BEARERS_MAX) bearers.set(key, { peer, ids: new Set([peer.id]), since });
  }

  /** Someone comes under a name that is tied: to its own key, or to another. */
  #compare(text: string, peer: PeerName): void {
    const tie = this.#known.get(text);
    if (!tie || keyPart(tie.id) === keyPart(peer.id)) return;
    const about = `${text} ${keyPart(peer.id)}`;
    if (this.#warned.has(about)) return;
    if (this.#warned.size >= WARNED_MAX) this.#warned.clear();
    this.#warned.add(about);
    const since = new Date(tie.since).toISOString().slice(0, 10);
    this.#warnings.push(
      `${peer.id} calls itself ${printable(peer.name)}, but ${printable(text)} is ${tie.id} here since ${since}: it sees ` +
        `nothing of ${this.#list(text)}. Where it is meant too, ask for its id (its line \`ready\` says it) and name that as well`,
    );
  }

  #ambiguous(text: string, bearers: readonly Bearer[]): string {
    const who = bearers.map(({ peer }) => `${peer.id} (${printable(peer.name)})`).join(' and ');
    return (
      `${printable(text)} is ambiguous: ${who}. None of them sees ${this.#list(text)}; ` +
      `ask the one that is meant for its id (its line \`ready\` says it), and name that: --for ID`
    );
  }

  #list(text: string): string {
    return (this.#shares.get(text) ?? []).map(printable).join(', ');
  }
}
