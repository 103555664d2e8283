/**
 * The settings: option, environment, config file, config/default.toml, in this order; each layer checked by itself, so
 * that an error names where the value stands.
 */
import { readFile } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { HearsayError, reasonOf } from '../errors.js';
import { ALLOWED_MAX, LISTED_MAX, NAME_MAX, PATTERN_MAX, PATTERNS_MAX } from '../limits.js';
import { segmentFault } from '../names.js';
import { parseGroup, parseHostPort } from './address.js';
import {
  DAYS_EXPECTED,
  HOURS_EXPECTED,
  type LimitRule,
  parseDays,
  parseHours,
  parseRate,
  RATE_EXPECTED,
} from './rates.js';
import { cleanSecret, type GivenSecret, readSecretFile } from './secret.js';

/** Something to share, and how to call it. */
export interface SharedPath {
  /** Absolute. */
  path: string;
  /** The share's name, where it is not the path's own last segment. */
  as?: string;
  /** Names or ids of the only peers that may see it, where not everyone may. */
  for?: string[];
  /** Patterns of the only files of it that are offered, where not all are; see Chosen. */
  only?: string[];
  /** Patterns of files and folders of it that are not. */
  exclude?: string[];
}

/** Somebody whom a config file says to be at a host. */
export interface ListedPeer {
  /** What it is called. */
  name: string;
  /** A name or an address. */
  host: string;
  /** TCP; left out, the usual one. */
  port?: number;
}

/** What becomes of what another wants to send here. */
export type InboxRule = 'ask' | 'accept' | 'refuse';

export interface Settings {
  /** What people call this peer. */
  name: string;
  /** The TCP port that was asked for, 0 for any; undefined where only config/default.toml names one. */
  port: number | undefined;
  /** The TCP port of config/default.toml: to be tried first, then the next ones, where `port` is undefined. */
  defaultPort: number;
  /** Each HOST or HOST:PORT; see parseHostPort. */
  join: string[];
  /** Who is to be joined besides, by name. */
  peers: ListedPeer[];
  multicast: boolean;
  /** ADDR:PORT; see parseGroup. */
  group: string;
  interface: string[];
  /** The group's secret; undefined for the open group. */
  secret: GivenSecret | undefined;
  /** Seconds. */
  wait: number;
  /** Seconds. */
  timeout: number;
  /** Absolute. */
  state: string;
  /** Seconds. */
  rescan: number;
  /** Whether this peer is the registry too. */
  tracker: boolean;
  /** Where the registry is kept: "" in memory, else the URL of a Redis that several trackers share. */
  'tracker-store': string;
  /** Whether it passes on between peers that cannot reach each other: `tracker` where it is a tracker. */
  relay: boolean | 'tracker';
  share: SharedPath[];
  /** Whether the shares are those of the command line or the program, which stand in place of the config file's. */
  sharesGiven: boolean;
  /** Whether this peer only serves, and fetches nothing. */
  'seed-only': boolean;
  /** Whether what it fetched for somebody goes on being served. */
  seed: boolean;
  /** Large files, and batches of small ones, fetched at a time. */
  transfers: number;
  /** What becomes of what others send here; for some peers, by name or id, another. */
  inbox: InboxRule;
  'inbox-rules': Record<string, InboxRule>;
  /** Where it goes, absolute. */
  'inbox-folder': string;
  /** Of all that it sends, and fetches; see parseRate. */
  'limit-up': string | number;
  'limit-down': string | number;
  /** Other limits at some hours: the first that fits holds. */
  limit: LimitRule[];
}

/** Options of the command line or the library; numbers may be the text that a person typed. */
export interface Flags {
  name?: string | undefined;
  port?: string | number | undefined;
  join?: readonly string[] | undefined;
  peers?: readonly { name: string; host: string; port?: number | undefined }[] | undefined;
  /** false: none; a text: the group. */
  multicast?: boolean | string | undefined;
  group?: string | undefined;
  interface?: readonly string[] | undefined;
  wait?: string | number | undefined;
  timeout?: string | number | undefined;
  /** The path of a file whose first line is the secret. */
  secretFile?: string | undefined;
  /** The secret itself: of the library only, as what is typed can be read by others. */
  secret?: string | undefined;
  state?: string | undefined;
  rescan?: string | number | undefined;
  tracker?: boolean | undefined;
  'tracker-store'?: string | undefined;
  relay?: boolean | undefined;
  share?: readonly (string | GivenShare)[] | undefined;
  'seed-only'?: boolean | undefined;
  seed?: boolean | undefined;
  transfers?: string | number | undefined;
  inbox?: string | undefined;
  'inbox-rules'?: Record<string, string> | undefined;
  'inbox-folder'?: string | undefined;
  'limit-up'?: string | number | undefined;
  'limit-down'?: string | number | undefined;
}

