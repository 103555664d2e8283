/** What `ls` and `find` print: rows of files, their count, and why there are none. */
import type { Api, FileRow, ListingPart, ListQuery } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { printable, printableJson } from '../names.js';
import { whyNobody } from '../net/strangers.js';
import type { Context } from './context.js';
import { count, formatSize, formatTime, peerLabel, peerList } from './format.js';
import type { Session } from './io.js';
import type { Output } from './output.js';
import { clip, padEnd, padStart, width } from './text.js';

/** Columns that peers take before they are cut off. */
const PEERS_WIDTH = 28;

/** Rows whose peers say how wide their column is; those of later ones may be wider. */
const MEASURED = 1000;

/** Asks, and prints what comes as it comes; used by `ls` and `find`. */
export async function printListing(context: Context, query: ListQuery): Promise<void> {
  const { out, signal } = context;
  const session = await context.session('any');
  const { api } = session;
  const parts = api.listing(query, signal)[Symbol.asyncIterator]();
  const taken = new Taken(() => context.within(parts.next()));
  try {
    const first = await taken.first(MEASURED);
    tellAway(out, taken.away);
    if (first.length === 0) await checkReached(context, session);
    else tellUnreached(out, session);
    const asked = query.pattern !== undefined || (query.words?.length ?? 0) > 0;
    if (first.length === 0 && asked && query.from) {
      const here = query.from.filter((name) => !taken.away.includes(name));
      throw new HearsayError('not-found', `nothing like that is shared by ${here.join(', ')}`);
    }
    if (out.manner.json) await printDocument(context, first, taken);
    else await printLines(context, first, taken);
    if (first.length > 0) return;
    const nothing = query.from ? 'and those that were named share nothing' : 'and none shares a file';
    const why = asked ? 'and none of their paths fits: `hearsay ls` lists them all' : nothing;
    await tellAnswered(context, api, why);
  } finally {
    // Whoever reads no more (`hearsay ls | head`) has it end at once; where something hangs, that is not waited for.
    Promise.resolve(parts.return?.()).catch(() => {});
  }
}

/** The pieces of a listing as they are taken, and what they say beside the files. */
class Taken {
  away: string[] = [];
  more = 0;
  readonly #next: () => Promise<IteratorResult<ListingPart>>;
  #over = false;

  constructor(next: () => Promise<IteratorResult<ListingPart>>) {
    this.#next = next;
  }

