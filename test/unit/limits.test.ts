/** Holds lib/limits.ts to its word: every bound is in force, has its reason, and is reached by a test. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import * as limits from '../../lib/limits.js';

type Name = keyof typeof limits;

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** The test that reaches each bound, and says what happens there. */
const REACHED: Record<Name, string> = {
  ADDRESSES_MAX: 'unit/bounds-gossip',
  ALLOWED_MAX: 'unit/known',
  ANSWERS_AT_ONCE: 'unit/bounds-drive',
  ANSWERS_PER_ADDRESS: 'unit/bounds-drive',
  ANSWER_MOST_MS: 'unit/bounds-drive',
  ASKERS_MAX: 'unit/bounds-gossip',
  ASSEMBLY_MAX: 'unit/bounds-transfer',
  BEARERS_MAX: 'unit/known',
  BEHIND_MAX: 'unit/bounds-drive',
  BLOCK: 'unit/bounds-wire',
  BUCKETS: 'unit/bounds-wire',
  CACHE_BYTES: 'unit/bounds-drive',
  CHECKED_MAX: 'unit/bounds-gossip',
  CHUNKS_MAX: 'e2e/bounds',
  CLAIMERS_MAX: 'unit/tracker-bounds',
  COMPARED_MAX: 'unit/inbox-attack',
  COMPLETIONS_MAX: 'unit/below',
  COMPLETION_MS: 'e2e/completion',
  CONNECTIONS_MAX: 'unit/bounds-net',
  CONNECTIONS_PER_ADDRESS_MAX: 'e2e/bounds',
  CONSOLE_BEHIND_MAX: 'unit/console',
  CONSOLE_HISTORY_MAX: 'unit/console-parts',
  CONSOLE_LINES_MAX: 'unit/console',
  CONSOLE_NUMBERS_MAX: 'unit/console-parts',
  CONTROL_CONNECTIONS_MAX: 'unit/bounds-share',
  CONTROL_CREDIT: 'unit/control-socket',
  CONTROL_FRAME_MAX: 'unit/bounds-share',
  CONTROL_HELLO_MAX: 'unit/bounds-share',
  CONTROL_PART_BYTES: 'unit/bounds-share',
  CONTROL_PEERS_MAX: 'unit/bounds-share',
  CONTROL_REQUESTS_MAX: 'unit/control-socket',
  COPIES_MAX: 'unit/net-ways',
  COUNTER_MAX: 'unit/wire-head',
  DATAGRAM_MAX: 'unit/net-udp',
  DATAGRAM_MESSAGE_MAX: 'unit/gossip-core',
  DATAGRAM_PLAIN_MAX: 'unit/net-ways',
  DATAGRAM_QUEUE_MAX: 'unit/bounds-net',
  DEPTH_MAX: 'unit/decoders.property',
  DIALS_AT_ONCE_MAX: 'unit/bounds-net',
  DIALS_MAX: 'unit/bounds-gossip',
  DIALS_QUEUED_MAX: 'unit/bounds-gossip',
  DIALS_QUEUED_OF_ONE_MAX: 'unit/bounds-gossip',
  DIAL_BACKS_AT_ONCE_MAX: 'unit/bounds-tracker',
  DIAL_BACKS_PER_PEER_MAX: 'unit/bounds-tracker',
  DIAL_BACKS_PER_SECOND: 'unit/bounds-tracker',
  DIAL_BACKS_QUEUED_MAX: 'unit/bounds-tracker',
  FELLOWS_CHECKED_MAX: 'unit/inbox-attack',
  FETCHED_MAX: 'unit/fetched',
  FILE_SIZE_MAX: 'unit/bounds-wire',
  FOLLOWS_PER_CONNECTION_MAX: 'unit/bounds-tracker',
  FOLLOW_LOG_MAX: 'unit/bounds-tracker',
  FOUND_MAX: 'unit/listing',
  FRAME_MAX: 'unit/wire-frame',
  DIGEST_MAX: 'unit/bounds-wire',
  GATHERED_MAX: 'unit/bounds-gossip',
  GONE_OFFERS_MAX: 'unit/bounds-gossip',
  GONE_SHELVES_MAX: 'unit/bounds-gossip',
  HALF_OPEN_MAX: 'unit/bounds-net',
  HALF_OPEN_PER_ADDRESS_MAX: 'e2e/hostile',
  HANDSHAKES_PER_SECOND: 'unit/bounds-net',
  HANDSHAKE_MS: 'e2e/hostile',
  HASHED_MAX: 'unit/bounds-drive',
  HASH_ENTRIES_MAX: 'unit/bounds-share',
  HEARD_HOSTS_MAX: 'unit/doctor-probe',
  HITS_MAX: 'unit/bounds-gossip',
  HOLDINGS_MAX: 'unit/tracker-bounds',
  HOLDING_BYTES_MAX: 'unit/tracker-bounds',
  HOLD_BYTES_PER_SECOND: 'e2e/tracker-hostile',
  IGNORE_FILE_MAX: 'unit/bounds-share',
  INBOX_HOSTS_MAX: 'unit/inbox-attack',
  INBOX_LINGERING_MAX: 'unit/inbox-attack',
  INBOX_OPEN_MAX: 'unit/inbox',
  INBOX_OPEN_OF_ONE_MAX: 'unit/inbox',
  INBOX_OVER_MAX: 'unit/inbox',
  INBOX_UNKEPT_MAX: 'unit/inbox-attack',
  INBOX_UNKEPT_MS: 'unit/inbox-attack',
  ITEMS_QUEUED_MAX: 'unit/bounds-transfer',
  JOBS_ENDED_MAX: 'unit/jobs',
  JOBS_MAX: 'unit/jobs',
  JOB_FILES_MAX: 'unit/jobs-state',
  KNOWN_MAX: 'unit/known',
  LISTED_MAX: 'unit/remembered',
  LOG_FILES: 'unit/daemon-log',
  LOG_FILE_MAX: 'unit/daemon-log',
  LOG_SERVED_MAX: 'unit/daemon-log',
  LOG_SERVED_PEERS_MAX: 'unit/daemon-log',
  LOG_WAITING_MAX: 'unit/daemon-log',
  LOOKED_MAX: 'unit/bounds-drive',
  LOOKS_MAX: 'unit/bounds-share',
  MANIFEST_PAGE: 'unit/bounds-wire',
  MET_MAX: 'e2e/bounds',
  MIRROR_OFFERS_MAX: 'e2e/tracker-peers',
  MIRROR_PEERS_MAX: 'e2e/tracker-peers',
  NAMES_MAX: 'unit/bounds-drive',
  NAME_MAX: 'unit/bounds-wire',
  NEAR_MAX: 'unit/ladder',
  NEIGHBOURS_MAX: 'unit/bounds-wire',
  OFFERS_MAX: 'unit/bounds-gossip',
  OFFERS_PER_PAGE: 'unit/bounds-wire',
  OFFERS_PER_PEER_MAX: 'unit/bounds-gossip',
  OPEN_FILES_MAX: 'unit/bounds-share',
  PAGE_BYTES: 'unit/gossip-core',
  PARCEL_ITEMS_MAX: 'unit/inbox',
  PATH_DEPTH_MAX: 'unit/bounds-wire',
  PATH_MAX: 'unit/bounds-wire',
  PATTERNS_MAX: 'unit/share-chosen',
  PATTERN_MAX: 'unit/gossip-query',
  PEERS_MAX: 'unit/bounds-gossip',
  PEERS_PER_ADDRESS_MAX: 'unit/bounds-gossip',
  PROMISED_MAX: 'unit/guide',
  PULLS_MAX: 'unit/bounds-gossip',
  PULSES_MAX: 'unit/pulses',
  READS_AT_ONCE: 'unit/bounds-drive',
  READY_MAX: 'unit/bounds-net',
  REFRESH_ROWS_MAX: 'unit/refresh',
  REMEMBERED_MAX: 'unit/remembered',
  RECALLS_MAX: 'unit/ladder',
  RECEIVES_MAX: 'unit/inbox',
  RECEIVES_OF_ONE_MAX: 'unit/inbox-attack',
  REGISTERED_MAX: 'unit/tracker-bounds',
  REGISTERED_PER_ADDRESS_MAX: 'unit/tracker-bounds',
  REGISTRATIONS_PER_MINUTE: 'unit/tracker-bounds',
  REGISTRATION_HOSTS_MAX: 'unit/tracker-bounds',
  RELAYS_TOLD_MAX: 'unit/tracker-bounds',
  REPORTS_MAX: 'unit/tracker-directory',
  REQUESTS_PER_CONNECTION_MAX: 'unit/bounds-drive',
  SEAL_HOSTS_MAX: 'unit/bounds-net',
  SEAL_SENDERS_MAX: 'unit/bounds-net',
  SECRET_FILE_MAX: 'unit/bounds-share',
  SECRET_MAX: 'unit/bounds-share',
  SEGMENT_MAX: 'unit/bounds-wire',
  SENDS_MAX: 'unit/inbox',
  SEND_BESIDE_MAX: 'unit/tracker-attack',
  SEND_QUEUES_MAX: 'unit/bounds-net',
  SEND_QUEUE_CUT: 'unit/bounds-net',
  SEND_QUEUE_MAX: 'unit/bounds-net',
  SEND_STALL_MS: 'unit/bounds-net',
  SEND_TO_MAX: 'unit/inbox',
  SERVED_FILE_MAX: 'unit/served',
  SERVED_MAX: 'unit/served',
  SERVED_WAITING_MAX: 'unit/bounds-share',
  SHARES_MAX: 'unit/share-change',
  SMALL_BATCH_MAX: 'unit/bounds-wire',
  SMALL_MAX: 'unit/bounds-share',
  SOURCES_MAX: 'e2e/bounds',
  SPARE_BYTES: 'unit/bounds-drive',
  STORE_LOG_MAX: 'e2e/tracker-redis',
  STORE_REPLY_ITEMS_MAX: 'unit/store-resp',
  STORE_REPLY_MAX: 'unit/store-resp',
  STORE_TRACKERS_MAX: 'e2e/tracker-redis',
  STORE_VALUE_MAX: 'unit/store-resp',
  STORE_WAITING_MAX: 'e2e/tracker-redis',
  STRANGERS_MAX: 'unit/bounds-net',
  SUMMONED_MAX: 'unit/tracker-attack',
  SWARM_TOLD_MAX: 'unit/bounds-drive',
  TOLD_BITS_MAX: 'unit/tracker-directory',
  TOLD_HEADS_MAX: 'unit/tracker-directory',
  TOMBSTONES_MAX: 'unit/gossip-staging',
  TRACED_MAX: 'unit/bounds-drive',
  TRACKERS_KNOWN_MAX: 'unit/tracker-client',
  TRACKERS_MAX: 'unit/tracker-client',
  TRACKERS_TOLD_MAX: 'unit/bounds-wire',
  TRACKER_CONNECTIONS_MAX: 'unit/bounds-net',
  TRACKER_CONNECTIONS_PER_ADDRESS_MAX: 'unit/bounds-net',
  TRACKER_PULLS_MAX: 'unit/bounds-gossip',
  TRANSFERS_PER_CONNECTION_MAX: 'unit/bounds-drive',
  TUNNELS_MAX: 'unit/relay',
  TUNNELS_PER_ADDRESS_MAX: 'unit/tracker-attack',
  TUNNELS_PER_LINK_MAX: 'unit/relay',
  TUNNEL_IDLE_MS: 'unit/relay',
  TUNNEL_WINDOW: 'unit/relay',
  UNACKED_MAX: 'unit/bounds-transfer',
  UNWRITTEN_MAX: 'e2e/bounds',
  WARNINGS_TOLD_MAX: 'unit/bounds-drive',
  WARNINGS_TOLD_MS: 'unit/bounds-drive',
  WATCHES_MAX: 'unit/bounds-share',
  WORDS_MAX: 'unit/bounds-gossip',
};

