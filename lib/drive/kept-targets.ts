/** What a get fetches, as it is kept on the disk, and as it comes back. Pure. Called by GetJob. */
import type { PeerId } from '../ids.js';
import type { Target } from '../share/destination.js';
import type { KeptTargets } from '../share/kept-jobs.js';
import type { Piece } from './plan.js';

/** @param asides which of them nobody offered to everyone */
export function keptOf(
  targets: readonly Target<Piece>[],
  asides: ReadonlySet<number>,
  names: ReadonlyMap<PeerId, string>,
): KeptTargets {
  const only = targets[0]?.wanted.only;
  return {
    peers: [...names].map(([id, name]) => ({ id, name })),
    ...(only ? { only: [...only] } : {}),
    targets: targets.map(({ root, relative, wanted }, i) => {
      const { path, id, folder, size, mtime, executable, sources } = wanted;
      const aside = asides.has(i) ? { aside: true as const } : {};
      return { path, id, folder, size, mtime, executable, sources, root, relative, ...aside };
    }),
  };
}

/** The reverse of it. */
export function targetsOf(kept: KeptTargets): { targets: Target<Piece>[]; asides: number[] } {
  const only = kept.only && new Set(kept.only);
  return {
    targets: kept.targets.map(({ root, relative, aside: _, ...wanted }) => {
      return { root, relative, wanted: { ...wanted, naming: { kind: 'file' }, only, here: false } };
    }),
    asides: kept.targets.flatMap(({ aside }, i) => (aside ? [i] : [])),
  };
}
