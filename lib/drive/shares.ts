/**
 * What this peer shares: where each share comes from, and what changes of it while it runs.
 *
 * Owns the list of those that were added, which is kept in the state folder and holds at every start. Three lists add up: the
 * shares that it was started with, else those of the config file; and on top of them what was added. Always true: one change at a
 * time; what is for some only is known as such before anything of it is offered; what is removed is withdrawn before
 * anything else is done about it. Called by the peer.
 */
import { realpath } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import type { AddedRow, AddQuery, ErrorBody, Origin, RemovedRow, RemoveQuery, ShareEvent, ShareRow } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { SHARES_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Catalogue } from '../share/catalogue.js';
import type { ShareSpec, ShareState } from '../share/entry.js';
import { checkTogether, isSameShare, resolveShare } from '../share/resolve.js';
import type { SharedPath } from '../share/settings.js';
import type { Asides } from './asides.js';
import { shareOf } from './asides.js';
import type { Server } from './serve.js';

/** A share, and why it is one. */
export interface Sourced extends ShareSpec {
  from: Origin;
}

/** What is shared at the start. */
export interface Gathered {
  shares: Sourced[];
  /** What was added, all of it, also what is not shared because it is in the way of another. */
  added: ShareSpec[];
  warnings: string[];
}

export interface SharesOptions extends Omit<Gathered, 'warnings'> {
  /** The state folder. */
  state: string;
  save(added: readonly ShareSpec[]): Promise<void>;
  catalogue: Catalogue;
  asides: Asides;
  server: Server;
  tell(event: ShareEvent): void;
}

/** What became of the shares of a config file that was read again. */
export interface Reshared {
  added: string[];
  removed: string[];
  errors: ErrorBody[];
}

/**
 * What lies around the state folder is shared without it; what is asked for by name is refused, since it holds the
 * private key.
 * @throws HearsayError `usage`
 */
export async function keepSecret({ path }: ShareSpec, state: string): Promise<void> {
  const secret = await realpath(state).catch(() => undefined);
  const file = await realpath(path).catch(() => path);
  if (secret === undefined || (file !== secret && !file.startsWith(secret + sep))) return;
  throw new HearsayError('usage', `${printable(path)} is hearsay's own state, with its private key: share another`);
}

/** The shares of a start: those named, then what was added; of that, what is in the way of another is left out, with a word. */
export async function gather(named: Sourced[], added: ShareSpec[], state: string): Promise<Gathered> {
  const shares = [...named];
  const warnings: string[] = [];
  for (const spec of added) {
    if (shares.some((one) => isSameShare(one, spec))) continue;
    try {
      await keepSecret(spec, state);
      await checkTogether([...shares, spec]);
      shares.push({ ...spec, from: 'added' });
    } catch (thrown) {
      const why = asHearsayError(thrown).message;
      warnings.push(`not shared: ${printable(spec.path)}, which was added (${why}); hearsay remove it, or the other`);
    }
  }
  return { shares, added, warnings };
}

/** Shares that are for some only. */
export function limitedOf(shares: readonly ShareSpec[]): { name: string; for: readonly string[] }[] {
  return shares.flatMap(({ name, for: whose }) => (whose ? [{ name, for: whose }] : []));
}

const body = (thrown: unknown): ErrorBody => {
  const { code, message } = asHearsayError(thrown);
  return { code, message };
};

const specOf = ({ path, name, for: whose, only, exclude }: ShareSpec): ShareSpec => ({
  path,
  name,
  ...(whose ? { for: whose } : {}),
  ...(only ? { only } : {}),
  ...(exclude ? { exclude } : {}),
});

