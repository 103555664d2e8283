import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import { type Identity, identityOf, newPrivateKey } from '../net/keys.js';
import { Catalogue, type CatalogueOptions } from '../share/catalogue.js';
import type { ShareSpec } from '../share/entry.js';
import { resolveShares } from '../share/resolve.js';
import { StateFolder } from '../share/state.js';
import { HashStore } from '../share/store.js';
import type { Settled } from './options.js';

/** What of a peer comes from its disk. */
export interface Opened {
  identity: Identity;
  epoch: number;
  /** Stores a higher epoch, where one was heard of this peer's own. */
  saveEpoch(epoch: number): Promise<void>;
  /** Remembered hashes, and with them the lock of the state folder; a one-shot has none. */
  store: HashStore | undefined;
  /** Makes the catalogue of what is shared; a one-shot shares nothing. */
  catalogue: ((handlers: Pick<CatalogueOptions, 'onChanges' | 'onHashed' | 'onWarning'>) => Catalogue) | undefined;
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

/**
 * What lies around the state folder is shared without it; what is asked for by name is refused, since it holds the
 * private key.
 */
async function keepSecret(shares: readonly ShareSpec[], state: string): Promise<void> {
  const secret = await realpath(state).catch(() => undefined);
  if (secret === undefined) return;
  for (const { path } of shares) {
    const file = await realpath(path);
    if (file !== secret && !file.startsWith(secret + sep)) continue;
    throw new HearsayError('usage', `${printable(path)} is hearsay's own state, with its private key: share another`);
  }
}

/**
 * Opens the state folder and looks at what is to be shared.
 * @throws HearsayError `state-in-use`, `not-writable`, `disk-full`; `not-readable`, `usage` for what is to be shared
 */
export async function open({ passive, state: path, share, rescan }: Settled): Promise<Opened> {
  if (passive) return { ...(await oneShot(path)), store: undefined, catalogue: undefined };
  // Settings give absolute paths.
  const shares = await resolveShares(share, '/');
  await keepSecret(shares, path);
  const state = await StateFolder.open(path);
  const { store, warning } = await HashStore.open(path);
  try {
    const { key, born } = await state.identity(newPrivateKey, isKey, Date.now());
    const epoch = await state.nextEpoch();
    return {
      identity: identityOf(key, born),
      epoch,
      saveEpoch: (higher) => state.saveEpoch(higher),
      store,
      catalogue: (handlers) => new Catalogue({ shares, store, rescanMs: rescan * 1000, never: [path], ...handlers }),
      warnings: [...state.warnings, ...(warning ? [warning.message] : [])],
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
async function oneShot(path: string): Promise<Omit<Opened, 'store' | 'catalogue'>> {
  try {
    const state = await StateFolder.open(path);
    const { key } = await state.identity(newPrivateKey, isKey, Date.now());
    return { identity: identityOf(key, Date.now()), epoch: 1, saveEpoch: async () => {}, warnings: state.warnings };
  } catch (thrown) {
    if (!(thrown instanceof HearsayError)) throw thrown;
    return { identity: identityOf(newPrivateKey(), Date.now()), epoch: 1, saveEpoch: async () => {}, warnings: [] };
  }
}
