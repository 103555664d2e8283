/** The command line: `run` takes the words that were typed and gives the exit status. */
import { Command, CommanderError, Help, type Option } from 'commander';
import { asHearsayError, exitStatus, HearsayError } from '../errors.js';
import { addCommand, removeCommand } from './add.js';
import { completeCommand, completionCommand } from './completion.js';
import { consoleCommand } from './console.js';
import { Context, type Perform, typedName } from './context.js';
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
import { answerCommand, inboxCommand } from './inbox.js';
import type { Connect, Io } from './io.js';
import { lsCommand } from './ls.js';
import { manCommand } from './man.js';
import { addCommon, addManner, COMMON } from './options.js';
import { Output } from './output.js';
import { peersCommand } from './peers.js';
import { secretCommand, secretNewCommand } from './secret.js';
import { sendCommand } from './send.js';
import { shareCommand } from './share.js';
import { statusCommand } from './status.js';
import { steerCommand } from './steer.js';
import { nearest } from './suggest.js';

const EXAMPLES = `
On one machine:
  hearsay share ~/Pictures
On another one of the same network:
  hearsay ls
  hearsay get Pictures/cat.jpg
  hearsay get Pictures/ -o ~/from-the-other/
To somebody who runs it too, who is asked:
  hearsay send photo.jpg --to alice

More of each command, and the options that all take: hearsay COMMAND --help`;

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
const STREAMS = new Set(['share', 'get', 'send']);

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
    status = context.status ?? (context.failure ? exitStatus(context.failure) : 0);
  };
  const table = commandTable(io, perform);
  try {
    await table.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return wrong(argv, io, error, table);
  }
  return status;
}

/** Every command and option that there is: what is run, and what help, completion and the manual tell of. */
export function commandTable(io: Io, perform: Perform): Command {
  const hearsay = new Command('hearsay');
  // Everything that commander prints is help; its errors are thrown, and told as all errors are.
  const quiet = { writeOut: (text: string) => void io.stdout.write(text), writeErr: () => {} };
  const settle = (command: Command) =>
    command
      .exitOverride()
      .configureOutput({ ...quiet, getOutHelpWidth: () => Math.min(io.stdout.columns, 120) })
      .configureHelp({ groupItems: ownFirst })
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
    sendCommand,
    inboxCommand,
    statusCommand,
    doctorCommand,
    addCommand,
    removeCommand,
    ...(['cancel', 'pause', 'resume'] as const).map((verb) => (it: Perform) => steerCommand(verb, it)),
  ];
  for (const make of commands) hearsay.addCommand(addCommon(settle(make(perform))));
  hearsay.addCommand(addCommon(settle(consoleCommand(perform, { run, program: () => commandTable(io, perform) }))));
  const inbox = hearsay.commands.find((command) => command.name() === 'inbox');
  for (const verb of ['accept', 'refuse'] as const) {
    inbox?.addCommand(addCommon(settle(answerCommand(verb, perform))));
  }
  const daemon = settle(daemonCommand());
  for (const make of DAEMON) daemon.addCommand(addCommon(settle(make(perform))));
  hearsay.addCommand(daemon);
  hearsay.addCommand(settle(secretCommand()).addCommand(addManner(settle(secretNewCommand(perform)))));
  hearsay.addCommand(settle(completionCommand(perform)));
  hearsay.addCommand(settle(manCommand(perform)));
  hearsay.addCommand(settle(completeCommand(perform)), { hidden: true });
  return hearsay;
}

/** A command's own options before those of every command, also where its only one is --help. */
function ownFirst<T extends Command | Option>(all: T[], visible: T[], groupOf: (item: T) => string): Map<string, T[]> {
  const groups = [...new Help().groupItems(all, visible, groupOf)];
  return new Map(groups.sort(([a], [b]) => Number(a === COMMON) - Number(b === COMMON)));
}

/** The names of the commands that are for people. */
function namesOf(hearsay: Command): string[] {
  return hearsay.commands.map((command) => command.name()).filter((name) => !name.startsWith('_'));
}

function names(hearsay: Command): string {
  return `There are ${namesOf(hearsay).join(', ')}`;
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
  push: 'send',
  give: 'send',
  accept: 'inbox accept',
  refuse: 'inbox refuse',
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
  const all = namesOf(hearsay);
  const near = nearest(word, all, MEANT);
  return `there is no command ${word}. ${near ? `Did you mean hearsay ${near}?` : names(hearsay)}`;
}

/** Tells of words that mean no command, and gives the exit status. */
async function wrong(argv: readonly string[], io: Io, error: unknown, table: Command): Promise<number> {
  const end = argv.indexOf('--');
  const words = end < 0 ? argv : argv.slice(0, end);
  const out = new Output(io, { json: words.includes('--json'), quiet: false, verbose: words.includes('--verbose') });
  out.streams = words.some((word) => STREAMS.has(word)) || words.includes('--follow');
  out.command = typedName(meant(words, table));
  let known = asHearsayError(error);
  if (error instanceof CommanderError) {
    known = new HearsayError('usage', error.message.replace(/^error: /, '').replaceAll('\n', ' '));
  }
  await out.error(known);
  return exitStatus(known.code);
}

/** The command that the first words name, as far as they do. */
function meant(words: readonly string[], table: Command): Command {
  let command = table;
  for (const word of words.filter((one) => !one.startsWith('-'))) {
    const next = command.commands.find((one) => one.name() === word);
    if (!next) break;
    command = next;
  }
  return command;
}