export class Shares {
  readonly #options: SharesOptions;
  #shares: Sourced[];
  #added: ShareSpec[];
  /** The config file's, as it was last read. */
  #config: ShareSpec[];
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: SharesOptions) {
    this.#options = options;
    this.#shares = options.shares;
    this.#added = options.added;
    this.#config = options.shares.filter(({ from }) => from === 'config').map(specOf);
  }

  /** Each with what is offered of it. */
  rows(): ShareRow[] {
    const from = new Map(this.#shares.map((share) => [share.name, share.from]));
    return this.#options.catalogue.shares().map((row) => ({ ...row, from: from.get(row.name) ?? 'added' }));
  }

  /** Whether a folder lies within what is shared. */
  holds(folder: string): boolean {
    return this.#shares.some(
      ({ path }) => folder === path || folder.startsWith(path.endsWith(sep) ? path : path + sep),
    );
  }

  /** Shares more from now on, and at every start. */
  add({ paths, ...more }: AddQuery): Promise<AddedRow[]> {
    return this.#inTurn(async () => {
      if (more.as !== undefined && paths.length !== 1) {
        throw new HearsayError('usage', `--as names one PATH, and there are ${paths.length}`);
      }
      const rows: AddedRow[] = [];
      for (const path of paths) {
        const absolute = resolve(path);
        try {
          rows.push(await this.#addOne(await resolveShare({ path: absolute, ...more }, '/')));
        } catch (thrown) {
          rows.push({ path: absolute, error: body(thrown) });
        }
      }
      return rows;
    });
  }

  /** Shares no more what is named or lies there. */
  remove({ what, cwd = process.cwd() }: RemoveQuery): Promise<RemovedRow[]> {
    return this.#inTurn(async () => {
      const rows: RemovedRow[] = [];
      for (const one of what) {
        try {
          rows.push(await this.#removeOne(one, await this.#find(one, cwd)));
        } catch (thrown) {
          rows.push({ what: one, error: body(thrown) });
        }
      }
      return rows;
    });
  }

  /** The config file names these now: what is new in it is shared, what is no more in it is not. */
  reconfigure(configured: readonly SharedPath[]): Promise<Reshared> {
    return this.#inTurn(async () => {
      const done: Reshared = { added: [], removed: [], errors: [] };
      const specs: ShareSpec[] = [];
      for (const one of configured) {
        try {
          specs.push(await resolveShare(one, '/', true));
        } catch (thrown) {
          done.errors.push(body(thrown));
        }
      }
      const has = (all: readonly ShareSpec[], spec: ShareSpec) => all.some((one) => isSameShare(one, spec));
      for (const gone of this.#config.filter((spec) => !has(specs, spec))) {
        const shared = this.#shares.find((share) => isSameShare(share, gone));
        if (!shared) continue;
        if (has(this.#added, gone)) {
          shared.from = 'added';
          continue;
        }
        await this.#end(gone.name);
        done.removed.push(gone.name);
      }
      const fresh = specs.filter((spec) => !has(this.#config, spec));
      this.#config = specs;
      for (const spec of fresh) {
        const shared = this.#shares.find((share) => isSameShare(share, spec));
        if (shared) {
          shared.from = 'config';
          continue;
        }
        try {
          await this.#check(spec);
          await this.#begin({ ...spec, from: 'config' });
          done.added.push(spec.name);
        } catch (thrown) {
          done.errors.push(body(thrown));
        }
      }
      return done;
    });
  }

  /** A share is not there now, or there again. */
  away({ name, path }: ShareState, why: string | undefined): void {
    this.#options.tell({
      event: 'share',
      change: why === undefined ? 'back' : 'away',
      name,
      path,
      ...(why ? { why } : {}),
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** @throws HearsayError `usage`, `limit` */
  async #check(spec: ShareSpec): Promise<void> {
    const taken = this.#shares.find(({ name }) => name === spec.name);
    if (taken && taken.path === spec.path) {
      const whose = taken.for ? `for ${taken.for.map(printable).join(', ')}` : 'with everyone';
      const how = `${whose}${taken.only || taken.exclude ? ', some of its files' : ''}`;
      throw new HearsayError('usage', `${printable(spec.path)} is shared already, ${how}: hearsay remove it first`);
    }
    if (taken) {
      const both = `${printable(taken.path)} is shared as ${printable(spec.name)} already`;
      throw new HearsayError('usage', `${both}: name ${printable(spec.path)} otherwise, with --as NAME`);
    }
    await keepSecret(spec, this.#options.state);
    await checkTogether([...this.#shares, spec]);
  }

  async #addOne(spec: ShareSpec): Promise<AddedRow> {
    const { path, name } = spec;
    const shared = this.#shares.find((share) => isSameShare(share, spec));
    if (!shared) await this.#check(spec);
    // What the config file names is shared at every start anyhow.
    if (shared?.from !== 'config') await this.#keep([...this.#added.filter((one) => one.name !== name), spec]);
    if (shared) return { path, name, already: true };
    await this.#begin({ ...spec, from: 'added' });
    const waiting = this.#options.asides.waiting().filter((text) => spec.for?.includes(text));
    return { path, name, ...(waiting.length > 0 ? { waiting } : {}) };
  }

  async #keep(added: ShareSpec[]): Promise<void> {
    if (added.length > SHARES_MAX) throw new HearsayError('limit', `over ${SHARES_MAX} shares were added`);
    await this.#options.save(added);
    this.#added = added;
  }

  /** Who is meant by the names that shares are for is to be found out anew. */
  relimit(): void {
    this.#options.asides.limit(limitedOf(this.#shares));
  }

  async #begin(share: Sourced): Promise<void> {
    const { catalogue, asides, tell } = this.#options;
    this.#shares = [...this.#shares, share];
    if (share.for) asides.limit(limitedOf(this.#shares));
    await catalogue.add(specOf(share));
    tell({ event: 'share', change: 'added', name: share.name, path: share.path });
  }

  async #end(name: string): Promise<Sourced | undefined> {
    const { catalogue, asides, server, tell } = this.#options;
    const share = this.#shares.find((one) => one.name === name);
    if (!share) return undefined;
    const withdraw = () => server.withdraw((path) => shareOf(path) === name);
    const removing = catalogue.remove(name);
    withdraw();
    await removing;
    // What was being opened meanwhile.
    withdraw();
    this.#shares = this.#shares.filter((one) => one !== share);
    if (share.for) asides.limit(limitedOf(this.#shares));
    tell({ event: 'share', change: 'removed', name, path: share.path });
    return share;
  }

  /** The one that a person means by its name or its path. @throws HearsayError `not-found`, `ambiguous` */
  async #find(text: string, cwd: string): Promise<ShareSpec> {
    const all: ShareSpec[] = [...this.#shares, ...this.#added];
    const named = all.find(({ name }) => name === text);
    if (named) return named;
    const path = resolve(cwd, text);
    const real = await realpath(path).catch(() => path);
    const names = new Map<string, ShareSpec>();
    for (const share of all) {
      const isIt = share.path === path || (await realpath(share.path).catch(() => share.path)) === real;
      if (isIt && !names.has(share.name)) names.set(share.name, share);
    }
    if (names.size > 1) {
      const which = [...names.keys()].map(printable).join(' and ');
      throw new HearsayError('ambiguous', `${printable(path)} is shared as ${which}: name the one that is meant`);
    }
    for (const share of names.values()) return share;
    throw new HearsayError('not-found', `${printable(text)} is not shared here: \`hearsay status\` lists what is`);
  }

  async #removeOne(what: string, { name, path }: ShareSpec): Promise<RemovedRow> {
    const share = await this.#end(name);
    const row: RemovedRow = { what, name, path };
    // What it was started with, and what its config file names, is shared again at the next start.
    if (share && share.from !== 'added') Object.assign(row, { until: 'restart', from: share.from });
    const rest = this.#added.filter((one) => one.name !== name);
    if (rest.length === this.#added.length) return row;
    try {
      await this.#keep(rest);
    } catch (thrown) {
      const { code, message } = asHearsayError(thrown);
      const text = `${printable(name)} is no more shared, but would be at the next start: ${message}`;
      return { ...row, error: { code, message: text } };
    }
    return row;
  }
}
