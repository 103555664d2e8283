/** `hearsay cancel`, `pause` and `resume`: what becomes of transfers that the running peer was asked for. */
import { Command } from 'commander';
import type { SteeredRow, SteerQuery } from '../api.js';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { STANDING } from './get-events.js';

const VERBS: Record<SteerQuery['verb'], { summary: string; description: string }> = {
  cancel: {
    summary: 'end transfers of the running peer',
    description:
      'End transfers that the running peer was asked for, by their numbers as `hearsay status` shows them. What is not finished is removed, also what was verified of it; files that are finished stay. To hold a transfer and keep what is verified: `hearsay pause`.',
  },
  pause: {
    summary: 'hold transfers of the running peer',
    description:
      'Hold transfers that the running peer was asked for, by their numbers as `hearsay status` shows them: what is verified is kept, also over a restart, until `hearsay resume`, or the same `hearsay get` again.',
  },
  resume: {
    summary: 'let held transfers go on',
    description:
      'Let transfers that were held go on, at the end of the queue, by their numbers as `hearsay status` shows them. One that waits for others to come looks for them now.',
  },
};

/** What is said of one that is not as it was asked to be. */
const NONE: Record<SteerQuery['verb'], string> = {
  cancel: 'nothing is under way, waits or is held',
  pause: 'nothing is under way or waits that could be held',
  resume: 'nothing is held',
};

/** `hearsay cancel|pause|resume N...|all` */
export function steerCommand(verb: SteerQuery['verb'], perform: Perform): Command {
  const { summary, description } = VERBS[verb];
  return new Command(verb)
    .summary(summary)
    .description(`${description} Exits 5 where none runs.`)
    .usage('[options] N...|all')
    .argument('[n...]')
    .addHelpText('after', `\nExamples:\n  hearsay ${verb} 3\n  hearsay ${verb} 3 4\n  hearsay ${verb} all`)
    .action((words: string[], _options: object, command: Command) =>
      perform(command, (context) => steer(context, verb, words)),
    );
}

async function steer(context: Context, verb: SteerQuery['verb'], words: string[]): Promise<void> {
  const { out } = context;
  const numbers = numbersOf(verb, words);
  const { api } = await context.session('running');
  const rows = await context.within(api.steer({ verb, numbers }));
  if (out.manner.json) await out.data({ transfers: rows });
  for (const row of rows) {
    if (row.error) context.failed(row.error.code);
    if (out.manner.json) continue;
    if (row.error) {
      const isUnknown = row.error.code === 'not-found';
      await out.error(new HearsayError(row.error.code, row.error.message), { advise: !isUnknown });
      if (isUnknown) out.note('  `hearsay status` shows the numbers.');
    } else if (!out.manner.quiet) await out.line(steeredLine(row));
  }
  if (rows.length === 0) out.note(NONE[verb]);
}

/** @throws HearsayError `usage` */
function numbersOf(verb: string, words: readonly string[]): SteerQuery['numbers'] {
  if (words.length === 1 && words[0] === 'all') return 'all';
  const example = `for example: hearsay ${verb} 3, or hearsay ${verb} all; \`hearsay status\` shows the numbers`;
  if (words.length === 0)
    throw new HearsayError('usage', `${verb} what? ${example[0].toUpperCase()}${example.slice(1)}`);
  return words.map((word) => {
    if (!/^[1-9]\d{0,8}$/.test(word))
      throw new HearsayError('usage', `"${printable(word)}" is no number of a transfer; ${example}`);
    return Number(word);
  });
}

export function steeredLine({ number, state, path }: SteeredRow): string {
  const what = path === undefined ? '' : ` (${printable(path)})`;
  if (state === 'cancelled') return `transfer ${number}${what} is cancelled; what was not finished of it is removed`;
  const how = state === undefined ? '' : STANDING[state];
  return `transfer ${number}${what} is ${how}`;
}
