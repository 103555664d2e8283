/** `hearsay daemon logs`: what the daemon did. */
import { Command } from 'commander';
import { HearsayError } from '../errors.js';
import { printable, printableJson } from '../names.js';
import type { Context, Perform } from './context.js';
import { settingsOf } from './daemon-common.js';
import { formatTime } from './format.js';
import type { Style } from './output.js';

interface Options {
  follow?: boolean;
  lines?: string;
}

const LINES = 20;

export function daemonLogsCommand(perform: Perform): Command {
  return new Command('logs')
    .summary('what it did')
    .description(
      'Print the last lines of the log, which is kept in the state folder: its newest 10 MiB or more. With --json each as it is there, a JSON object a line.',
    )
    .usage('[options]')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('-n, --lines <n>', `how many lines (default: ${LINES})`)
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay daemon logs\n  hearsay daemon logs -f\n  hearsay daemon logs -n 500 --json',
    )
    .action((options: Options, command: Command) => perform(command, (context) => logs(context, options)));
}

async function logs(context: Context, { follow = false, lines = String(LINES) }: Options): Promise<void> {
  const { out, signal } = context;
  if (!/^\d{1,9}$/.test(lines)) throw new HearsayError('usage', `-n takes a number of lines, not ${lines}`);
  const { parseLine, readLog } = await import('../daemon/log-reader.js');
  const { logFolder } = await import('../daemon/log-file.js');
  const { state } = await settingsOf(context);
  let told = 0;
  for await (const text of readLog(state, Number(lines), follow ? signal : undefined)) {
    told++;
    const line = parseLine(text);
    if (!line) {
      if (!out.manner.json) await out.line(printable(text));
    } else if (out.manner.json) await out.line(printableJson(line));
    else
      await out.line(
        `${out.style.dim(formatTime(line.time, true))} ${level(line.level, out.style)} ${printable(line.msg)}`,
      );
    if (context.io.stdout.closed) return;
  }
  if (follow && signal.aborted) context.failed('interrupted');
  else if (told === 0 && lines !== '0') out.note(`there is no log yet in ${printable(logFolder(state))}`);
}

function level(name: string, { red, dim, bold }: Style): string {
  const text = printable(name).padEnd(5);
  if (name === 'error' || name === 'fatal') return red(text);
  return name === 'warn' ? bold(text) : dim(text);
}