/** Where a test reaches a smaller bound than the true one: the default that is the true one, in the words of its file. */
const DEFAULTS: Partial<Record<Name, [string, RegExp]>> = {
  ANSWERS_AT_ONCE: ['drive/paging', /most = ANSWERS_AT_ONCE\b/],
  ANSWERS_PER_ADDRESS: ['drive/paging', /mostOfOne = ANSWERS_PER_ADDRESS\b/],
  ANSWER_MOST_MS: ['drive/paging', /mostMs = ANSWER_MOST_MS\b/],
  CONNECTIONS_MAX: ['net/links', /connections: CONNECTIONS_MAX,[\s\S]*most: LinksMost = MOST\b/],
  CONNECTIONS_PER_ADDRESS_MAX: ['net/links', /perAddress: CONNECTIONS_PER_ADDRESS_MAX,/],
  CONSOLE_NUMBERS_MAX: ['cli/console-numbers', /most = CONSOLE_NUMBERS_MAX\b/],
  DIALS_AT_ONCE_MAX: ['net/links', /dials: DIALS_AT_ONCE_MAX,/],
  DIAL_BACKS_AT_ONCE_MAX: ['drive/dial-back', /most = DIAL_BACKS_AT_ONCE_MAX\b/],
  DIAL_BACKS_PER_SECOND: ['drive/dial-back', /perSecond = DIAL_BACKS_PER_SECOND\b/],
  GONE_OFFERS_MAX: ['gossip/circle', /goneOffers: GONE_OFFERS_MAX,/],
  GONE_SHELVES_MAX: ['gossip/circle', /goneShelves: GONE_SHELVES_MAX,/],
  HANDSHAKES_PER_SECOND: ['net/doorway', /perSecond = HANDSHAKES_PER_SECOND\b/],
  HASHED_MAX: ['drive/getting', /new Latest<string, string>\(HASHED_MAX\)/],
  HASH_ENTRIES_MAX: ['share/store', /options\.entriesMax \?\? HASH_ENTRIES_MAX\b/],
  HOLDING_BYTES_MAX: ['tracker/registry', /holdingBytes = HOLDING_BYTES_MAX\b/],
  LOOKED_MAX: ['drive/serve', /new Latest<string, number>\(LOOKED_MAX\)/],
  MIRROR_OFFERS_MAX: ['drive/trackers', /options\.mirror \?\? \{ offers: MIRROR_OFFERS_MAX,/],
  MIRROR_PEERS_MAX: ['drive/trackers', /peers: MIRROR_PEERS_MAX \}/],
  OFFERS_MAX: ['gossip/circle', /offers: OFFERS_MAX,[\s\S]*most: CircleMost = MOST\b/],
  OPEN_FILES_MAX: ['share/source', /most: number = OPEN_FILES_MAX\b/],
  PEERS_MAX: ['gossip/circle', /peers: PEERS_MAX,/],
  PEERS_PER_ADDRESS_MAX: ['gossip/circle', /perAddress: PEERS_PER_ADDRESS_MAX,/],
  REGISTERED_MAX: ['tracker/registry', /peers = REGISTERED_MAX\b/],
  TOLD_BITS_MAX: ['tracker/directory', /mostBits: TOLD_BITS_MAX\b/],
  TOLD_HEADS_MAX: ['tracker/directory', /mostChecks: TOLD_HEADS_MAX\b/],
};