interface GivenShare {
  path: string;
  as?: string | undefined;
  for?: string[] | undefined;
  only?: string[] | undefined;
  exclude?: string[] | undefined;
}

export interface SettingsSource {
  flags?: Flags;
  env?: Readonly<Record<string, string | undefined>>;
  /** Read instead of the platform's own, which need not exist; this one must. */
  configFile?: string | undefined;
  /** Where the platform keeps config files and data; by env-paths. */
  folders?: { config: string; data: string };
}

const DEFAULTS = fileURLToPath(new URL('../../../config/default.toml', import.meta.url));

const parses = (what: (text: string) => unknown) => (text: string) => {
  try {
    what(text);
    return true;
  } catch {
    return false;
  }
};
// Whatever the default is, it is taken: so no port is written in it.
const isHost = (text: string) =>
  parses((host) => parseHostPort(host, 1))(text) && [1, 2].every((port) => parseHostPort(text, port).port === port);
const isStore = (text: string) => text === '' || (/^rediss?:\/\/./.test(text) && URL.canParse(text));
const rate = z.union([z.string(), z.number()]).refine((given) => parses(parseRate)(`${given}`));
const seconds = (min: number, max: number) => z.number().min(min).max(max);
// Control characters would spoil every line that the name is printed in.
const nameText = z.string().refine((text) => Buffer.byteLength(text) <= NAME_MAX && !/\p{Cc}/u.test(text));
const shareAs = z.string().refine((text) => segmentFault(text) === undefined);
const patterns = z.array(z.string().min(1).max(PATTERN_MAX)).min(1).max(PATTERNS_MAX);
const shareFor = z.array(nameText.min(1)).min(1).max(ALLOWED_MAX);

const inboxRule = z.enum(['ask', 'accept', 'refuse']);
const INBOX_EXPECTED = '"ask", "accept" or "refuse"';

/** Each setting: its check, and what it should be, in words. */
const KEYS = {
  name: [nameText, `a text of at most ${NAME_MAX} bytes without control characters`],
  port: [z.int().min(0).max(65535), 'a whole number from 0 to 65535'],
  join: [z.array(z.string().refine(parses((text) => parseHostPort(text, 1)))), 'a list of HOST or HOST:PORT'],
  peers: [
    z
      .array(
        z.strictObject({
          name: nameText.min(1),
          host: z.string().refine(isHost),
          port: z.int().min(1).max(65535).optional(),
        }),
      )
      .max(LISTED_MAX),
    `at most ${LISTED_MAX} of { name = "NAME", host = "HOST", port = 47748 }; a port of its own is not part of the host`,
  ],
  multicast: [z.boolean(), 'true or false'],
  group: [z.string().refine(parses(parseGroup)), 'an IPv4 multicast address and a port, as in "239.255.47.48:47748"'],
  interface: [z.array(z.string().min(1)), 'a list of names of network cards'],
  'secret-file': [z.string(), 'the path of a file'],
  wait: [seconds(0.1, 3600), 'seconds, from 0.1 to 3600'],
  timeout: [seconds(1, 86_400), 'seconds, from 1 to 86400'],
  state: [z.string(), 'the path of a folder'],
  rescan: [seconds(1, 2_000_000), 'seconds, from 1 to 2000000'],
  tracker: [z.boolean(), 'true or false'],
  'tracker-store': [z.string().refine(isStore), 'a URL like "redis://host:6379/0", or ""'],
  relay: [z.union([z.boolean(), z.literal('tracker')]), 'true, false or "tracker"'],
  share: [
    z.array(
      z.union([
        z.string().min(1),
        z.strictObject({
          path: z.string().min(1),
          as: shareAs.optional(),
          for: shareFor.optional(),
          only: patterns.optional(),
          exclude: patterns.optional(),
        }),
      ]),
    ),
    'a list of paths, or of { path = "...", as = "NAME", for = ["PEER"], only = ["PATTERN"], exclude = ["PATTERN"] }',
  ],
  'seed-only': [z.boolean(), 'true or false'],
  seed: [z.boolean(), 'true or false'],
  transfers: [z.int().min(1).max(100), 'a whole number from 1 to 100'],
  inbox: [inboxRule, INBOX_EXPECTED],
  'inbox-rules': [
    z.record(nameText.min(1), inboxRule).refine((rules) => Object.keys(rules).length <= ALLOWED_MAX),
    `at most ${ALLOWED_MAX} of "PEER" = ${INBOX_EXPECTED}`,
  ],
  'inbox-folder': [z.string(), 'the path of a folder'],
  'limit-up': [rate, RATE_EXPECTED],
  'limit-down': [rate, RATE_EXPECTED],
  limit: [
    z.array(
      z.strictObject({
        hours: z.string().refine(parses(parseHours)),
        days: z.string().refine(parses(parseDays)).optional(),
        up: rate.optional(),
        down: rate.optional(),
      }),
    ),
    `a list of { hours, days, up, down }: ${HOURS_EXPECTED}; ${DAYS_EXPECTED}, or none for every day; ${RATE_EXPECTED}`,
  ],
} as const satisfies Record<string, readonly [z.ZodType, string]>;

