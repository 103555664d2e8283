/** `hearsay add` and `hearsay remove`: what the running peer shares, changed while it runs. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { AddedRow, ErrorBody, RemovedRow } from '../api.js';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { addPaths, howShared, type SharingOptions } from './sharing.js';

/** `hearsay add PATH...`: shared from now on, and at every start. */
export function addCommand(perform: Perform): Command {
  return addPaths(new Command('add'))
    .summary('share more, with the running peer, from now on')
    .description(
      'Have the peer that runs on this state folder share more files and folders: at once, and whenever a peer runs on this state folder, besides what it is started with or its config file names. Exits 5 where none runs.',
    )
    .usage('[options] PATH...')
    .addHelpText(
      'after',
      "\nExamples:\n  hearsay add ~/Pictures\n  hearsay add ~/Music --exclude '*.tmp' --exclude drafts/\n  hearsay add ~/Letters --for bob",
    )
    .action((paths: string[], options: SharingOptions, command: Command) =>
      perform(command, async (context) => {
        const { out, io } = context;
        if (paths.length === 0) throw new HearsayError('usage', 'add what? For example: hearsay add ~/Pictures');
        const how = howShared(paths, options);
        const { api } = await context.session('running');
        const rows = await context.within(api.add({ paths: paths.map((path) => resolve(io.cwd, path)), ...how }));
        if (out.manner.json) await out.data({ added: rows });
        else for (const row of rows) if (!row.error) await out.line(addedLine(row, how));
        await tellErrors(context, rows);
      }),
    );
}

/** `hearsay remove PATH|NAME...`: shared no more. */
export function removeCommand(perform: Perform): Command {
  return new Command('remove')
    .summary('share something no more')
    .description(
      'Have the peer that runs on this state folder share something no more: others see it go at once, and what they are fetching of it ends. What was added stays away; what the peer was started with or its config file names is shared again at its next start. Exits 5 where none runs.',
    )
    .usage('[options] PATH|NAME...')
    .argument('[what...]')
    .addHelpText('after', '\nExamples:\n  hearsay remove ~/Pictures\n  hearsay remove Pictures Music')
    .action((what: string[], _options: object, command: Command) =>
      perform(command, async (context) => {
        const { out, io } = context;
        if (what.length === 0) throw new HearsayError('usage', 'remove what? `hearsay status` lists what is shared');
        const { api } = await context.session('running');
        const rows = await context.within(api.remove({ what, cwd: io.cwd }));
        if (out.manner.json) await out.data({ removed: rows });
        else for (const row of rows) if (row.name !== undefined) await out.line(removedLine(row));
        await tellErrors(context, rows);
      }),
    );
}

function addedLine(
  { path, name = '', already, waiting = [] }: AddedRow,
  { for: whose, only, exclude }: SharingOptions,
) {
  const parts = [`${already ? 'shared already' : 'shares'} ${printable(name)} (${printable(path)})`];
  if (only || exclude) parts.push('some of its files');
  if (whose) parts.push(`only ${whose.map(printable).join(', ')} can read it`);
  if (waiting.length > 0) parts.push(`waiting for ${waiting.map(printable).join(', ')}`);
  return parts.join('; ');
}

function removedLine({ name = '', path = '', until, from }: RemovedRow): string {
  const line = `no longer shares ${printable(name)} (${printable(path)})`;
  if (!until) return line;
  const why = from === 'config' ? 'the config file names it' : 'it was named when this peer was started';
  return `${line} until the next start, as ${why}`;
}

/** In JSON they stand in the rows; the first decides the exit status in any case. */
async function tellErrors(context: Context, rows: readonly { error?: ErrorBody }[]): Promise<void> {
  for (const { error } of rows) {
    if (!error) continue;
    context.failed(error.code);
    if (context.out.manner.json) continue;
    // What there is of the network's files says nothing of what is shared here.
    await context.out.error(new HearsayError(error.code, error.message), { advise: error.code !== 'not-found' });
  }
}
