/** `hearsay inbox`: what others want to send to the running peer, and sent; `accept` and `refuse` answer. */
import { Command } from 'commander';
import type { AnswerQuery, InboxRow } from '../api.js';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { count, formatSize, peerLabel } from './format.js';
import type { Output } from './output.js';
import { table } from './text.js';

/** What is over and is listed without --verbose. */
const OVER_SHOWN = 20;

const EXAMPLES =
  '\nExamples:\n  hearsay inbox\n  hearsay inbox accept 3\n  hearsay inbox refuse 4 5\n  hearsay inbox accept all';

/** `hearsay inbox`: lists. */
export function inboxCommand(perform: Perform): Command {
  return new Command('inbox')
    .summary('what others want to send me')
    .description(
      'List what others want to send to the peer that runs on this state folder, and what they sent; `inbox accept N` takes it, `inbox refuse N` does not. Exits 5 where none runs.',
    )
    .usage('[accept|refuse N...|all] [options]')
    .helpCommand(false)
    .argument('[word...]')
    .addHelpText('after', EXAMPLES)
    .action((words: string[], _options: object, command: Command) =>
      perform(command, async (context) => {
        if (words.length > 0) {
          throw new HearsayError('usage', `there is no hearsay inbox ${words[0]}; there are accept N and refuse N`);
        }
        const { out } = context;
        const { api } = await context.session('running');
        const rows = await context.within(api.inbox());
        if (out.manner.json) return out.data({ inbox: rows });
        if (rows.length === 0) return out.note('nothing was sent here since this peer was started');
        await out.lines(inboxTable(rows, out));
        if (rows.some(isWaiting)) {
          out.note(
            '`hearsay inbox accept N` takes what waits, `hearsay inbox refuse N` does not; `all` is all that waits',
          );
        }
      }),
    );
}

/** `hearsay inbox accept|refuse N...|all`. */
export function answerCommand(verb: AnswerQuery['verb'], perform: Perform): Command {
  const takes = verb === 'accept';
  return new Command(verb)
    .summary(takes ? 'take what others want to send' : 'do not take what others want to send')
    .description(
      takes
        ? 'Take what others want to send, by its numbers in `hearsay inbox`, or all that waits: it lands in the inbox folder.'
        : 'Do not take what others want to send, by its numbers in `hearsay inbox`, or all that waits: who sends is told so.',
    )
    .usage('[options] N...|all')
    .argument('[number...]')
    .addHelpText('after', EXAMPLES)
    .action((words: string[], _options: object, command: Command) =>
      perform(command, (context) => answer(context, { verb, numbers: readNumbers(verb, words) })),
    );
}

/** @throws HearsayError `usage` */
function readNumbers(verb: AnswerQuery['verb'], words: readonly string[]): AnswerQuery['numbers'] {
  if (words.length === 1 && words[0] === 'all') return 'all';
  const odd = words.find((word) => !/^[1-9][0-9]{0,8}$/.test(word));
  if (words.length === 0 || odd !== undefined) {
    const what = odd === undefined ? `${verb} what?` : `${printable(odd)} is no number.`;
    throw new HearsayError('usage', `${what} \`hearsay inbox\` lists numbers; for example: hearsay inbox ${verb} 3`);
  }
  return [...new Set(words.map(Number))];
}

async function answer(context: Context, query: AnswerQuery): Promise<void> {
  const { out } = context;
  const { api } = await context.session('running');
  const rows = await context.within(api.answer(query));
  const done = query.verb === 'accept' ? 'accepted' : 'refused';
  if (out.manner.json) await out.data({ [done]: rows });
  else if (rows.length === 0) out.note('nothing waits');
  for (const { number, name = '', from, error } of rows) {
    if (error) {
      context.failed(error.code);
      if (!out.manner.json) await out.error(new HearsayError(error.code, error.message), { advise: false });
    } else if (!out.manner.json && !out.manner.quiet) {
      const whose = from ? ` from ${peerLabel(from)}` : '';
      await out.line(`${done} ${number}: ${printable(name)}${whose}`);
    }
  }
}

export const isWaiting = ({ state }: InboxRow): boolean => state === 'waiting';

/** One line each, the newest last; of what is over only the latest without --verbose. */
export function inboxTable(rows: readonly InboxRow[], out: Output): string[] {
  const { dim } = out.style;
  const isOver = ({ state }: InboxRow) => state !== 'waiting' && state !== 'receiving';
  let left = out.manner.verbose ? 0 : Math.max(0, rows.filter(isOver).length - OVER_SHOWN);
  const hidden = left;
  const shown = rows.filter((row) => !isOver(row) || left-- <= 0);
  const cells = shown.map((row) => [
    `${row.number}`,
    peerLabel(row.from),
    `${printable(row.name)}${row.folder ? '/' : ''}`,
    count(row.files, 'file'),
    formatSize(row.bytes),
    stateOf(row),
  ]);
  const head = ['N', 'FROM', 'NAME', 'FILES', 'SIZE', 'STATE'];
  const [first, ...lines] = table(out.manner.quiet ? cells : [head, ...cells], [0, 3, 4]);
  const rest = hidden > 0 ? [dim(`and ${count(hidden, 'earlier one')}: --verbose`)] : [];
  return [out.manner.quiet ? first : dim(first), ...lines, ...rest];
}

function stateOf({ state, bytes, received, path, error }: InboxRow): string {
  if (state === 'waiting') return 'waits for an answer';
  if (state === 'receiving') return bytes > 0 ? `${Math.floor((100 * received) / bytes)} % received` : 'is received';
  if (state === 'received') return path === undefined ? 'received' : `received: ${printable(path)}`;
  return error ? `${state}: ${printable(error.message)}` : state;
}
