import { homedir } from 'node:os';
import { Command } from 'commander';
import type { ShareEvent } from '../api.js';
import { HearsayError } from '../errors.js';
import { completions } from './console-complete.js';
import { History } from './console-history.js';
import { isAtTerminal, Prompt } from './console-prompt.js';
import { ConsoleSession, type Run } from './console-session.js';
import { helpLines } from './console-verbs.js';
import type { Reading } from './console-words.js';
import type { Context, Perform } from './context.js';
import type { Session } from './io.js';
import { addSharing, type SharingOptions, sharingFlags } from './sharing.js';

/** What of the command line the console needs itself. */
export interface CommandLine {
  run: Run;
  /** The whole table of commands. */
  program(): Command;
}

/** `hearsay console [PATH...]`: the same verbs at a prompt. */
export function consoleCommand(perform: Perform, line: CommandLine): Command {
  return addSharing(new Command('console'))
    .summary('the same verbs at a prompt')
    .description(
      'Open a prompt that completes (Tab), remembers what was typed, and tells what happens meanwhile. It speaks to the peer that runs on this state folder; where none runs, the console is one, and shares the PATHs, until `quit`. What is piped in is done line by line; the exit status is that of the last line that failed.',
    )
    .usage('[options] [PATH...]')
    .addHelpText('after', `\nAt the prompt:\n${helpLines().join('\n')}`)
    .addHelpText('after', '\nExamples:\n  hearsay console\n  hearsay console ~/Pictures\n  echo ls | hearsay console')
    .action((paths: string[], options: SharingOptions, command: Command) =>
      perform(command, (context) => prompt(context, paths, options, line)),
    );
}

async function prompt(context: Context, paths: string[], options: SharingOptions, line: CommandLine): Promise<void> {
  const { io } = context;
  const flags = sharingFlags(io.cwd, paths, options);
  if (context.common.trace) {
    throw new HearsayError(
      'usage',
      '--trace would print where one types: run `hearsay ls --trace` or another command beside it',
    );
  }
  const session = await connect(context, flags);
  const { api } = session;
  const reading: Reading = { escapes: process.platform !== 'win32', home: homedir() };
  const { state } = await context.within(api.status());
  const history = isAtTerminal(io) ? await History.open(state) : undefined;
  const typing = new Prompt(io, {
    prompt: 'hearsay> ',
    complete: (text) => completions(text, { reading, cwd: io.cwd, program: line.program, api }),
    history: history?.newestFirst ?? [],
    onTyped: (text) => history?.add(text),
    onInterrupt: () => typist.interrupt(),
  });
  const { run } = line;
  const { signal } = context;
  const manner = context.out.manner;
  const typist = new ConsoleSession({ io, manner, prompt: typing, session, reading, run, signal });
  try {
    await typist.run();
  } finally {
    typing.close();
    await history?.stored();
  }
  if (!typing.isTyped && typist.status !== 0) context.status = typist.status;
}

/** The running peer, else one of our own. */
async function connect(context: Context, flags: ReturnType<typeof sharingFlags>): Promise<Session> {
  let running: Session;
  try {
    running = await context.session('running');
  } catch (thrown) {
    if (!(thrown instanceof HearsayError) || thrown.code !== 'not-running') throw thrown;
    // What happens later is told by the peer to all who listen.
    const onEvent = (event: ShareEvent) => {
      if (event.event === 'warning' && isStarting) context.out.warn(event.message);
    };
    let isStarting = true;
    try {
      return await context.session('console', { flags, onEvent });
    } finally {
      isStarting = false;
    }
  }
  if (Object.keys(flags).length > 0) {
    throw new HearsayError('usage', 'a peer runs on this state folder already: `hearsay add PATH` has it share more');
  }
  return running;
}
