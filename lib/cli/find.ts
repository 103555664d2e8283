import { Command } from 'commander';
import { HearsayError } from '../errors.js';
import type { Perform } from './context.js';
import { printListing } from './listing.js';
import { listOption } from './options.js';

/** `hearsay find WORD...`: searches paths. */
export function findCommand(perform: Perform): Command {
  return new Command('find')
    .summary('search paths')
    .description(
      'List the files whose paths have every WORD in them, in any order, whatever the case and the accents; the best first: those with the words in their own names.',
    )
    .usage('[options] WORD...')
    .argument('[word...]')
    .addOption(listOption('--from <peer,...>', 'only what these peers have: names or ids'))
    .addHelpText('after', '\nExamples:\n  hearsay find holiday 2024\n  hearsay find report --from alice')
    .action((words: string[], options: { from?: string[] }, command: Command) =>
      perform(command, async (context) => {
        if (words.length === 0) throw new HearsayError('usage', 'find what? For example: hearsay find holiday');
        await printListing(context, { words, from: options.from });
      }),
    );
}
