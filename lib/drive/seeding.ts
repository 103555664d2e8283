/** `get --seed`: what was fetched goes on being served. */
import type { GetEvent, SeedRow } from '../api.js';
import type { Target } from '../share/destination.js';
import { type Landed, seedsOf } from '../share/seeds.js';
import type { Piece } from './plan.js';
import type { Shares } from './shares.js';

/** Names that are tried where that of a share is taken. */
const NAMES_TRIED = 20;

/**
 * Shares what was fetched from now on, as `add` does, and tells of it; a one-shot, which shares nothing, tells only what is to
 * be shared. What lies within a share is offered anyhow.
 * @param landed `aside` of what was shared with some only, which is not served on
 * @param shares undefined of a one-shot
 */
export async function seed(
  landed: readonly { target: Target<Piece>; aside: boolean }[],
  shares: Shares | undefined,
  tell: (event: GetEvent) => void,
): Promise<void> {
  const all = landed.map(({ target: { root, relative, wanted }, aside }): Landed => {
    return { root, relative, folder: wanted.folder, aside };
  });
  const { seeds, left } = await seedsOf(all.filter(({ root }) => !shares?.holds(root)));
  for (const one of seeds) {
    const share = shares ? await begin(one, shares, tell) : one;
    if (share) tell({ event: 'seed', share });
  }
  for (const { message } of left) tell({ event: 'warning', message });
}

/** Under the first name that is not taken. */
async function begin(one: SeedRow, shares: Shares, tell: (event: GetEvent) => void): Promise<SeedRow | undefined> {
  // One that was shared so before keeps its name.
  const taken = new Set(shares.rows().flatMap(({ name, path }) => (path === one.path ? [] : [name])));
  const names = Array.from({ length: NAMES_TRIED }, (_, i) => (i === 0 ? one.name : `${one.name}-${i + 1}`));
  const name = names.find((text) => !taken.has(text)) ?? one.name;
  const { path, only } = one;
  const [row] = await shares.add({ paths: [path], as: name, ...(only ? { only } : {}) });
  if (!row.error) return { ...one, name };
  tell({ event: 'warning', message: `it is not served on: ${row.error.message}` });
  return undefined;
}
