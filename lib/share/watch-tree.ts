import { realpath } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import type { AsyncSubscription } from '@parcel/watcher';
import { IGNORE_FILE } from './ignore.js';

/** What is told of a watched tree. */
export interface TreeWatchEvents {
  /** Something happened to a path below the root, segments joined by `/`; empty for the root itself. */
  look(path: string, sudden: boolean): void;
  /** Events were lost, or there will be no more. */
  broken(why: string): void;
}

/**
 * Watches a folder with all below it by the system's own recursive watch: for macOS (FSEvents) and Windows
 * (ReadDirectoryChangesW), through @parcel/watcher.
 * @param root absolute
 * @returns what ends it
 * @throws Error where the system does not let us watch
 */
export async function watchTree(root: string, events: TreeWatchEvents): Promise<AsyncSubscription> {
  // The system tells the real paths, whichever way the root was named.
  const real = await realpath(root);
  // Only now, as its native part can be loaded by one thread of a process at a time.
  const { default: parcel } = await import('@parcel/watcher');
  return parcel.subscribe(real, (error, happened) => {
    if (error) events.broken(error.message);
    for (const { path, type } of happened ?? []) {
      const segments = relative(real, path).split(sep);
      const ignoreFile = segments.at(-1) === IGNORE_FILE;
      if (ignoreFile) segments.pop();
      if (segments.some((segment) => segment.startsWith('.'))) continue;
      events.look(segments.join('/'), ignoreFile || type !== 'update');
    }
  });
}