const names = Object.keys(limits) as Name[];
const lib = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.split(sep).join('/'));

/** The names that a source imports from the limits. */
function imported(source: string): string[] {
  const found = /import \{([^}]*)\} from '[./\w]*\/limits\.js';/.exec(source);
  return found ? found[1].split(',').map((name) => name.trim()) : [];
}

test('every bound is in force somewhere', (t) => {
  const used = new Set(lib.flatMap((path) => imported(read(`lib/${path}`))));
  t.deepEqual(
    names.filter((name) => !used.has(name)),
    [],
  );
});

test('every bound is a number above 0 that has its reason written above it', (t) => {
  const source = read('lib/limits.ts');
  for (const [name, value] of Object.entries(limits)) t.true(Number.isSafeInteger(value) && value > 0, name);
  for (const name of names) {
    // One reason may be for two that belong together.
    const above = source.slice(0, source.indexOf(`export const ${name} `)).trimEnd();
    t.regex(above.split('\n\n').at(-1) ?? '', /^\/\*\*[\s\S]{30,}\*\//, `${name} has no reason`);
  }
});

test('every bound is reached by a test that names it', (t) => {
  for (const name of names) {
    const source = read(`test/${REACHED[name]}.test.ts`);
    t.true(imported(source).includes(name), `${REACHED[name]} does not name ${name}`);
    // Beyond its import.
    t.true(source.split(new RegExp(`\\b${name}\\b`)).length > 2, `${REACHED[name]} does nothing with ${name}`);
  }
});

test('where a test reaches a smaller bound, the default is the true one', (t) => {
  for (const [name, [path, pattern]] of Object.entries(DEFAULTS)) {
    t.regex(read(`lib/${path}.ts`), pattern, name);
  }
});
