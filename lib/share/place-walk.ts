/** Going through a folder and those below it, through no link. */
import { opendir } from 'node:fs/promises';
import type { Folder } from './place-folder.js';

/** How far a walk goes. */
export interface WalkBounds {
  folders: number;
  /** Folders within folders. */
  depth: number;
}

/** A folder and those below it, nearest first, that can be entered; through no link. */
export async function* foldersBelow(root: Folder, { folders, depth }: WalkBounds): AsyncGenerator<Folder> {
  const found = [{ folder: root, deep: 0 }];
  for (const { folder, deep } of found) {
    yield folder;
    if (deep >= depth) continue;
    for (const name of await foldersIn(folder, folders - found.length)) {
      const child = enterQuietly(folder, name);
      if (child) found.push({ folder: child, deep: deep + 1 });
    }
  }
}

/** Names of the folders in a folder, so many at most; none where it cannot be read. */
async function foldersIn(folder: Folder, most: number): Promise<string[]> {
  const names: string[] = [];
  try {
    const held = folder.hold();
    try {
      for await (const entry of await opendir(held.list)) {
        if (names.length >= most) break;
        if (entry.isDirectory()) names.push(entry.name);
      }
    } finally {
      held.release();
    }
  } catch {
    // Not ours to read, or gone.
  }
  return names;
}

function enterQuietly(folder: Folder, name: string): Folder | undefined {
  try {
    return folder.enter(name);
  } catch {
    return undefined;
  }
}
