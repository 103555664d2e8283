/**
 * What is to become of what others send here, without anybody being asked: by whom it comes from.
 *
 * Owns the rules as they are now, and what is being found out about the names in them. Always true: a rule goes by a whole id, or
 * by a name, which stands for the first key that bears it alone; who comes later under that name with another key is treated as
 * anybody; of several rules that fit the most careful one holds. Called by the inbox.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerName } from '../api.js';
import type { PeerId } from '../ids.js';
import type { Known } from '../share/known.js';
import type { InboxRule } from '../share/settings.js';
import { Allowed } from './allowed.js';
import { now } from './gossiper.js';

/** The most careful one first. */
const RULES: readonly InboxRule[] = ['refuse', 'ask', 'accept'];

/** What the settings say. */
export interface RuleSettings {
  inbox: InboxRule;
  'inbox-rules': Readonly<Record<string, InboxRule>>;
}

export class InboxRules {
  readonly #allowed: Allowed;
  readonly #here: () => Iterable<PeerName>;
  #default: InboxRule = 'ask';
  #set = '';
  #timer: NodeJS.Timeout | undefined;

  /** @param own this peer's id; `here` gives who is here */
  constructor(known: Known, own: PeerId, here: () => Iterable<PeerName>) {
    this.#allowed = new Allowed([], known, own);
    this.#here = here;
  }

  /** From now on these hold. */
  set({ inbox, 'inbox-rules': rules }: RuleSettings): void {
    this.#default = inbox;
    const said = JSON.stringify(rules);
    if (said === this.#set) return;
    this.#set = said;
    const all = Object.entries(rules);
    const named = RULES.map((name) => ({ name, for: all.filter(([, rule]) => rule === name).map(([peer]) => peer) }));
    this.#allowed.set(named.filter(({ for: whose }) => whose.length > 0));
    for (const peer of this.#here()) this.#allowed.seen(peer, now());
    this.#decide();
  }

  /** Who bears which name is to be found out anew. */
  again(settings: RuleSettings): void {
    this.#set = '';
    this.set(settings);
  }

  came(peer: PeerName): void {
    this.#allowed.seen(peer, now());
    this.#decide();
  }

  left({ id }: PeerName): void {
    this.#allowed.gone(id);
  }

  /** The rule for a peer that is connected; takes a second where it is not clear yet whether it is the one whom a name means. */
  async of(peer: PeerName): Promise<InboxRule> {
    this.#allowed.seen(peer, now());
    for (;;) {
      const { next } = this.#allowed.decide(now());
      if (!this.#allowed.isUndecided(peer.id) || next === undefined) break;
      await delay(Math.max(1, next - now()));
    }
    const fits = this.#allowed.shares(peer.id);
    return RULES.find((rule) => fits.has(rule)) ?? this.#default;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Ties the names that are clear by now. */
  #decide(): void {
    clearTimeout(this.#timer);
    const { next } = this.#allowed.decide(now());
    if (next !== undefined) this.#timer = setTimeout(() => this.#decide(), Math.max(1, next - now())).unref();
  }
}
