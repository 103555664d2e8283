import { resolve } from 'node:path';
import { Command } from 'commander';
import type { Api, SendQuery } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { printable, segmentFault } from '../names.js';
import type { Context, Perform } from './context.js';
import { listOption } from './options.js';
import { followSend, type SentTo } from './send-events.js';

interface Options {
  to?: string[];
  as?: string;
}

/** `hearsay send FILE... --to PEER,...`: offers files to peers' inboxes. */
export function sendCommand(perform: Perform): Command {
  return new Command('send')
    .summary("offer files to peers' inboxes")
    .description(
      'Offer files and folders to peers: each of them accepts or refuses, and what it accepts lands in its inbox folder, verified. Nobody else sees what is sent. Several receivers serve each other, so that many take little longer than one. It needs a running peer here and there; Ctrl-C takes back what is not received yet. FILE - is standard input.',
    )
    .usage('[options] FILE... --to PEER,...')
    .argument('[file...]')
    .addOption(listOption('--to <peer,...>', 'who is to have it: names or, surer, ids; may be repeated'))
    .option('--as <name>', 'call the one FILE by another name; standard input needs one')
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay send photo.jpg --to alice\n  hearsay send ~/Pictures/trip notes.txt --to alice,bob\n  tar c src | hearsay send - --as src.tar --to bob',
    )
    .action((files: string[], options: Options, command: Command) =>
      perform(command, (context) => send(context, files, options)),
    );
}

async function send(context: Context, files: string[], { to, as }: Options): Promise<void> {
  const { out, io } = context;
  out.streams = true;
  if (files.length === 0) throw new HearsayError('usage', 'send what? For example: hearsay send photo.jpg --to alice');
  if (!to || to.length === 0) {
    throw new HearsayError('usage', 'send to whom? --to PEER names them; `hearsay peers` lists who is here');
  }
  if (as !== undefined && files.length !== 1) {
    throw new HearsayError('usage', `--as names one FILE, and there are ${files.length}`);
  }
  const fault = as === undefined ? undefined : segmentFault(as);
  if (fault) throw new HearsayError('usage', `nothing can be called ${printable(as ?? '')} (${fault})`);
  if (files.includes('-') && as === undefined) {
    throw new HearsayError('usage', 'standard input has no name: give it one with --as NAME');
  }
  const query: SendQuery = {
    files: files.map((file) => resolve(io.cwd, file)),
    to: [...new Set(to.map((name) => name.normalize('NFC')))],
    ...(as === undefined ? {} : { as }),
  };
  if (files[0] === '-') {
    const { api } = await context.session('running');
    const { withInput } = await import('./send-input.js');
    return withInput(context, (path) => sendTo(context, api, { ...query, files: [path] }));
  }
  if (!(await areThere(context, query.files))) return;
  const { api } = await context.session('running');
  await sendTo(context, api, query);
}

/** Whether all FILEs can be read; each that cannot is told of. */
async function areThere(context: Context, files: readonly string[]): Promise<boolean> {
  const { checkReadable } = await import('../share/resolve.js');
  for (const path of files) {
    try {
      await checkReadable(path, 'send');
    } catch (thrown) {
      const error = asHearsayError(thrown);
      await context.out.error(error);
      context.failed(error.code);
    }
  }
  return context.failure === undefined;
}

/** Sends, tells how it goes, and turns what became of it into the exit status. */
async function sendTo(context: Context, api: Api, query: SendQuery): Promise<void> {
  const { out, signal } = context;
  let sent: SentTo;
  try {
    sent = await followSend(context, api.send(query, signal), query.to.length);
  } catch (thrown) {
    const error = asHearsayError(thrown);
    await out.error(error);
    return context.failed(error.code);
  }
  if (signal.aborted) {
    const message = 'interrupted: it was taken back from those who do not have all of it';
    await out.error(new HearsayError('interrupted', message), { advise: false });
    context.failed('interrupted');
  } else if (sent.refused) context.failed('refused');
  else if (sent.failed) context.failed(sent.failed);
  // The end of a stream is its last object, after whatever ended it.
  if (sent.end && out.manner.json) await out.data(sent.end);
}
