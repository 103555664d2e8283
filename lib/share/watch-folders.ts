/**
 * Watches the folders of a share one by one with fs.watch, each as it is found: for Linux, where the system has no
 * recursive watch. (@parcel/watcher builds one of its own there, but fails as a whole over one unreadable folder, does
 * not see into folders that were moved in, and drops events silently.)
 * Owns a watcher for each folder. Always true: what is watched under a path is the folder that was last found there.
 * Called by watch.ts.
 */
import { type FSWatcher, watch } from 'node:fs';
import { WATCHES_MAX } from '../limits.js';
import { IGNORE_FILE } from './ignore.js';

export interface FolderEvents {
  /** Something happened to a path. `sudden`: it came, went or was replaced, rather than being written to. */
  look(path: string, sudden: boolean): void;
  /** A folder cannot be watched; its changes will not be told. */
  blind(why: string): void;
}

/** The name of a folder itself, as the system tells it of the folder's own end. */
const nameOf = (file: string) => file.slice(file.lastIndexOf('/') + 1);

export class FolderWatches {
  readonly #events: FolderEvents;
  readonly #watch: typeof watch;
  readonly #watched = new Map<string, { watcher: FSWatcher; identity: string }>();

  /** @param watcher stands in for fs.watch in tests */
  constructor(events: FolderEvents, watcher: typeof watch = watch) {
    this.#events = events;
    this.#watch = watcher;
  }

  /**
   * A folder was found.
   * @param path on the wire
   * @param file absolute
   * @param identity tells it from another folder in its place
   * @returns whether it is watched only from now on, so that what happened in it since it was read is to be looked for
   */
  add(path: string, file: string, identity: string): boolean {
    const known = this.#watched.get(path);
    if (known?.identity === identity) return false;
    known?.watcher.close();
    this.#watched.delete(path);
    if (this.#watched.size >= WATCHES_MAX) {
      this.#events.blind(`over ${WATCHES_MAX} folders`);
      return false;
    }
    try {
      const watcher = this.#watch(file, (type, name) => this.#happened(path, file, type, name));
      watcher.on('error', () => this.#lost(path));
      this.#watched.set(path, { watcher, identity });
      return true;
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
      // Gone again, or not to be read: the scan has its own word on that.
      if (!['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(code)) this.#events.blind(code);
      return false;
    }
  }

  /** A folder is no more. */
  remove(path: string): void {
    this.#watched.get(path)?.watcher.close();
    this.#watched.delete(path);
  }

  close(): void {
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  #happened(path: string, file: string, type: string, name: string | null): void {
    if (!this.#watched.has(path)) return;
    if (name === null || name === IGNORE_FILE) this.#events.look(path, true);
    else if (type === 'rename' && name === nameOf(file)) this.#lost(path);
    else if (!name.startsWith('.')) this.#events.look(`${path}/${name}`, type === 'rename');
  }

  /** The folder itself may have gone, or something of the same name in it: begin anew with what is there. */
  #lost(path: string): void {
    this.remove(path);
    this.#events.look(path, true);
  }
}
