/** The inbox folder as far as what is offered is concerned: whether it can go there. Owns nothing. Called by the inbox. */
import { join } from 'node:path';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import { Place } from '../share/place.js';
import { checkSpace } from '../share/place-space.js';
import { sweepStaging } from '../share/put.js';
import type { Entry } from '../transfer/inbox.js';
import type { Compared } from './compared.js';

export class InboxFolder {
  readonly #folder: string;
  readonly #compared: Compared;

  /** @param folder absolute; made when something first lands in it */
  constructor(folder: string, compared: Compared) {
    this.#folder = folder;
    this.#compared = compared;
  }

  /** Where something lies once it is received. */
  pathOf({ items }: Entry): string {
    return items.length === 1 ? join(this.#folder, items[0].name) : this.#folder;
  }

  /**
   * Whether something can be received.
   * @param awaited bytes that others which are received still need
   * @param ids asks for the contents of its items, where they have to be known and are not
   * @throws HearsayError `exists` where its name is there, `bad-name` where it cannot be stored, `disk-full`, or what the disk says
   */
  async check(entry: Entry, awaited: number, ids: () => Promise<(string | null)[]>): Promise<void> {
    const place = new Place(this.#folder);
    let known: (string | null)[] | undefined;
    for (const [i, { name, folder, bytes, id }] of entry.items.entries()) {
      place.accept(name);
      const spot = await place.find(name);
      if (!spot) continue;
      let state = await this.#compared.with(spot, bytes, id);
      if (state === 'absent') continue;
      if (state === 'different' && !folder && id === null) {
        known ??= await ids();
        state = await this.#compared.with(spot, bytes, known[i]);
      }
      const what = printable(name);
      if (state === 'same') throw new HearsayError('exists', `${what} is there already, the same`);
      const other = folder ? 'a folder or file' : 'something else';
      throw new HearsayError('exists', `${other} of the name ${what} is there already`);
    }
    await checkSpace(this.#folder, entry.bytes + awaited);
    await sweepStaging(this.#folder, Date.now());
  }
}
