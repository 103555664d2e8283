import type { ShareEvent } from '../api.js';
import { type Endpoint, formatEndpoint } from '../endpoint.js';
import type { Filter } from '../net/link.js';
import { redisPlace } from '../net/redis.js';
import { parseGroup, parseHostPort } from '../share/address.js';
import { type InboxRule, loadSettings, type Settings } from '../share/settings.js';
import type { Joining } from './joins.js';

/** How a peer is to run. What is left out comes from the environment, the config file and config/default.toml. */
export interface PeerOptions {
  /**
   * Files and folders to share; `as` names a folder otherwise; `for`: names or ids of the only peers that may see it; `only`,
   * `exclude`: patterns that choose files of a folder. Left out: those of the config file.
   */
  share?: (string | { path: string; as?: string; for?: string[]; only?: string[]; exclude?: string[] })[];
  /** Whether it only serves, and fetches nothing. */
  seedOnly?: boolean;
  /** What becomes of what others send here; for some peers, by name or id, another. Left out: somebody has to `answer`. */
  inbox?: InboxRule;
  inboxRules?: Record<string, InboxRule>;
  /** Where what others send goes. */
  inboxFolder?: string;
  /** Bytes a second that it sends, and fetches, at most: a number, or as a text "20MB/s"; 0 or "none" for no limit. */
  limitUp?: string | number;
  limitDown?: string | number;
  /** Whether what it fetched goes on being served. */
  seed?: boolean;
  /** Large files, and batches of small ones, fetched at a time. */
  transfers?: number;
  /** The state folder. One long-lived peer a folder. */
  state?: string;
  /** What people call this peer. */
  name?: string;
  /** TCP port; 0 any. Left out: 47748, or the next free one. */
  port?: number;
  /** HOST or HOST:PORT of peers to connect to. */
  join?: string[];
  /** The same with their names: a warning tells where somebody else answers. */
  peers?: { name: string; host: string; port?: number }[];
  /** false: neither multicast nor broadcast. */
  multicast?: boolean;
  /** The multicast group, ADDR:PORT. */
  group?: string;
  /** The group's secret: only who has it too can see and read anything. Left out: that of the settings, or none. */
  secret?: string;
  /** Only these network cards. */
  interfaces?: string[];
  /** A one-shot: asks, is not listed, shares nothing. */
  passive?: boolean;
  /** A one-shot that keeps up with what changes. */
  follow?: boolean;
  /** A one-shot that listens where a long-lived peer would, as it is to be seen whether others can connect there. */
  listens?: boolean;
  /** Seconds that a one-shot waits for answers at most. */
  wait?: number;
  /** Seconds without anything arriving after which a get gives up. */
  timeout?: number;
  /** Seconds between full rescans of what is shared. */
  rescan?: number;
  /** Whether this peer is the registry too, for those whom multicast does not reach. */
  tracker?: boolean;
  /** Where its registry is kept: the URL of a Redis that several trackers share; left out, in memory. */
  trackerStore?: string;
  /** Whether it passes on between peers that cannot reach each other; left out, where it is a tracker. */
  relay?: boolean;
  /** Up to which size a tracker's registry is copied here; a larger one is asked. Left out: 20,000 offers of 1,000 peers. */
  mirror?: { offers: number; peers: number };
  /** A config file in place of the platform's own. */
  config?: string;
  /** Told of what happens. */
  onEvent?(event: ShareEvent): void;
  /** Keeps what is sent and received from the start for who traces first. */
  trace?: boolean;
  /** Sees each message and may change or drop it: for tests and demonstrations. */
  filter?: Filter;
}

export interface Settled extends Settings {
  passive: boolean;
  follow: boolean;
  listens: boolean;
  /** Whether it passes on between peers that cannot reach each other. */
  relays: boolean;
  joins: Joining[];
  groupAddress: Endpoint;
}

/** Settings that may change while a peer runs. */
const LIVE: readonly (keyof Settings)[] = [
  ...(['timeout', 'seed-only', 'seed', 'transfers', 'limit-up', 'limit-down', 'limit'] as const),
  ...(['inbox', 'inbox-rules', 'inbox-folder', 'peers'] as const),
];
/** Those that are compared otherwise, that say nothing to a long-lived peer, and what follows from others. */
const APART: readonly (keyof Settled)[] = [
  ...(['share', 'sharesGiven', 'wait'] as const),
  ...(['passive', 'follow', 'listens', 'relays', 'joins', 'groupAddress'] as const),
];

/** Which settings differ, by their names in a config file: those that may change now, and those that need a restart. */
export function differences(before: Settings, after: Settings): { applied: string[]; restart: string[] } {
  const isOther = (key: keyof Settings) => JSON.stringify(before[key]) !== JSON.stringify(after[key]);
  const all = (Object.keys(after) as (keyof Settings)[]).filter((key) => !APART.includes(key) && key in before);
  const other = all.filter(isOther);
  const named: Partial<Record<keyof Settings, string>> = { defaultPort: 'port', secret: 'secret-file' };
  const restart = other.filter((key) => !LIVE.includes(key)).map((key) => named[key] ?? key);
  return { applied: other.filter((key) => LIVE.includes(key)), restart: [...new Set(restart)] };
}

/** Settings with those that may change now as they are in others. */
export function renewed(before: Settled, after: Settings): Settled {
  const live = Object.fromEntries(LIVE.map((key) => [key, after[key]])) as Partial<Settings>;
  const settled = { ...before, ...live };
  return { ...settled, joins: joinsOf(settled) };
}

/** All hosts that are to be joined. One that is named in both ways goes by its name. */
export function joinsOf({ join, peers, defaultPort }: Settings): Joining[] {
  const listed = peers.map(({ name, host, port = defaultPort }) => ({ ...parseHostPort(host, port), name }));
  const named = new Set(listed.map(formatEndpoint));
  const others = join
    .map((text) => parseHostPort(text, defaultPort))
    .filter((host) => !named.has(formatEndpoint(host)));
  return [...others, ...listed];
}

/** @throws HearsayError `usage`, `config` */
export async function settle(options: PeerOptions): Promise<Settled> {
  const { share, state, name, port, join, multicast, group, interfaces, wait, timeout, rescan, secret } = options;
  const { limitUp, limitDown, tracker, trackerStore, relay, seedOnly, seed, transfers } = options;
  const { inbox, inboxRules, inboxFolder, peers } = options;
  const flags = {
    share,
    state,
    name,
    port,
    join,
    peers,
    multicast,
    group,
    interface: interfaces,
    wait,
    timeout,
    rescan,
    tracker,
    'tracker-store': trackerStore,
    relay,
    'seed-only': seedOnly,
    seed,
    transfers,
    inbox,
    'inbox-rules': inboxRules,
    'inbox-folder': inboxFolder,
    'limit-up': limitUp,
    'limit-down': limitDown,
    secret,
  };
  const settings = await loadSettings({ flags, env: process.env, configFile: options.config });
  if (settings['tracker-store'] !== '') redisPlace(settings['tracker-store']);
  return {
    ...settings,
    share: options.passive ? [] : settings.share,
    passive: options.passive ?? false,
    follow: options.follow ?? false,
    listens: options.listens ?? !options.passive,
    tracker: settings.tracker && !options.passive,
    relays: !options.passive && (settings.relay === 'tracker' ? settings.tracker : settings.relay),
    joins: joinsOf(settings),
    groupAddress: parseGroup(settings.group),
  };
}
