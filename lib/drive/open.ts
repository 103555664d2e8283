import { HearsayError } from '../errors.js';
import { type GroupKeys, openGroup, privateGroup } from '../net/group-keys.js';
import { type Identity, identityOf, newPrivateKey } from '../net/keys.js';
import { Catalogue, type CatalogueOptions } from '../share/catalogue.js';
import type { ShareSpec } from '../share/entry.js';
import type { Fetched } from '../share/fetched.js';
import type { KeptTargets } from '../share/kept-jobs.js';
import { Known, type Tie } from '../share/known.js';
import { resolveShares } from '../share/resolve.js';
import { deriveMaster, type GivenSecret, secretCheck, weakness } from '../share/secret.js';
import { type RememberedPeer, StateFolder } from '../share/state.js';
import { HashStore } from '../share/store.js';
import type { JobFiles } from './jobs.js';
import type { Settled } from './options.js';
import { type Gathered, gather, keepSecret } from './shares.js';

/** What of a peer comes from its disk. */
export interface Opened {
  identity: Identity;
  /** What connections and datagrams are keyed with. */
  group: GroupKeys;
  epoch: number;
  /** Stores a higher epoch, where one was heard of this peer's own. */
  saveEpoch(epoch: number): Promise<void>;
  /** Remembered hashes, and with them the lock of the state folder; a one-shot has none. */
  store: HashStore | undefined;
  /** Makes the catalogue of what is shared; a one-shot shares nothing. */
  catalogue:
    | ((handlers: Pick<CatalogueOptions, 'onChanges' | 'onHashed' | 'onWarning' | 'onAway'>) => Catalogue)
    | undefined;
  /** What was fetched to this machine before; undefined where there is no state folder to be had. */
  fetched: Fetched | undefined;
  /** What is shared at the start. */
  gathered: Gathered;
  /** Keeps what was added to it. */
  saveShares(added: readonly ShareSpec[]): Promise<void>;
  /** Where the transfers that it is asked for are kept; a one-shot keeps none. */
  jobs: JobFiles | undefined;
  /** Makes what is known of names; a one-shot lets nobody in, and only forgets. */
  known(onWarning: (message: string) => void): Known;
  /** Who was here before, and where that is kept. */
  remembered: { peers: RememberedPeer[]; save(peers: RememberedPeer[]): Promise<void> };
  /** What a person should know of what was found. */
  warnings: string[];
}

function isKey(pem: string): boolean {
  try {
    return identityOf(pem, 0) !== undefined;
  } catch {
    return false;
  }
}

/** Whether the master key that is kept in a state folder is of another secret than this one. */
export async function isOfOther(path: string, secret: string): Promise<boolean> {
  const state = await StateFolder.open(path);
  const { key } = await state.identity(newPrivateKey, isKey, Date.now());
  const kept = await state.masterCheck();
  return kept !== undefined && kept !== secretCheck(key, secret);
}

/** Whether something was added to what is shared from a state folder at every start. */
export async function hasAdded(path: string, onWarning: (message: string) => void): Promise<boolean> {
  const state = await StateFolder.open(path);
  const added = await state.shares();
  for (const message of state.warnings) onWarning(message);
  return added.length > 0;
}

/** The keys of the secret's group, or of the open one. @param kept where the derived key is kept, with the private key */
async function groupOf(
  secret: GivenSecret | undefined,
  kept?: { state: StateFolder; key: string },
): Promise<GroupKeys> {
  if (!secret) return openGroup();
  const derive = () => deriveMaster(secret.text);
  return privateGroup(kept ? await kept.state.master(secretCheck(kept.key, secret.text), derive) : await derive());
}

function secretWarnings(secret: GivenSecret | undefined): string[] {
  const weak = secret && weakness(secret.text);
  return [...(secret?.warnings ?? []), ...(weak ? [weak] : [])];
}

