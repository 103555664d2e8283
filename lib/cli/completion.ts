/** `hearsay completion SHELL`, and the hidden command that its scripts ask at each key. */
import { homedir, networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { Argument, Command } from 'commander';
import { HearsayError } from '../errors.js';
import { COMPLETION_MS } from '../limits.js';
import { printable } from '../names.js';
import { bashReplies, readBashLine } from './bash-line.js';
import { candidatesOf } from './candidates.js';
import { type Aim, aimOf, type Candidate } from './completing.js';
import { SCRIPTS, SHELLS, type Shell } from './completion-scripts.js';
import type { Perform } from './context.js';
import type { Io } from './io.js';

/** Which there are is for completion; what is none of them is told of in our words. */
const SHELL = new Argument('[shell]').choices(SHELLS).argParser((word) => word);

/** `hearsay completion SHELL`: prints what has a shell complete commands, options, peers and paths. */
export function completionCommand(perform: Perform): Command {
  return new Command('completion')
    .summary('have the shell complete commands, peers and paths')
    .description(
      'Print what has a shell complete commands and options, and with a peer running on this machine the peers and paths of the network.',
    )
    .usage('SHELL')
    .addArgument(SHELL)
    .addHelpText(
      'after',
      `
For good:
  bash  source <(hearsay completion bash)   in ~/.bashrc
  zsh   source <(hearsay completion zsh)    in ~/.zshrc, after compinit
  fish  hearsay completion fish > ~/.config/fish/completions/hearsay.fish`,
    )
    .action((shell: Shell | undefined, _options: object, command: Command) =>
      perform(command, async ({ out }) => {
        if (!shell || !SHELLS.includes(shell)) {
          const odd = shell ? `there is no completion for ${printable(shell)}; for` : 'completion for which shell?';
          throw new HearsayError('usage', `${odd} ${SHELLS.join(', ')}`);
        }
        await out.line(SCRIPTS[shell].trimEnd());
      }),
    );
}

/**
 * `hearsay __complete SHELL -- WORD...`: what completes the last word, perhaps empty; for bash
 * `-- WHAT-IT-REPLACES LINE-UP-TO-THE-CURSOR`.
 */
export function completeCommand(perform: Perform): Command {
  return new Command('__complete')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .argument('[word...]')
    .action((shell: Shell, words: string[], _options: object, command: Command) =>
      perform(command, async ({ out, io }) => {
        const program = command.parent as Command;
        await out.lines(await (shell === 'bash' ? forBash(program, words, io) : forOthers(program, words, io)));
      }),
    );
}

async function forBash(program: Command, [replaced = '', line = '']: string[], io: Io): Promise<string[]> {
  const read = readBashLine(line);
  if (read.redirected || read.words.length === 0) return ['files'];
  const aim = aimOf(program, [...read.words.slice(1), read.current]);
  const found = await ask(aim, io);
  if (isOfFiles(aim, found)) return ['files'];
  const values = found.map(({ value }) => value);
  return ['words', ...bashReplies(line, read, replaced.length, values)];
}

async function forOthers(program: Command, words: string[], io: Io): Promise<string[]> {
  const aim = aimOf(program, words);
  const found = await ask(aim, io);
  if (isOfFiles(aim, found)) return ['files'];
  return ['words', ...found.map(({ value, about }) => (about ? `${value}\t${about}` : value))];
}

/** What is shared can be named by its place as well. */
function isOfFiles({ kind }: Aim, found: readonly Candidate[]): boolean {
  return (kind === 'files' || kind === 'shares') && found.length === 0;
}

/** What there is to offer; what only a running peer knows is left out where none answers in time. */
async function ask(aim: Aim, io: Io): Promise<Candidate[]> {
  const cards = Object.keys(networkInterfaces());
  const without = () => candidatesOf(aim, undefined, cards);
  if (aim.kind === 'none' || aim.kind === 'files' || aim.kind === 'interfaces') return without();
  // What takes long to load is not the peer's slowness.
  const { connectControl } = await import('../daemon/control-client.js');
  const { loadSettings } = await import('../share/settings.js');
  const finding = async () => connectControl((await loadSettings(settingsOf(aim, io))).state);
  let late: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    late = setTimeout(() => resolve(undefined), COMPLETION_MS);
  });
  // Whatever is the matter, nobody wants to read it amid the line that is being typed.
  const found = finding().catch(() => undefined);
  const asking = found.then((client) => client && candidatesOf(aim, client, cards)).catch(() => undefined);
  const candidates = await Promise.race([asking, tooLate]);
  clearTimeout(late);
  void found.then((client) => client?.close());
  return candidates ?? without();
}

/** Where the settings are that the line is about. */
function settingsOf({ state, config }: Aim, { cwd, env }: Io) {
  // The shell has not yet put the home folder in its place.
  const place = (path: string) => resolve(cwd, path.startsWith('~/') ? join(homedir(), path.slice(2)) : path);
  return {
    flags: state === undefined ? {} : { state: place(state) },
    env,
    configFile: config === undefined ? undefined : place(config),
  };
}
