/**
 * Where things stand in the store of trackers that share a registry. All keys of a group begin alike, so that groups do not mix.
 *
 *   PREFIX:log               stream: what each tracker tells the others, the latest STORE_LOG_MAX entries
 *   PREFIX:trackers          set: ids of trackers, dead ones too until somebody looks
 *   PREFIX:alive:TRACKER     text: the tracker's run, and whether what it holds stands here whole; ends with its lease
 *   PREFIX:held:TRACKER      hash: peer id -> record `held`; ends with the tracker's lease
 *   PREFIX:holding:TRACKER   hash: peer id and content id -> record `holding`; likewise
 *   PREFIX:offers:TRACKER:PEER   hash: path -> offer; renewed now and then while the peer is held
 */
import { createHash } from 'node:crypto';
import type { PeerId } from '../ids.js';
import type { GroupKeys } from './group-keys.js';

export interface StoreKeys {
  log: string;
  trackers: string;
  alive(tracker: PeerId): string;
  held(tracker: PeerId): string;
  holding(tracker: PeerId): string;
  offers(tracker: PeerId, peer: PeerId): string;
}

/** A private group's keys begin with a fingerprint of its own, from which none of its keys can be told. */
export function storeKeys(group: GroupKeys): StoreKeys {
  const hash = createHash('sha256').update('hearsay store 1\0').update(group.psk);
  const prefix = `hearsay1:${group.private ? hash.digest('hex').slice(0, 16) : 'open'}`;
  return {
    log: `${prefix}:log`,
    trackers: `${prefix}:trackers`,
    alive: (tracker) => `${prefix}:alive:${tracker}`,
    held: (tracker) => `${prefix}:held:${tracker}`,
    holding: (tracker) => `${prefix}:holding:${tracker}`,
    offers: (tracker, peer) => `${prefix}:offers:${tracker}:${peer}`,
  };
}

/** The text of `alive`: which run, and whether all that the tracker holds stands in the store. */
export function aliveText(run: Uint8Array, whole: boolean): string {
  return `${Buffer.from(run).toString('hex')} ${whole ? 'whole' : 'part'}`;
}
