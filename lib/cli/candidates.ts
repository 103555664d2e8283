/**
 * What completes a word: what the table of commands knows, and what a running peer knows. Pure but for asking it.
 * Always true: nothing is offered that a terminal would take for a command, and at most COMPLETIONS_MAX. Called by the command
 * that the shells' completion asks, which bounds its time.
 */
import type { Api, PeerRow } from '../api.js';
import { COMPLETIONS_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Aim, Candidate } from './completing.js';
import { count, formatSize } from './format.js';

/** What is asked of a running peer. */
export type Asked = Pick<Api, 'below' | 'inbox' | 'peers' | 'status'>;

/**
 * The whole words that an aim's word could become.
 * @param api undefined where no peer runs: then what only it knows is not offered
 * @param cards names of this machine's network cards
 */
export async function candidatesOf(aim: Aim, api: Asked | undefined, cards: readonly string[]): Promise<Candidate[]> {
  const { kept, part } = aim;
  const all = [...aim.fixed, ...(await found(aim, api, cards))];
  return (
    all
      .filter(({ value }) => value.startsWith(part) && isPlain(value))
      .map(({ value, about }) => ({ value: kept + value, ...(about ? { about: printable(about) } : {}) }))
      // A word that begins with a dash would be an option; only who typed the dash may mean one.
      .filter(({ value }) => !value.startsWith('-') || part.startsWith('-') || kept.startsWith('-'))
      .slice(0, COMPLETIONS_MAX)
  );
}

/** Whether a name can be printed as it is, and is one line without a tab. */
function isPlain(name: string): boolean {
  return name !== '' && printable(name) === name;
}

async function found(aim: Aim, api: Asked | undefined, cards: readonly string[]): Promise<Candidate[]> {
  if (aim.kind === 'interfaces') return cards.map((value) => ({ value }));
  if (!api) return [];
  switch (aim.kind) {
    case 'paths':
      return paths(aim, api);
    case 'peers':
      return peers(aim.part, await api.peers());
    case 'shares':
      return (await api.status()).shares.map(({ name, path }) => ({ value: name, about: path }));
    case 'transfers': {
      const { transfers } = await api.status();
      const open = transfers.filter(({ state = 'done' }) => state !== 'done' && state !== 'failed');
      return orAll(open.map(({ number, state, path }) => ({ value: `${number}`, about: `${state}: ${path}` })));
    }
    case 'inbox': {
      const waiting = (await api.inbox()).filter(({ state }) => state === 'waiting');
      return orAll(
        waiting.map(({ number, from, name, bytes }) => ({
          value: `${number}`,
          about: `${name} (${formatSize(bytes)}) from ${from.name}`,
        })),
      );
    }
    default:
      return [];
  }
}

/** Where there are several, all of them can be meant. */
function orAll(numbered: Candidate[]): Candidate[] {
  return numbered.length > 1 ? [...numbered, { value: 'all' }] : numbered;
}

/** Paths to the end of the next segment; after `PEER:` that peer's. */
async function paths({ part, from }: Aim, api: Asked): Promise<Candidate[]> {
  const query = from.length > 0 ? { from } : {};
  const rows = await api.below({ prefix: part, ...query });
  let before = '';
  const colon = part.indexOf(':');
  if (rows.length === 0 && colon > 0) {
    before = part.slice(0, colon + 1);
    rows.push(...(await api.below({ prefix: part.slice(colon + 1), from: [part.slice(0, colon)] })));
  }
  return rows.map(({ path, folder }) => ({ value: `${before}${path}${folder ? '/' : ''}` }));
}

/** Other peers by name; by id where a name is borne by two, could not be typed, or is not what was begun. */
function peers(part: string, rows: readonly PeerRow[]): Candidate[] {
  const others = rows.filter(({ self }) => !self);
  const bearers = new Map<string, number>();
  for (const { name } of others) bearers.set(name, (bearers.get(name) ?? 0) + 1);
  const offered = others.map(({ id, name, files }) => {
    // A comma parts a list.
    const isName = bearers.get(name) === 1 && isPlain(name) && !name.includes(',');
    return { id, value: isName ? name : id, about: isName ? count(files, 'file') : name };
  });
  const byName = offered.filter(({ value }) => value.startsWith(part));
  if (byName.length > 0) return byName.map(({ value, about }) => ({ value, about }));
  return others.map(({ id, name }) => ({ value: id, about: name }));
}
