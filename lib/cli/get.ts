import { resolve, sep } from 'node:path';
import { Command } from 'commander';
import type { Api, GetQuery } from '../api.js';
import { DETACHED } from '../detached.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { parseRate } from '../share/rates.js';
import type { Context, Perform } from './context.js';
import { count, formatSize } from './format.js';
import { type Fetched, followGet, STANDING } from './get-events.js';
import { getToStdout } from './get-stdout.js';
import type { Session } from './io.js';
import { tellAnswered, tellUnreached } from './listing.js';
import { listOption } from './options.js';
import { serve } from './share.js';
import { limitFlags, limitOptions } from './sharing.js';

interface Options {
  output?: string;
  from?: string[];
  overwrite?: boolean;
  discard?: boolean;
  sync?: boolean;
  background?: boolean;
  seed?: boolean;
  limitUp?: string;
  limitDown?: string;
}

/** `hearsay get WHAT...`: fetches files, folders, patterns or content ids. */
export function getCommand(perform: Perform): Command {
  const [limitUp, limitDown] = limitOptions();
  return new Command('get')
    .summary('fetch files, folders, patterns or content ids')
    .description(
      'Fetch WHAT from every peer that has it, verified. WHAT is a path as `ls` shows it, a folder (`photos/`), `#` and a content id, a pattern (`*` within a name, `**` across folders; quote it), or a file name that only one file has. What was verified before an interruption is kept: the same command goes on from there. Where a peer runs on this state folder, it does the fetching, and goes on when this command or its terminal is gone; Ctrl-C ends it, and the same command follows it again.',
    )
    .usage('[options] WHAT...')
    .argument('[what...]')
    .option(
      '-o, --output <dest>',
      'a folder that exists or ends in /, else the new name of the one file; - is standard output',
    )
    .addOption(listOption('--from <peer,...>', 'only from these peers: names or ids'))
    .option('--overwrite', 'replace what is there with other content')
    .option('--discard', 'remove what earlier, unfinished attempts left, instead of fetching')
    .option('--sync', 'have every file written through to the disk before it takes its name')
    .option('-b, --background', 'leave it to the running peer, and only tell its number')
    .option('--seed', 'go on serving what was fetched: the running peer from then on, this command until Ctrl-C')
    .addOption(limitUp)
    .addOption(limitDown)
    .addHelpText(
      'after',
      "\nExamples:\n  hearsay get photos/cat.jpg\n  hearsay get photos/ -o ~/Pictures/\n  hearsay get 'photos/**/*.jpg' --from alice\n  hearsay get notes.txt -o - | less\n  hearsay get big.iso --background",
    )
    .action((what: string[], options: Options, command: Command) =>
      perform(command, (context) => get(context, what, options)),
    );
}

