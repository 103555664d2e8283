import { resolve, sep } from 'node:path';
import { Command } from 'commander';
import type { GetQuery } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Context, Perform } from './context.js';
import { type Fetched, followGet } from './get-events.js';
import { getToStdout } from './get-stdout.js';
import { tellAnswered, tellUnreached } from './listing.js';
import { listOption } from './options.js';

interface Options {
  output?: string;
  from?: string[];
  overwrite?: boolean;
  discard?: boolean;
  sync?: boolean;
}

/** `hearsay get WHAT...`: fetches files, folders, patterns or content ids. */
export function getCommand(perform: Perform): Command {
  return new Command('get')
    .summary('fetch files, folders, patterns or content ids')
    .description(
      'Fetch WHAT from every peer that has it, verified. WHAT is a path as `ls` shows it, a folder (`photos/`), `#` and a content id, a pattern (`*` within a name, `**` across folders; quote it), or a file name that only one file has. What was verified before an interruption is kept: the same command goes on from there.',
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
    .addHelpText(
      'after',
      "\nExamples:\n  hearsay get photos/cat.jpg\n  hearsay get photos/ -o ~/Pictures/\n  hearsay get 'photos/**/*.jpg' --from alice\n  hearsay get notes.txt -o - | less",
    )
    .action((what: string[], options: Options, command: Command) =>
      perform(command, (context) => get(context, what, options)),
    );
}

async function get(context: Context, what: string[], options: Options): Promise<void> {
  const { out, io, common } = context;
  const { output, from, overwrite, discard, sync } = options;
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
  const session = await context.session('any');
  const { api, timeout } = session;
  const query: GetQuery = {
    what,
    to: destination(io.cwd, output),
    ...(from && { from }),
    ...(overwrite && { overwrite }),
    ...(discard && { discard }),
    ...(sync && { sync }),
    timeout,
    verbose: common.verbose || common.json,
  };
  try {
    if (piped) await getToStdout(context, api, query);
    else await finish(context, await followGet(context, api.get(query, context.signal)), discard ?? false);
  } catch (error) {
    const known = asHearsayError(error);
    await out.error(known);
    context.failed(known.code);
  }
  if (context.failure === undefined) return;
  // That nobody is there was said with why and what to do.
  if (context.failure === 'no-peer') return;
  tellUnreached(out, session);
  if (context.failure === 'not-found' && !discard) {
    await tellAnswered(context, api, 'and nothing of theirs fits: `hearsay find WORD` searches their paths');
  }
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
  if (signal.aborted) {
    const kept = discard ? '' : ': what was verified is kept, and the same command goes on from there';
    await out.error(new HearsayError('interrupted', `interrupted${kept}`), { advise: false });
    context.failed('interrupted');
  } else if (fetched.failed) context.failed(fetched.failed);
  // The end of a stream is its last object, after whatever ended it.
  if (fetched.end && out.manner.json) await out.data(fetched.end);
}
