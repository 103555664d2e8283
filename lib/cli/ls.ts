import { Command } from 'commander';
import { HearsayError } from '../errors.js';
import type { Perform } from './context.js';
import { printFollow, printListing } from './listing.js';
import { listOption } from './options.js';
import { printSources } from './sources.js';

interface Options {
  from?: string[];
  sources?: string;
  follow?: boolean;
}

/** `hearsay ls [PATTERN]`: the network's files. */
export function lsCommand(perform: Perform): Command {
  return new Command('ls')
    .summary("the network's files")
    .description(
      "List the network's files: size, who has it, path. PATTERN is a path, a folder (`photos/`), or a pattern (`*` within a name, `**` across folders); quote it, so that the shell leaves it alone.",
    )
    .usage('[options] [PATTERN]')
    .argument('[pattern...]')
    .addOption(listOption('--from <peer,...>', 'only what these peers have: names or ids'))
    .option('--sources <what>', 'who holds which chunks of a file')
    .option('--follow', 'go on with changes until Ctrl-C: + added, ~ changed, - removed')
    .addHelpText(
      'after',
      "\nExamples:\n  hearsay ls\n  hearsay ls 'photos/**/*.jpg'\n  hearsay ls --from alice,bob --follow",
    )
    .action((patterns: string[], options: Options, command: Command) =>
      perform(command, async (context) => {
        if (options.sources !== undefined) {
          if (patterns.length > 0 || options.follow) {
            throw new HearsayError('usage', '--sources WHAT goes with neither PATTERN nor --follow');
          }
          await printSources(context, options.sources, options.from);
          return;
        }
        if (patterns.length > 1) {
          throw new HearsayError(
            'usage',
            `ls takes one PATTERN, not ${patterns.length}: quote it, so that the shell leaves it alone`,
          );
        }
        const query = { pattern: patterns[0], from: options.from };
        await (options.follow ? printFollow(context, query) : printListing(context, query));
      }),
    );
}