async function get(context: Context, what: string[], options: Options): Promise<void> {
  const { out, io, common } = context;
  const { output, from, overwrite, discard, sync, background, seed } = options;
  out.streams = true;
  if (what.length === 0) {
    throw new HearsayError(
      'usage',
      'get what? For example: hearsay get photos/cat.jpg; `hearsay ls` lists what there is',
    );
  }
  if (output === '') throw new HearsayError('usage', '-o needs a folder, a file name, or - for standard output');
  const piped = output === '-';
  if (piped && discard) throw new HearsayError('usage', '-o - leaves nothing behind that --discard could remove');
  if (piped && common.json)
    throw new HearsayError('usage', '-o - writes the file to standard output, where --json writes too');
  for (const [on, option] of [
    [background, '--background'],
    [seed, '--seed'],
  ]) {
    if (on && (piped || discard))
      throw new HearsayError('usage', `${option} does not go with ${piped ? '-o -' : '--discard'}`);
  }
  const session = await context.session('any', { flags: limitFlags(options) });
  const { api, running, timeout } = session;
  if (background && !running) {
    const why = 'nothing runs here that could fetch in the background';
    throw new HearsayError('not-running', `${why}: \`hearsay daemon start\` starts it`);
  }
  const keep = running && !piped && !discard;
  const query: GetQuery = {
    what,
    to: destination(io.cwd, output),
    ...(from && { from }),
    ...(overwrite && { overwrite }),
    ...(discard && { discard }),
    ...(sync && { sync }),
    ...limitOf(options.limitDown, session),
    ...(keep && { keep }),
    // What is written to a pipe is nowhere to be served from.
    ...(seed ? { seed } : piped && { seed: false }),
    timeout,
    verbose: common.verbose || common.json,
  };
  let fetched: Fetched | undefined;
  try {
    if (piped) await getToStdout(context, api, query);
    else if (background) await inBackground(context, api, query);
    else {
      fetched = await followGet(context, api.get(query, context.signal), { kept: keep });
      await finish(context, fetched, discard ?? false);
    }
  } catch (error) {
    const known = asHearsayError(error);
    await out.error(known);
    context.failed(known.code);
  }
  if (fetched && fetched.seeds.length > 0 && !running && !context.signal.aborted) {
    await session.close();
    const shares = fetched.seeds.map(({ path, name, only }) => ({ path, as: name, ...(only ? { only } : {}) }));
    await serve(context, { ...limitFlags(options), share: shares });
  }
  if (context.failure === undefined) return;
  // That nobody is there was said with why and what to do.
  if (context.failure === 'no-peer') return;
  tellUnreached(out, session);
  if (context.failure === 'not-found' && !discard) {
    await tellAnswered(context, api, 'and `hearsay find WORD` searches their paths');
  }
}

/** What a running peer is to keep of this get alone; a one-shot has nothing else to fetch. */
function limitOf(limitDown: string | undefined, { running }: Session): Pick<GetQuery, 'limitDown'> {
  const rate = limitDown === undefined ? Number.POSITIVE_INFINITY : parseRate(limitDown);
  return running && Number.isFinite(rate) ? { limitDown: rate } : {};
}

/** Has it begun, and leaves it to the running peer. */
async function inBackground(context: Context, api: Api, query: GetQuery): Promise<void> {
  const { out, signal } = context;
  const { start, failed } = await followGet(context, api.get(query, signal), { kept: true, brief: true });
  if (failed) context.failed(failed);
  if (!start || out.manner.json || out.manner.quiet) return;
  const { number, files, bytes, again } = start;
  const what = `transfer ${number}${again ? `, ${STANDING[again]} already` : ''}: ${count(files, 'file')}, ${formatSize(bytes)}`;
  await out.line(`${what}; \`hearsay status\` shows it, \`hearsay cancel ${number}\` ends it`);
}

/** DEST as an absolute path; what says "folder" by its last separator keeps it. */
export function destination(cwd: string, output: string | undefined): string {
  const absolute = resolve(cwd, output ?? '.');
  const folder = output === undefined || output.endsWith('/') || output.endsWith(sep);
  return folder && !absolute.endsWith(sep) ? absolute + sep : absolute;
}

/** Turns what became of it into the exit status: an interruption, else the first failure. */
async function finish(context: Context, fetched: Fetched, discard: boolean): Promise<void> {
  const { out, signal } = context;
  if (signal.aborted && signal.reason === DETACHED && fetched.start?.number !== undefined) {
    const rest = `transfer ${fetched.start.number} goes on without this command: \`hearsay status\` shows it`;
    await out.error(new HearsayError('interrupted', rest), { advise: false });
    context.failed('interrupted');
  } else if (signal.aborted) {
    const kept = discard ? '' : ': what was verified is kept, and the same command goes on from there';
    await out.error(new HearsayError('interrupted', `interrupted${kept}`), { advise: false });
    context.failed('interrupted');
  } else if (fetched.failed) context.failed(fetched.failed);
  // The end of a stream is its last object, after whatever ended it.
  if (fetched.end && out.manner.json) await out.data(fetched.end);
}