/** The transfers that a peer on this state folder was asked for, and where they are kept on. */
async function jobFiles(state: StateFolder): Promise<JobFiles> {
  const kept = await state.transfers();
  const targets = new Map<number, KeptTargets>();
  for (const { number, get } of kept.jobs) {
    const fetched = get && (await state.targets(number));
    if (fetched) targets.set(number, fetched);
  }
  return {
    kept,
    targets,
    save: (jobs) => state.saveTransfers(jobs),
    saveTargets: (number, fetched) => state.saveTargets(number, fetched),
    dropTargets: (number) => state.dropTargets(number),
  };
}

/**
 * Opens the state folder and looks at what is to be shared.
 * @throws HearsayError `state-in-use`, `not-writable`, `disk-full`; `not-readable`, `usage` for what is to be shared
 */
export async function open({ passive, state: path, share, sharesGiven, rescan, secret }: Settled): Promise<Opened> {
  if (passive) return { ...(await oneShot(path, secret)), store: undefined, catalogue: undefined };
  // Settings give absolute paths. What a person just named is there; what a file names may be on a disk that is to come.
  const named = await resolveShares(share, '/', !sharesGiven);
  for (const spec of named) await keepSecret(spec, path);
  const state = await StateFolder.open(path);
  const { store, warning } = await HashStore.open(path);
  try {
    const { key, born } = await state.identity(newPrivateKey, isKey, Date.now());
    const epoch = await state.nextEpoch();
    const ties = await state.known();
    const remembered = await state.remembered();
    const jobs = await jobFiles(state);
    const from = sharesGiven ? 'started' : 'config';
    const sourced = named.map((spec) => ({ ...spec, from }) as const);
    const gathered = await gather(sourced, await state.shares(), path);
    const shares = gathered.shares.map(({ from: _, ...spec }) => spec);
    const save = (all: ReadonlyMap<string, Tie>) => state.saveKnown(all);
    return {
      identity: identityOf(key, born),
      group: await groupOf(secret, { state, key }),
      epoch,
      saveEpoch: (higher) => state.saveEpoch(higher),
      store,
      fetched: state.fetched(),
      gathered,
      saveShares: (added) => state.saveShares(added),
      jobs,
      known: (onWarning) => new Known({ ties, save, onWarning }),
      remembered: { peers: remembered, save: (peers) => state.saveRemembered(peers) },
      catalogue: (handlers) => new Catalogue({ shares, store, rescanMs: rescan * 1000, never: [path], ...handlers }),
      warnings: [
        ...state.warnings,
        ...(warning ? [warning.message] : []),
        ...gathered.warnings,
        ...secretWarnings(secret),
      ],
    };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

/**
 * A one-shot has the state folder's key and an id of its own, so that any number run beside each other and beside a
 * long-lived peer. Where there is no state folder to be had, a key for this one time does.
 */
async function oneShot(path: string, secret: GivenSecret | undefined): Promise<Omit<Opened, 'store' | 'catalogue'>> {
  const rest = {
    epoch: 1,
    saveEpoch: async () => {},
    gathered: { shares: [], added: [], warnings: [] },
    saveShares: async () => {},
    jobs: undefined,
  };
  let state: StateFolder | undefined;
  let key = newPrivateKey();
  let ties: [string, Tie][] = [];
  let peers: RememberedPeer[] = [];
  try {
    state = await StateFolder.open(path);
    ({ key } = await state.identity(newPrivateKey, isKey, Date.now()));
    ties = await state.known();
    peers = await state.remembered();
  } catch (thrown) {
    if (!(thrown instanceof HearsayError)) throw thrown;
    state = undefined;
  }
  const group = await groupOf(secret, state && { state, key });
  const warnings = [...(state?.warnings ?? []), ...secretWarnings(secret)];
  const kept = state;
  return {
    identity: identityOf(key, Date.now()),
    group,
    warnings,
    known: (onWarning) => new Known({ ties, save: async (all) => kept?.saveKnown(all), onWarning }),
    remembered: { peers, save: async (all) => kept?.saveRemembered(all) },
    fetched: kept?.fetched(),
    ...rest,
  };
}
