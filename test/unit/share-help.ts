/** What the tests of the share floor have in common: folders that go away, and a catalogue that can be waited for. */
import type { watch } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Catalogue, type CatalogueChange, type CatalogueOptions } from '../../lib/share/catalogue.js';
import { STILL_MS } from '../../lib/share/settle.js';

/** A fresh folder, removed after the test. */
export async function folder(t: ExecutionContext): Promise<string> {
  const made = await realpath(await mkdtemp(join(tmpdir(), 'hearsay-share-')));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** Writes files, with the folders that they need; as if written an hour ago, unless told otherwise. */
export async function write(root: string, files: Record<string, string | Uint8Array>, old = true): Promise<void> {
  const hourAgo = new Date(Date.now() - 3_600_000);
  for (const [name, data] of Object.entries(files)) {
    const file = join(root, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, data);
    if (old) await utimes(file, hourAgo, hourAgo);
  }
}

/** Stands in for fs.watch where a test is to find out by itself what changed: it tells nothing. */
export const deaf = (() => {
  throw Object.assign(new Error('deaf'), { code: 'EACCES' });
}) as unknown as typeof watch;

/** A running catalogue, and what it told. */
export class Offering {
  readonly catalogue: Catalogue;
  /** What is offered, put together from the changes alone. */
  readonly offers = new Map<string, CatalogueChange>();
  readonly changes: CatalogueChange[] = [];
  readonly calls: number[] = [];
  readonly hashed: string[] = [];
  readonly warnings: string[] = [];
  /** Shares that were not there, and why; those that were there again, and undefined. */
  readonly away: [string, string | undefined][] = [];
  #waiting: { test: () => boolean; resolve: () => void }[] = [];

  constructor(options: Pick<CatalogueOptions, 'shares'> & Partial<CatalogueOptions>) {
    this.catalogue = new Catalogue({
      store: undefined,
      onChanges: (changes) => {
        this.calls.push(changes.length);
        for (const change of changes) {
          this.changes.push(change);
          if (change.kind === 'removed') this.offers.delete(change.path);
          else this.offers.set(change.path, change);
        }
        this.#check();
      },
      onHashed: (path) => {
        this.hashed.push(path);
        this.#check();
      },
      onWarning: (message) => {
        this.warnings.push(message);
        this.#check();
      },
      onAway: ({ name }, why) => {
        this.away.push([name, why]);
        this.#check();
      },
      ...options,
    });
  }

  /** Starts it, and stops it after the test. */
  static async start(
    t: ExecutionContext,
    options: Pick<CatalogueOptions, 'shares'> & Partial<CatalogueOptions>,
  ): Promise<Offering> {
    // What the test wrote just now must have been still for so long to be offered by the first scan.
    if (!options.now) await new Promise((resolve) => setTimeout(resolve, STILL_MS + 10));
    const offering = new Offering(options);
    t.teardown(() => offering.catalogue.stop());
    await offering.catalogue.start();
    await offering.catalogue.scanned;
    return offering;
  }

  /** Resolves as soon as something holds, looked at whenever something is told. */
  until(test: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ test, resolve });
      this.#check();
    });
  }

  paths(): string[] {
    return [...this.offers.keys()].sort();
  }

  #check(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      if (one.test()) one.resolve();
      else this.#waiting.push(one);
    }
  }
}
