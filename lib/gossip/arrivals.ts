/**
 * Arrivals: what was fetched of another writer's offers, proved and put in its place.
 * Owns nothing. Always true: nothing counts that does not have the root which its writer signed; no state counts that is older
 * than what is kept, nor, where nothing is kept that it follows on, older than what the writer was known to have said when it
 * was asked for: so what was deleted does not come back from one who is behind.
 * Called by pulls and rounds.
 */
import type { PeerId } from '../ids.js';
import { BUCKETS } from '../limits.js';
import type { Offer } from '../offer.js';
import type { Proof } from '../shelf/shelf.js';
import type { Stage } from '../shelf/stage.js';
import type { Applied } from '../shelf/staging.js';
import { EMPTY_ROOT } from '../shelf/tree.js';
import type { Head } from '../wire/head.js';
import type { Circle } from './circle.js';
import type { Context } from './context.js';
import type { Heads } from './heads.js';
import { isBehind, type Member } from './member.js';

/** An answer that is whole. */
export interface Arrival {
  /** Who gave it. */
  from: PeerId;
  /** The writer's newest head when it was asked for. */
  asked: Head;
  /** The version that its offers follow on, where they replace no buckets. */
  version: number;
  offers: Offer[];
  /** What was put together of them already, where they are many. */
  stage?: Stage;
  /** The room that they take. */
  load: number;
  /** Bit set of the buckets that they replace whole, or none. */
  replaced: Uint8Array;
  /** The head that the result must fit. */
  proof: Proof;
}

/** `taken`: it counts now, or was known. `old`: whoever gave it is behind. `unfit`: it is not what the writer signed. */
export type Outcome = 'taken' | 'old' | 'unfit';

export class Arrivals {
  readonly #context: Context;
  readonly #circle: Circle;
  readonly #heads: Heads;

  constructor(context: Context, circle: Circle, heads: Heads) {
    this.#context = context;
    this.#circle = circle;
    this.#heads = heads;
  }

  /** Takes an answer, if it is what the writer signed and is not behind. */
  take(member: Member, arrival: Arrival): Outcome {
    const found = this.#check(member, arrival);
    if (!found) return 'unfit';
    const { head, proof } = found;
    if (head.epoch < member.head.epoch) return 'old';
    this.#circle.meet(head, proof, member.via);
    const { shelf } = member;
    if (shelf && (head.epoch < shelf.epoch || (head.epoch === shelf.epoch && head.version <= shelf.version))) {
      // As new as what has come meanwhile: nothing to apply.
      return isBehind(member) ? 'old' : 'taken';
    }
    const { asked } = arrival;
    if (shelf?.epoch !== head.epoch && head.epoch === asked.epoch && head.version < asked.version) return 'old';
    // The tombstones in it do not stay, nor what is replaced; where that is much, all is fetched anew.
    const load = arrival.load + (isWhole(arrival.replaced) ? 0 : (shelf?.load ?? 0));
    const room = this.#circle.takeRoom(head, shelf, load);
    const applied = room ? this.#apply(member, arrival, head, proof) : undefined;
    if (!applied) return 'unfit';
    this.#circle.commit(member, applied);
    return 'taken';
  }

  /** Nothing at all needs no fetching: the signed root of nothing says it. */
  takeEmpty(member: Member): boolean {
    const { head, proof } = member;
    if (head.count !== 0 || Buffer.compare(head.root, EMPTY_ROOT) !== 0) return false;
    const applied = this.#context.shelving.applyWhole(member.shelf, member.id, [], head, proof);
    if (applied) this.#circle.commit(member, applied);
    return applied !== undefined;
  }

  /** Its head: checked, or the one of the same state that was checked before. */
  #check(member: Member, { from, proof }: Arrival): { head: Head; proof: Proof } | undefined {
    const { head: known } = member;
    if (proof.head === member.proof.head) return { head: known, proof: member.proof };
    const said = this.#heads.peek(proof);
    if (said?.id !== member.id) return undefined;
    const isSame = said.epoch === known.epoch && said.version === known.version;
    if (isSame) return { head: known, proof: member.proof };
    const head = this.#heads.check(proof, { kind: 'link', peer: from });
    return head && { head, proof };
  }

  #apply(member: Member, arrival: Arrival, head: Head, proof: Proof): Applied | undefined {
    const { shelving } = this.#context;
    const { offers, stage, replaced, version } = arrival;
    this.#circle.settle(member);
    if (stage?.isLarge) return shelving.applyStage(stage, member.shelf, head, proof);
    if (replaced.length === 0) return shelving.applyDelta(member.shelf, member.id, version, offers, head, proof);
    if (isWhole(replaced)) return shelving.applyWhole(member.shelf, member.id, offers, head, proof);
    return member.shelf && shelving.applyBuckets(member.shelf, replaced, offers, head, proof);
  }
}

/** Whether all buckets are replaced. */
function isWhole(replaced: Uint8Array): boolean {
  return replaced.length === BUCKETS / 8 && replaced.every((byte) => byte === 255);
}
