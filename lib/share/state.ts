/**
 * The state folder: who this peer is, and how often it has started.
 *
 * Owns `identity.json`, `epoch.json`, `group.json`, `known.json`, `peers.json`, `shares.json`, `transfers.json` and what lies in `transfers`; `fetched` is Fetched's. Always true: a file is replaced whole or not at all; what is damaged is set
 * aside under another name, never wiped. Called by the peer when it starts; any number of one-shots read beside it.
 */
import { randomBytes } from 'node:crypto';
import { chmod, link, readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { isAddress } from '../endpoint.js';
import { asHearsayError, HearsayError, reasonOf } from '../errors.js';
import { isPeerId, type PeerId } from '../ids.js';
import { ADDRESSES_MAX, KNOWN_MAX, NAME_MAX, REMEMBERED_MAX, SHARES_MAX } from '../limits.js';
import { segmentFault } from '../names.js';
import type { ShareSpec } from './entry.js';
import { Fetched } from './fetched.js';
import { makeFolders } from './folders.js';
import { type KeptJobs, type KeptTargets, keptJobs, keptTargets } from './kept-jobs.js';
import type { Tie } from './known.js';

const identitySchema = z.strictObject({ born: z.int().min(0), key: z.string() });
// What is beyond is damage: no peer starts so often.
const epochSchema = z.strictObject({
  epoch: z
    .int()
    .min(0)
    .max(2 ** 47),
});
const groupSchema = z.strictObject({ check: z.string(), master: z.string().regex(/^[0-9a-f]{64}$/) });

const knownSchema = z.strictObject({
  // Pairs: as a key of an object, some names would mean something else.
  names: z.array(z.tuple([z.string(), z.strictObject({ id: z.string(), since: z.int().min(0) })])),
});

const peersSchema = z.strictObject({
  peers: z
    .array(
      z.strictObject({
        id: z.string().refine(isPeerId),
        name: z.string().refine((name) => Buffer.byteLength(name) <= NAME_MAX),
        addresses: z.array(z.string().refine(isAddress)).min(1).max(ADDRESSES_MAX),
        seen: z.int().min(0),
      }),
    )
    .max(REMEMBERED_MAX),
});

const texts = z.array(z.string().min(1)).min(1).optional();
const sharesSchema = z.strictObject({
  shares: z
    .array(
      z.strictObject({
        path: z.string().refine(isAbsolute),
        name: z.string().refine((name) => segmentFault(name) === undefined),
        for: texts,
        only: texts,
        exclude: texts,
      }),
    )
    .max(SHARES_MAX),
});

function areTies(ties: [string, Tie][]): boolean {
  return ties.length <= KNOWN_MAX && ties.every(([name, { id }]) => name === name.normalize('NFC') && isPeerId(id));
}

/** A peer that was here, and where it could be reached then. */
export interface RememberedPeer {
  id: PeerId;
  name: string;
  /** TCP, "ip:port", the most useful first. */
  addresses: string[];
  /** When it was here last, ms since 1970. */
  seen: number;
}

/** What makes a peer the same peer after a restart. */
export interface StoredIdentity {
  /** When it was made, ms. */
  born: number;
  /** The private key, PKCS#8 PEM. */
  key: string;
}

export class StateFolder {
  readonly path: string;
  /** What a person should know of what was found. */
  readonly warnings: string[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Opens a state folder, made where there is none, readable by its owner only.
   * @throws HearsayError `not-writable`, `disk-full`
   */
  static async open(path: string): Promise<StateFolder> {
    try {
      await makeFolders(path, 0o700);
    } catch (thrown) {
      const error = asHearsayError(thrown, 'not-writable');
      throw new HearsayError(error.code, `the state folder ${path} cannot be made: ${reasonOf(thrown)}`, {
        cause: thrown,
      });
    }
    const state = new StateFolder(path);
    const { mode } = await stat(path);
    if (process.platform !== 'win32' && (mode & 0o022) !== 0) {
      state.warnings.push(
        `other users can change what is in the state folder ${path}, this peer's key among it: chmod 700 it`,
      );
    }
    return state;
  }

  /**
   * The stored identity, or a new one.
   * @param make makes a private key
   * @param valid whether a key can be used
   */
  async identity(make: () => string, valid: (key: string) => boolean, now: number): Promise<StoredIdentity> {
    const known = await this.#read('identity.json', identitySchema, ({ key }) => valid(key));
    if (known) return known;
    const fresh: StoredIdentity = { born: now, key: make() };
    if (await this.#write('identity.json', fresh, true)) return fresh;
    // Another one-shot was quicker; its identity is as good.
    return (await this.#read('identity.json', identitySchema, ({ key }) => valid(key))) ?? fresh;
  }

  /** Counts a start: the stored epoch plus one, stored. */
  async nextEpoch(): Promise<number> {
    const known = await this.#read('epoch.json', epochSchema, () => true);
    const epoch = (known?.epoch ?? 0) + 1;
    await this.saveEpoch(epoch);
    return epoch;
  }

  async saveEpoch(epoch: number): Promise<void> {
    await this.#write('epoch.json', { epoch }, false);
  }

  /**
   * The master key of the group: the kept one where it is that of the present secret, else derived, and kept. What cannot
   * be kept is derived again the next time.
   * @param check see secretCheck
   */
  async master(check: string, derive: () => Promise<Buffer>): Promise<Buffer> {
    const kept = await this.#group();
    if (kept?.check === check) return Buffer.from(kept.master, 'hex');
    const master = await derive();
    await this.#write('group.json', { check, master: master.toString('hex') }, false).catch(() => {});
    return master;
  }

  /** What tells to which secret the kept master key belongs; undefined where none is kept. */
  async masterCheck(): Promise<string | undefined> {
    return (await this.#group())?.check;
  }

  async #group(): Promise<z.infer<typeof groupSchema> | undefined> {
    try {
      return groupSchema.parse(JSON.parse(await readFile(join(this.path, 'group.json'), 'utf8')));
    } catch {
      // Not there, or of no use: it is replaced, never set aside, as it is a key that can be had again.
      return undefined;
    }
  }

  /** The names that are tied to keys. */
  async known(): Promise<[string, Tie][]> {
    const stored = await this.#read('known.json', knownSchema, ({ names }) => areTies(names));
    return stored?.names ?? [];
  }

  async saveKnown(ties: ReadonlyMap<string, Tie>): Promise<void> {
    await this.#write('known.json', { names: [...ties] }, false);
  }

  /** The peers that were here. */
  async remembered(): Promise<RememberedPeer[]> {
    const stored = await this.#read('peers.json', peersSchema, () => true);
    return stored?.peers ?? [];
  }

  async saveRemembered(peers: readonly RememberedPeer[]): Promise<void> {
    await this.#write('peers.json', { peers }, false);
  }

  /** What was added to the shares and is shared at every start. */
  async shares(): Promise<ShareSpec[]> {
    const stored = await this.#read('shares.json', sharesSchema, () => true);
    return stored?.shares ?? [];
  }

  async saveShares(shares: readonly ShareSpec[]): Promise<void> {
    await this.#write('shares.json', { shares }, false);
  }

  /** The transfers that this peer was asked for. What is left of others that are not among them is removed. */
  async transfers(): Promise<KeptJobs> {
    const stored = (await this.#read('transfers.json', keptJobs, () => true)) ?? { next: 1, jobs: [] };
    const live = new Set(stored.jobs.filter(({ get }) => get).map(({ number }) => `${number}.json`));
    const folder = join(this.path, 'transfers');
    const there = await readdir(folder).catch(() => []);
    const old = there.filter((name) => /^\d+\.json(\.[0-9a-f]{12})?$/.test(name) && !live.has(name));
    await Promise.all(old.map((name) => unlink(join(folder, name)).catch(() => {})));
    return stored;
  }

  async saveTransfers(jobs: KeptJobs): Promise<void> {
    await this.#write('transfers.json', jobs, false);
  }

  /** What one of them fetches; undefined where that is lost. */
  targets(number: number): Promise<KeptTargets | undefined> {
    return this.#read(join('transfers', `${number}.json`), keptTargets, () => true);
  }

  async saveTargets(number: number, targets: KeptTargets): Promise<void> {
    await makeFolders(join(this.path, 'transfers'), 0o700);
    await this.#write(join('transfers', `${number}.json`), targets, false);
  }

  async dropTargets(number: number): Promise<void> {
    await unlink(join(this.path, 'transfers', `${number}.json`)).catch(() => {});
  }

  /** What was fetched before. */
  fetched(): Fetched {
    return new Fetched(join(this.path, 'fetched'));
  }

  async #read<T>(name: string, schema: z.ZodType<T>, valid: (value: T) => boolean): Promise<T | undefined> {
    const file = join(this.path, name);
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new HearsayError('not-readable', `${file} cannot be read: ${reasonOf(thrown)}`);
    }
    try {
      const value = schema.parse(JSON.parse(text));
      if (valid(value)) return value;
    } catch {
      // Set aside below.
    }
    const aside = `${file}.damaged-${Date.now()}`;
    await rename(file, aside);
    this.warnings.push(`${file} was damaged; it is now ${aside}, and a fresh one was begun`);
    return undefined;
  }

  /** @param fresh only where there is none; false is returned where there is one */
  async #write(name: string, value: object, fresh: boolean): Promise<boolean> {
    const file = join(this.path, name);
    const temporary = `${file}.${randomBytes(6).toString('hex')}`;
    try {
      await writeFile(temporary, `${JSON.stringify(value)}\n`, { mode: 0o600, flush: true });
      await chmod(temporary, 0o600);
      if (!fresh) {
        await rename(temporary, file);
        return true;
      }
      try {
        await link(temporary, file);
        return true;
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
        // A disk without hard links.
        await rename(temporary, file);
        return true;
      }
    } catch (thrown) {
      const error = asHearsayError(thrown, 'not-writable');
      throw new HearsayError(error.code, `${file} cannot be written: ${reasonOf(thrown)}`, { cause: thrown });
    } finally {
      await unlink(temporary).catch(() => {});
    }
  }
}