type Key = keyof typeof KEYS;
type Layer = { [K in Key]?: z.infer<(typeof KEYS)[K][0]> };

const isKey = (text: string): text is Key => Object.hasOwn(KEYS, text);

/**
 * Checks one layer.
 * @param fault makes the error from a key and what is wrong with it
 */
function check(values: Record<string, unknown>, fault: (key: string, what: string) => HearsayError): Layer {
  for (const [key, value] of Object.entries(values)) {
    if (!isKey(key)) throw fault(key, `no such setting; there are ${Object.keys(KEYS).join(', ')}`);
    const [schema, expected] = KEYS[key];
    if (schema.safeParse(value).success) continue;
    // There may be a password in it.
    const given = key === 'tracker-store' ? '' : `, not ${JSON.stringify(value)}`;
    throw fault(key, `expected ${expected}${given}`);
  }
  return values;
}

/** A path of a config file: relative to the file's folder, or to the home folder. */
function fromFile(file: string, path: string): string {
  return /^~(?=$|[\\/])/.test(path) ? join(homedir(), path.slice(1)) : resolve(dirname(file), path);
}

/** @param optional whether the file may be missing */
async function readLayer(file: string, optional: boolean): Promise<Layer> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (thrown) {
    if (optional && (thrown as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new HearsayError('config', `the config file ${file} cannot be read: ${reasonOf(thrown)}`, { cause: thrown });
  }
  let values: Record<string, unknown>;
  try {
    values = parse(text);
  } catch (thrown) {
    const where = thrown instanceof TomlError ? `:${thrown.line}:${thrown.column}` : '';
    const why = String((thrown as Error).message).split('\n')[0];
    throw new HearsayError('config', `${file}${where}: ${why}`, { cause: thrown });
  }
  const layer = check(values, (key, what) => new HearsayError('config', `${file}: ${key}: ${what}`));
  if (layer.state) layer.state = fromFile(file, layer.state);
  if (layer['inbox-folder']) layer['inbox-folder'] = fromFile(file, layer['inbox-folder']);
  if (layer['secret-file']) layer['secret-file'] = fromFile(file, layer['secret-file']);
  if (layer.share) {
    layer.share = layer.share.map((item) =>
      typeof item === 'string' ? fromFile(file, item) : { ...item, path: fromFile(file, item.path) },
    );
  }
  return layer;
}

/** A number that was typed; what is none stays text, for the check to name. */
function typed(value: string | number): unknown {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
}

function flagLayer(flags: Flags): Layer {
  const values: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(flags)) {
    if (isKey(key) && value !== undefined) values[key] = value;
  }
  for (const key of ['port', 'wait', 'timeout', 'rescan', 'transfers'] as const) {
    const value = flags[key];
    if (value !== undefined) values[key] = typed(value);
  }
  if (typeof flags.multicast === 'string') {
    values.group = flags.multicast;
    values.multicast = true;
  }
  const optionOf = (key: string) => (key === 'group' ? '--multicast' : `--${key}`);
  return check(values, (key, what) => new HearsayError('usage', `${optionOf(key)}: ${what}`));
}

