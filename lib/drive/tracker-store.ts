/** The store of a tracker, as the settings name it, and what people hear of it. */
import type { ShareEvent } from '../api.js';
import type { Random } from '../clock.js';
import type { PeerId } from '../ids.js';
import type { GroupKeys } from '../net/group-keys.js';
import { RedisStore, type StoreHandlers } from '../net/redis-store.js';
import type { Record } from '../tracker/events.js';
import type { TrackerStore } from './tracker.js';

export interface StoreSettings {
  /** The URL of a Redis. */
  url: string;
  group: GroupKeys;
  tracker: PeerId;
  tell(event: ShareEvent): void;
  random: Random;
}

/** ms after which a tracker that is silent holds nothing any more: that of its peers, who move to another meanwhile. */
const LEASE = 12_000;

/** @throws HearsayError `usage` where the URL is none */
export function openTrackerStore({ url, group, tracker, tell, random }: StoreSettings): TrackerStore {
  const warn = (message: string) => tell({ event: 'warning', message });
  let wasAway = false;
  const store = new RedisStore({
    url,
    group,
    tracker,
    lease: LEASE,
    // That it is there is news only where it was not.
    onState: (there, message) => {
      if (!there || wasAway) warn(message);
      wasAway = !there;
    },
    onWarning: warn,
    random,
  });
  return {
    get name() {
      return store.there ? store.name : `${store.name} (away)`;
    },
    start: (handlers: StoreHandlers) => store.start(handlers),
    share: (record: Record) => store.share(record),
    stop: () => store.stop(),
  };
}
