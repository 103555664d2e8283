/**
 * Servings: what others fetch from here, told and noted under the names that people know.
 *
 * Owns the ids by which links' peers are known, as they were looked up. Always true: a peer of several processes, such as a one-shot
 * of one that is listed, goes by one id. Called by the server.
 */
import type { ShareEvent } from '../api.js';
import { keyPart, type PeerId } from '../ids.js';
import type { Link } from '../net/link.js';
import type { Served } from './served.js';

export interface ServingsOptions {
  /** Ids that are listed, or tied to a name. */
  ids(): Iterable<PeerId>;
  /** What a person calls what is at a path: what is sent has one of its own on the wire. */
  titleOf(path: string): string;
  /** Where it is noted; not at first, and not of a one-shot. */
  served(): Served | undefined;
  tell(event: ShareEvent): void;
}

export class Servings {
  readonly #options: ServingsOptions;
  readonly #ids = new WeakMap<Link, PeerId>();

  constructor(options: ServingsOptions) {
    this.#options = options;
  }

  begun(link: Link, path: string): void {
    this.#tell('begun', link, path, 0);
  }

  completed(link: Link, path: string, bytes: number): void {
    this.#tell('completed', link, path, bytes);
  }

  failed(link: Link, path: string, bytes: number, why: string): void {
    this.#tell('failed', link, path, bytes, why);
  }

  #tell(state: 'begun' | 'completed' | 'failed', link: Link, at: string, bytes: number, why?: string): void {
    const { titleOf, served, tell } = this.#options;
    const peer = { id: this.#listedAs(link), name: link.head.name };
    const event = { path: titleOf(at), peer, bytes, ...(why === undefined ? {} : { why }) };
    if (state !== 'begun') served()?.add({ time: Date.now(), ...event, outcome: state });
    tell({ event: 'serving', state, ...event });
  }

  /** The id by which a link's peer is known, where it is a one-shot of one that is listed or tied to a name. */
  #listedAs(link: Link): PeerId {
    let id = this.#ids.get(link);
    if (id === undefined) {
      const key = keyPart(link.peer);
      id = [...this.#options.ids()].find((one) => keyPart(one) === key) ?? link.peer;
      this.#ids.set(link, id);
    }
    return id;
  }
}
