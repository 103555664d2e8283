/** The command line: `run` takes the words that were typed and gives the exit status. */
import { Command, CommanderError } from 'commander';
import { asHearsayError, exitStatus, HearsayError } from '../errors.js';
import { addCommand, removeCommand } from './add.js';
import { Context, type Perform } from './context.js';
import {
  daemonCommand,
  daemonRestartCommand,
  daemonStartCommand,
  daemonStatusCommand,
  daemonStopCommand,
} from './daemon.js';
import { daemonInstallCommand, daemonUninstallCommand } from './daemon-install.js';
import { daemonLogsCommand } from './daemon-logs.js';
import { daemonRunCommand } from './daemon-run.js';
import { doctorCommand } from './doctor.js';
import { findCommand } from './find.js';
import { getCommand } from './get.js';
import type { Connect, Io } from './io.js';
import { lsCommand } from './ls.js';
import { addCommon, addManner } from './options.js';
import { Output } from './output.js';
import { peersCommand } from './peers.js';
import { secretCommand, secretNewCommand } from './secret.js';
import { shareCommand } from './share.js';
import { statusCommand } from './status.js';

const EXAMPLES = `
On one machine:
  hearsay share ~/Pictures
On another one of the same network:
  hearsay ls
  hearsay get Pictures/cat.jpg
  hearsay get Pictures/ -o ~/from-the-other/

More of each command, and the options that all of them take: hearsay COMMAND --help`;

const DAEMON = [
  daemonStartCommand,
  daemonStopCommand,
  daemonRestartCommand,
  daemonStatusCommand,
  daemonLogsCommand,
  daemonInstallCommand,
  daemonUninstallCommand,
  daemonRunCommand,
];

/** Commands whose output is a stream of objects from the first error on. */
const STREAMS = new Set(['share', 'get']);

/**
 * Runs one command.
 * @param argv the words after the program's name
 * @param connect finds or starts the peer that the command speaks to
 * @returns the exit status of the contract; never rejects
 */
export async function run(argv: readonly string[], io: Io, connect: Connect): Promise<number> {
  let status = 0;
  const perform: Perform = async (command, body) => {
    const context = new Context(command, io, connect);
    try {
      await body(context);
    } catch (error) {
      const known = asHearsayError(error);
      context.failed(known.code);
      await context.out.error(known, { advise: known.code !== 'interrupted' });
    }
    try {
      await context.close();
      // What was printed into a full disk was not printed; that the reader has gone is no fault.
      await io.stdout.write('');
      if (io.stdout.fault) throw io.stdout.fault;
    } catch (error) {
      const known = asHearsayError(error);
      context.failed(known.code);
      await context.out.error(known);
    }
    if (context.failure) status = exitStatus(context.failure);
  };
  try {
    await program(io, perform).parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return wrong(argv, io, error);
  }
  return status;
}

function program(io: Io, perform: Perform): Command {
  const hearsay = new Command('hearsay');
  // Everything that commander prints is help; its errors are thrown, and told as all errors are.
  const quiet = { writeOut: (text: string) => void io.stdout.write(text), writeErr: () => {} };
  const settle = (command: Command) =>
    command
      .exitOverride()
      .configureOutput({ ...quiet, getOutHelpWidth: () => Math.min(io.stdout.columns, 120) })
      .showSuggestionAfterError(true)
      .helpOption('-h, --help', 'this help');
  settle(hearsay)
    .description(
      'Share files on a local network with nothing to set up: verified, resumable, from every peer that has them.',
    )
    .usage('COMMAND [options]')
    .version(io.version, '--version', 'the version')
    .enablePositionalOptions()
    .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage().replace(/\[options\] ?/, '')}` })
    .helpCommand('help [command]', 'help for a command')
    .addHelpText('after', EXAMPLES)
    .action(() => {
      const word = hearsay.args[0];
      if (word === undefined) throw new HearsayError('usage', `which command? ${names(hearsay)}`);
      throw new HearsayError('usage', unknown(word, hearsay));
    })
    .argument('[command...]');
  addCommon(hearsay, true);
  const commands = [
    shareCommand,
    lsCommand,
    findCommand,
    peersCommand,
    getCommand,
    statusCommand,
    doctorCommand,
    addCommand,
    removeCommand,
  ];
  for (const make of commands) hearsay.addCommand(addCommon(settle(make(perform))));
  const daemon = settle(daemonCommand());
  for (const make of DAEMON) daemon.addCommand(addCommon(settle(make(perform))));
  hearsay.addCommand(daemon);
  hearsay.addCommand(settle(secretCommand()).addCommand(addManner(settle(secretNewCommand(perform)))));
  return hearsay;
}

function names(hearsay: Command): string {
  return `There are ${hearsay.commands.map((command) => command.name()).join(', ')}`;
}

/** What other tools, and people, call our commands. */
const MEANT: Record<string, string> = {
  list: 'ls',
  dir: 'ls',
  files: 'ls',
  search: 'find',
  grep: 'find',
  fetch: 'get',
  download: 'get',
  receive: 'get',
  copy: 'get',
  serve: 'share',
  send: 'share',
  start: 'daemon start',
  stop: 'daemon stop',
  restart: 'daemon restart',
  logs: 'daemon logs',
  log: 'daemon logs',
  service: 'daemon install',
  who: 'peers',
  nodes: 'peers',
  info: 'status',
  version: '--version',
};

function unknown(word: string, hearsay: Command): string {
  const all = hearsay.commands.map((command) => command.name());
  const near = MEANT[word.toLowerCase()] ?? all.find((name) => distance(name, word) <= Math.ceil(name.length / 3));
  return `there is no command ${word}. ${near ? `Did you mean hearsay ${near}?` : names(hearsay)}`;
}

/** Edits that turn one word into another: insert, delete, replace, swap neighbours (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows: number[][] = [[...Array(b.length + 1).keys()]];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2][j - 2] + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}

/** Tells of words that mean no command, and gives the exit status. */
async function wrong(argv: readonly string[], io: Io, error: unknown): Promise<number> {
  const end = argv.indexOf('--');
  const words = end < 0 ? argv : argv.slice(0, end);
  const out = new Output(io, { json: words.includes('--json'), quiet: false, verbose: words.includes('--verbose') });
  out.streams = words.some((word) => STREAMS.has(word)) || words.includes('--follow');
  let known = asHearsayError(error);
  if (error instanceof CommanderError) {
    known = new HearsayError('usage', error.message.replace(/^error: /, '').replaceAll('\n', ' '));
  }
  await out.error(known);
  return exitStatus(known.code);
}
