/**
 * Invariants by name, as scenarios call for them: each may watch while the play goes on, and judges at its end.
 * Called by the runner.
 */
import { assertNothingLost, disagreement } from './invariants.js';
import type { Stage } from './stage.js';

/** Bytes a second that a quiet network may cost in all. */
const BUDGET = 8000;
/** Peers that a newcomer may ask for what all share: its relays, who takes their place, and the writers whom it asks itself by chance. */
const SOURCES = 8;
/** Times that one host may be dialled in one second. */
const DIALS = 24;
/** A host that has been up, and whose cables have been whole, for less may be taken for gone by who heard nothing of it yet. */
const SETTLED = 5000;

interface Invariant {
  what: string;
  /** Begins to watch. @returns what is wrong at the end, if anything */
  watch(stage: Stage): () => string | undefined;
}

export const INVARIANTS = {
  converged: {
    what: 'at the end every host knows every other and all that it shares, and nothing else',
    watch: (stage) => () => disagreement(stage.up),
  },
  'nothing-lost': {
    what: 'what each host told of changes, played back, is what its index holds',
    watch: (stage) => () => {
      if (!stage.isLarge) for (const host of stage.up) assertNothingLost(host);
      return undefined;
    },
  },
  'nothing-comes-back': {
    what: 'an offer of whose deletion all knew is never told of again',
    watch: (stage) => {
      const gone = new Set<string>();
      const key = (peer: string, path: string): string => `${peer} ${path}`;
      const deleted = new Set<string>();
      stage.world.watch({
        change(host, { change, offer }) {
          if (offer.peer === host.id) {
            const known = key(offer.peer, offer.path);
            if (change === 'removed') deleted.add(known);
            else {
              deleted.delete(known);
              gone.delete(known);
            }
          } else if (change !== 'removed' && gone.size > 0 && gone.has(key(offer.peer, offer.path)))
            stage.world.blame(`${host.name} tells of ${offer.path} again`);
        },
        agreed() {
          for (const each of deleted) gone.add(each);
          deleted.clear();
        },
      });
      return () => undefined;
    },
  },
  'no-false-death': {
    what: 'no host is taken for gone that is up and can be reached',
    watch: (stage) => {
      const { world } = stage;
      world.watch({
        peer(host, change, other) {
          const since = Math.max(other.upSince, host.upSince, other.awakeSince, world.healedAt);
          if (change !== 'left' || !other.isUp || other.isAsleep || world.now - since < SETTLED) return;
          if (world.passes(host, other) && world.passes(other, host)) {
            world.blame(`${host.name} takes ${other.name} for gone, which is there`);
          }
        },
      });
      return () => undefined;
    },
  },
  budget: {
    what: 'a quiet network costs less than 8 kB a second in all, headers counted; ten times that where a third of all datagrams is lost',
    watch: (stage) => () => {
      const most = Math.max(...stage.quiet, 0);
      if (stage.quiet.length === 0) return 'it was never quiet';
      // Whoever missed a heartbeat has to ask.
      const allowed = stage.world.loss > 0.2 ? 10 * BUDGET : BUDGET;
      return most < allowed ? undefined : `${Math.round(most)} bytes a second`;
    },
  },
  'few-sources': {
    what: 'a newcomer pulls from few of the others',
    watch: (stage) => () => {
      for (const { name, pulledFrom } of stage.newcomers) {
        if (pulledFrom.size > SOURCES) return `${name} pulled from ${pulledFrom.size} peers`;
      }
      return undefined;
    },
  },
  'no-storm': {
    what: 'nobody is dialled more than 24 times in a second',
    watch: (stage) => () => {
      for (const { name, dialledMost } of stage.world.hosts) {
        if (dialledMost > DIALS) return `${name} was dialled ${dialledMost} times in a second`;
      }
      return undefined;
    },
  },
} satisfies Record<string, Invariant>;

export type InvariantName = keyof typeof INVARIANTS;
