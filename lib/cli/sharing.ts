/** The options that say what a long-lived peer is and shares: those of `share`, and of the commands that start a daemon. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { asHearsayError, HearsayError } from '../errors.js';
import { parseRate } from '../share/rates.js';
import type { Flags } from '../share/settings.js';
import { listOption, manyOption } from './options.js';

export interface SharingOptions {
  as?: string;
  for?: string[];
  only?: string[];
  exclude?: string[];
  seedOnly?: boolean;
  inbox?: string;
  inboxFolder?: string;
  tracker?: boolean;
  trackerStore?: string;
  limitUp?: string;
  limitDown?: string;
}

/** The limits on what is sent and fetched. */
export function limitOptions(): [Option, Option] {
  return [
    new Option('--limit-up <rate>', 'send at most so much: 20MB/s, 500kB/s, 80Mbit/s; none for no limit'),
    new Option('--limit-down <rate>', 'fetch at most so much'),
  ];
}

/** What was said of them. @throws HearsayError `usage` where it is no rate */
export function limitFlags({ limitUp, limitDown }: Pick<SharingOptions, 'limitUp' | 'limitDown'>): Flags {
  return { ...rateFlag('limit-up', limitUp), ...rateFlag('limit-down', limitDown) };
}

function rateFlag(key: 'limit-up' | 'limit-down', text: string | undefined): Flags {
  if (text === undefined) return {};
  try {
    parseRate(text);
  } catch (thrown) {
    throw new HearsayError('usage', `--${key}: ${asHearsayError(thrown).message}, not ${JSON.stringify(text)}`);
  }
  return { [key]: text };
}

/** Adds PATHs, and the options that say how they are shared. */
export function addPaths(command: Command): Command {
  return command
    .argument('[path...]')
    .option('--as <name>', 'call the one PATH by another name')
    .addOption(listOption('--for <peer,...>', 'only these peers see and fetch it: names or, surer, ids'))
    .addOption(manyOption('--only <pattern>', 'of a folder only these files: "*.jpg", "2026/*.jpg", "drafts/"'))
    .addOption(manyOption('--exclude <pattern>', 'of a folder all but these'));
}

/** Adds PATHs and all options of a peer that shares. */
export function addSharing(command: Command): Command {
  const [limitUp, limitDown] = limitOptions();
  return addPaths(command)
    .option('--seed-only', 'only serve: what this peer is asked to fetch it refuses')
    .option('--inbox <rule>', 'what others send here: ask (the default), accept or refuse')
    .option('--inbox-folder <dir>', 'where it goes (default: the folder hearsay among your downloads)')
    .option(
      '--tracker',
      'be the registry too, for those whom multicast does not reach: they say --join HOST; needs no PATH',
    )
    .option('--tracker-store <url>', 'a Redis through which several trackers serve one registry (default: in memory)')
    .addOption(limitUp)
    .addOption(limitDown);
}

/**
 * How PATHs are to be shared, without what was not said.
 * @throws HearsayError `usage`
 */
export function howShared(
  paths: readonly string[],
  { as, for: whose, only, exclude }: SharingOptions,
): Pick<SharingOptions, 'as' | 'for' | 'only' | 'exclude'> {
  if (whose && whose.length === 0) throw new HearsayError('usage', '--for names nobody');
  if (whose && paths.length === 0)
    throw new HearsayError('usage', '--for says who may see the PATHs, and there are none');
  if ((only || exclude) && paths.length === 0) {
    throw new HearsayError('usage', '--only and --exclude choose files of the PATHs, and there are none');
  }
  if (as !== undefined && paths.length !== 1) {
    throw new HearsayError('usage', `--as names one PATH, and there are ${paths.length}`);
  }
  return {
    ...(as === undefined ? {} : { as }),
    ...(whose ? { for: whose } : {}),
    ...(only ? { only } : {}),
    ...(exclude ? { exclude } : {}),
  };
}

/**
 * What was said with them, paths absolute.
 * @throws HearsayError `usage`
 */
export function sharingFlags(cwd: string, paths: string[], options: SharingOptions): Flags {
  const { seedOnly, inbox, inboxFolder, tracker, trackerStore } = options;
  const how = howShared(paths, options);
  const absolute = paths.map((path) => resolve(cwd, path));
  const shares = Object.keys(how).length === 0 ? absolute : absolute.map((path) => ({ path, ...how }));
  return {
    ...(shares.length > 0 ? { share: shares } : {}),
    ...(seedOnly ? { 'seed-only': seedOnly } : {}),
    ...(inbox === undefined ? {} : { inbox }),
    ...(inboxFolder === undefined ? {} : { 'inbox-folder': resolve(cwd, inboxFolder) }),
    ...limitFlags(options),
    ...(tracker ? { tracker } : {}),
    ...(trackerStore === undefined ? {} : { 'tracker-store': trackerStore }),
  };
}