/**
 * The secret: the library's, that of the option, of the environment, of the config file. An empty one is an error, never
 * the open group: who wanted to be private must not be public by mistake.
 * @param configured the config file's key
 */
async function secretOf(
  flags: Flags,
  env: SettingsSource['env'],
  configured: string,
): Promise<GivenSecret | undefined> {
  const usage = (where: string) => (what: string) => new HearsayError('usage', `${where}: ${what}`);
  // A program without types may give anything.
  for (const key of ['secret', 'secretFile'] as const) {
    if (flags[key] !== undefined && typeof flags[key] !== 'string') throw usage(key)('expected a text');
  }
  if (flags.secret !== undefined) return { text: cleanSecret(flags.secret, usage('secret')), warnings: [] };
  if (flags.secretFile === '') throw usage('--secret-file')('expected the path of a file');
  if (flags.secretFile !== undefined) return readSecretFile(resolve(flags.secretFile), 'usage', '--secret-file');
  const given = env?.HEARSAY_SECRET;
  if (given !== undefined) return { text: cleanSecret(given, usage('HEARSAY_SECRET')), warnings: [] };
  return configured === '' ? undefined : readSecretFile(configured, 'config', 'secret-file');
}

/** Where people look for what came: among their downloads. */
function inboxFolder(env: SettingsSource['env']): string {
  const said = env?.XDG_DOWNLOAD_DIR;
  return join(said !== undefined && isAbsolute(said) ? said : join(homedir(), 'Downloads'), 'hearsay');
}

/** This machine's name, as short as people say it and as long as a heartbeat can carry. */
function machineName(): string {
  const label = hostname()
    .split('.')[0]
    .replace(/\p{Cc}/gu, '');
  let name = '';
  for (const char of label.toWellFormed()) {
    if (Buffer.byteLength(name + char) > NAME_MAX) break;
    name += char;
  }
  return name || 'hearsay';
}

/**
 * Reads and checks every layer.
 * @throws HearsayError `config` for a file, naming file, key and what is expected; `usage` for an option
 */
export async function loadSettings(source: SettingsSource = {}): Promise<Settings> {
  const { flags = {}, env = {}, configFile } = source;
  const folders = source.folders ?? envPaths('hearsay', { suffix: '' });
  const defaults = (await readLayer(DEFAULTS, false)) as Required<Layer>;
  const given: Layer = {
    ...(configFile !== undefined
      ? await readLayer(resolve(configFile), false)
      : await readLayer(join(folders.config, 'config.toml'), true)),
    ...(env.HEARSAY_STATE ? { state: env.HEARSAY_STATE } : {}),
    ...flagLayer(flags),
  };
  const { 'secret-file': secretFile, ...all } = { ...defaults, ...given };
  return {
    ...all,
    // An option holds at all hours.
    limit: all.limit.map(({ hours, days, up, down }) => ({
      hours,
      ...(days === undefined ? {} : { days }),
      ...(up === undefined || flags['limit-up'] !== undefined ? {} : { up }),
      ...(down === undefined || flags['limit-down'] !== undefined ? {} : { down }),
    })),
    secret: await secretOf(flags, env, secretFile),
    name: all.name || machineName(),
    port: given.port,
    defaultPort: defaults.port,
    state: all.state === '' ? folders.data : resolve(all.state),
    'inbox-folder': all['inbox-folder'] === '' ? inboxFolder(env) : resolve(all['inbox-folder']),
    share: all.share.map((item) => {
      const { path, as, for: whose, only, exclude } = typeof item === 'string' ? { path: item } : item;
      return {
        path: resolve(path),
        ...(as === undefined ? {} : { as }),
        ...(whose ? { for: whose } : {}),
        ...(only ? { only } : {}),
        ...(exclude ? { exclude } : {}),
      };
    }),
    sharesGiven: flags.share !== undefined,
  };
}