  /** The next rows; undefined at the end. */
  async rows(): Promise<FileRow[] | undefined> {
    if (this.#over) return undefined;
    const { value, done } = await this.#next();
    if (done) {
      this.#over = true;
      return undefined;
    }
    const { files, away, more } = value as ListingPart;
    if (away) this.away = away;
    this.more += more ?? 0;
    return files;
  }

  /** So many rows, or fewer at the end. */
  async first(least: number): Promise<FileRow[]> {
    const first: FileRow[] = [];
    for (let rows = await this.rows(); rows; rows = first.length < least ? await this.rows() : undefined) {
      for (const row of rows) first.push(row);
    }
    return first;
  }
}

async function printLines({ out, io }: Context, first: readonly FileRow[], taken: Taken): Promise<void> {
  const columns = { peers: 0 };
  let files = 0;
  let bytes = 0;
  for (let rows: readonly FileRow[] | undefined = first; rows && !io.stdout.closed; rows = await taken.rows()) {
    await out.lines(listingLines(rows, out, columns));
    files += rows.length;
    for (const { size } of rows) bytes += size;
  }
  if (io.stdout.closed) return;
  out.note(`${count(files, 'file')}, ${formatSize(bytes)}`);
  if (taken.more > 0) out.note(`and ${count(taken.more, 'hit')} that fit less: say more words`);
}

/** One document on one line, written as it comes. */
async function printDocument(context: Context, first: readonly FileRow[], taken: Taken): Promise<void> {
  const { out, io } = context;
  let isFirst = true;
  await out.raw('{"files":[');
  let failure: HearsayError | undefined;
  try {
    for (let rows: readonly FileRow[] | undefined = first; rows && !io.stdout.closed; rows = await taken.rows()) {
      if (rows.length === 0) continue;
      await out.raw(`${isFirst ? '' : ','}${rows.map((row) => printableJson(fileJson(row))).join(',')}`);
      isFirst = false;
    }
  } catch (error) {
    // What was begun stays one document.
    failure = asHearsayError(error);
  }
  const more = {
    ...(taken.away.length > 0 ? { away: taken.away } : {}),
    ...(taken.more > 0 ? { more: taken.more } : {}),
    ...(failure ? { error: failure.toJSON().error } : {}),
  };
  const others = printableJson(more).slice(1);
  await out.raw(`]${others === '}' ? others : `,${others}`}\n`);
  if (failure) context.failed(failure.code);
}

/** Names the peers that were asked for and are not here. */
export function tellAway(out: Output, away: readonly string[]): void {
  for (const peer of away) out.warn(`${peer} is not here`);
}

/** Names the hosts of --join that could not be reached, where the others answered. */
export function tellUnreached(out: Output, session: Session): void {
  for (const fault of faults(session)) out.warn(fault);
}

function faults(session: Session): string[] {
  return [...session.unreached()].map(([host, { code, message }]) => {
    // It was reached, and said no.
    return code === 'other-group' ? `${host}: ${message}` : `${host} cannot be reached: ${message}`;
  });
}

/**
 * The same, and that is all there is to say where nobody else answered.
 * @throws HearsayError `unreachable`, `other-group`
 */
export async function checkReached(context: Context, session: Session): Promise<void> {
  const unreached = faults(session);
  if (unreached.length === 0) return;
  const others = (await context.within(session.api.peers())).some((peer) => !peer.self);
  if (others) return tellUnreached(context.out, session);
  const other = [...session.unreached().values()].every(({ code }) => code === 'other-group');
  throw new HearsayError(other ? 'other-group' : 'unreachable', unreached.join('\n'));
}

/**
 * Says how many peers answered, or what to look at when none did.
 * @param why what is the matter with those that did
 * @param known whether it has been said that none did, and why
 */
export async function tellAnswered(context: Context, api: Api, why: string, known = false): Promise<void> {
  const { out } = context;
  if (out.manner.json || out.manner.quiet) {
    // Only a warning would be seen, and it does not take another look around.
    if (!known && (await context.within(api.status())).peers === 0) await tellNobody(context, api);
    return;
  }
  const others = (await context.within(api.peers())).filter((peer) => !peer.self);
  if (others.length === 0) await tellNobody(context, api, known);
  else out.note(`${count(others.length, 'peer')} answered (${peerList(others, 5)}), ${why}`);
}

/**
 * What to look at when nobody answers; where other groups are heard, that is said whatever the manner.
 * @param known whether it has been said that nobody did, and why
 */
export async function tellNobody(context: Context, api: Api, known = false): Promise<void> {
  const { out } = context;
  const { private: secret, strangers } = await context.within(api.status());
  if (!known) {
    const why = whyNobody(secret, strangers);
    if (strangers.sealed + strangers.open > 0) out.warn(why);
    else out.note(why);
  }
  out.note('Check that');
  out.note('  - `hearsay share PATH` runs on the other machine (its line `ready` names its address)');
  out.note('  - both are on the same network: no guest Wi-Fi, no VPN between them');
  out.note(`  - both have ${secret ? 'the same secret' : 'no secret, or the same one (--secret-file FILE)'}`);
  out.note('  - no firewall stops UDP and TCP port 47748');
  out.note('or name the other machine: --join ADDRESS');
}

export function fileJson({ path, size, mtime, id, peers }: FileRow): object {
  return { path, size, mtime, id, peers: peers.map(({ id: peer, name }) => ({ id: peer, name })) };
}

/**
 * One line a file: size, who has it, path; the id too where one path has several contents.
 * @param columns how wide they are until now; they grow
 */
export function* listingLines(
  files: readonly FileRow[],
  out: Output,
  columns: { peers: number } = { peers: 0 },
): Generator<string> {
  const { dim, cyan } = out.style;
  const { verbose } = out.manner;
  const peers = files.map((file) => clip(peerList(file.peers), PEERS_WIDTH));
  // Not Math.max(...): a listing may be longer than an argument list.
  columns.peers = peers.reduce((most, text) => Math.max(most, width(text)), columns.peers);
  for (const [index, file] of files.entries()) {
    const { path, size, mtime, id } = file;
    const rivals = files[index - 1]?.path === path || files[index + 1]?.path === path;
    const mark = id ? `#${verbose ? id : id.slice(0, 12)}` : '(no id yet)';
    const parts = [dim(padStart(formatSize(size), 8))];
    if (verbose) parts.push(dim(formatTime(mtime)));
    parts.push(cyan(padEnd(peers[index], columns.peers)), printable(path));
    if (verbose || rivals) parts.push(dim(mark));
    yield parts.join('  ');
  }
}

/** `+ path`, `~ path`, `- path`, and with --verbose who has it. */
export async function printFollow(context: Context, query: ListQuery): Promise<void> {
  const { out, signal, io } = context;
  out.streams = true;
  const { api } = await context.session('any', { follow: true });
  const signs = { added: out.style.green('+'), changed: out.style.cyan('~'), removed: out.style.red('-') };
  try {
    for await (const event of api.follow(query, signal)) {
      if (out.manner.json) await out.data({ event: event.event, ...fileJson(event) });
      else {
        const more = out.manner.verbose
          ? `  ${out.style.dim(`${formatSize(event.size)}, ${event.peers.map(peerLabel).join(', ')}`)}`
          : '';
        await out.line(`${signs[event.event]} ${printable(event.path)}${more}`);
      }
      if (io.stdout.closed) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  // Ctrl-C is how it ends, and is no error to tell of; the exit status says it.
  if (!signal.aborted) throw new HearsayError('failed', 'the listing ended');
  context.failed('interrupted');
}
