/**
 * What a word that is being typed could become, by the same table of commands as the help. Pure; called by the command that
 * the shells' completion asks. Always true: what stands of the word stays, and a completion only adds to it.
 */
import type { Command, Option } from 'commander';

/** What is to be offered. `files`: the shell's own completion of this machine's files. */
export type Kind = 'files' | 'interfaces' | 'inbox' | 'none' | 'paths' | 'peers' | 'shares' | 'transfers';

export interface Candidate {
  /** The whole word. */
  value: string;
  /** What it is, in a few words. */
  about?: string;
}

/** What is wanted for a word. */
export interface Aim {
  kind: Kind;
  /** Words that are known without asking anybody. */
  fixed: Candidate[];
  /** What of the word is not completed: `--from=`, `ada,`. */
  kept: string;
  /** The rest of it. */
  part: string;
  /** The command, as it is typed after the program's name. */
  command: string;
  /** What was said of where to ask, and whose files are meant. */
  state?: string;
  config?: string;
  from: string[];
}

/** What the words after each command are, where they are not commands themselves. */
export const ARGUMENTS: Readonly<Record<string, Kind>> = {
  add: 'files',
  cancel: 'transfers',
  console: 'files',
  'daemon install': 'files',
  'daemon restart': 'files',
  'daemon run': 'files',
  'daemon start': 'files',
  find: 'paths',
  get: 'paths',
  'inbox accept': 'inbox',
  'inbox refuse': 'inbox',
  ls: 'paths',
  pause: 'transfers',
  remove: 'shares',
  resume: 'transfers',
  'secret new': 'files',
  send: 'files',
  share: 'files',
};

/** What the values of options are, or which there are, where they are not free. */
export const VALUES: Readonly<Record<string, Kind | readonly string[]>> = {
  config: 'files',
  for: 'peers',
  from: 'peers',
  forget: 'peers',
  inbox: ['ask', 'accept', 'refuse'],
  'inbox-folder': 'files',
  interface: 'interfaces',
  output: 'files',
  'secret-file': 'files',
  sources: 'paths',
  state: 'files',
  to: 'peers',
};

/** Options whose value is a list with commas. */
const LISTS = ['for', 'from', 'to'];

/**
 * Reads a command line up to the word that is being typed.
 * @param program the whole program
 * @param words after the program's name; the last is the one that is being typed, perhaps empty
 */
export function aimOf(program: Command, words: readonly string[]): Aim {
  const aim: Aim = { kind: 'none', fixed: [], kept: '', part: words.at(-1) ?? '', command: '', from: [] };
  let command = program;
  let waiting: Option | undefined;
  let isPlain = false;
  let places = 0;
  for (const word of words.slice(0, -1)) {
    if (waiting) {
      note(aim, waiting, word);
      waiting = undefined;
    } else if (isPlain) places++;
    else if (word === '--') isPlain = true;
    else if (word.startsWith('-') && word !== '-') {
      const { option, value } = optionOf(command, word);
      if (option && takesValue(option)) {
        if (value === undefined) waiting = option;
        else note(aim, option, value);
      }
    } else {
      const next = places === 0 && command.commands.find((one) => one.name() === word);
      if (next) {
        command = next;
        aim.command = aim.command ? `${aim.command} ${word}` : word;
      } else {
        places++;
        // `help` is no command of the table, but names one.
        if (command === program && word === 'help') places = 0;
      }
    }
  }
  return take(aim, { program, command, waiting, isPlain, places });
}

interface Place {
  program: Command;
  command: Command;
  /** The option whose value the word is. */
  waiting: Option | undefined;
  /** Whether `--` came before. */
  isPlain: boolean;
  /** Words before it that are neither options nor commands. */
  places: number;
}

function take(aim: Aim, { program, command, waiting, isPlain, places }: Place): Aim {
  const { part } = aim;
  if (waiting) return value(aim, waiting, '');
  if (!isPlain && part.startsWith('-')) {
    const { option, value: begun } = optionOf(command, part);
    if (option && begun !== undefined && part.startsWith('--')) {
      return takesValue(option) ? value(aim, option, part.slice(0, part.indexOf('=') + 1)) : aim;
    }
    const options = command.createHelp().visibleOptions(command);
    aim.fixed = options.flatMap(({ long, description }) => (long ? [{ value: long, about: description }] : []));
    return aim;
  }
  if (command.commands.length > 0 && places === 0) {
    aim.fixed = command
      .createHelp()
      .visibleCommands(command)
      .map((one) => ({ value: one.name(), about: one.summary() || one.description() }));
    // A command that is one by itself takes words too.
    if (command === program || !(aim.command in ARGUMENTS)) return aim;
  }
  const choices = command.registeredArguments[0]?.argChoices;
  if (choices) aim.fixed = choices.map((choice) => ({ value: choice }));
  aim.kind = ARGUMENTS[aim.command] ?? 'none';
  return aim;
}

/** The word is an option's value, or its end is. */
function value(aim: Aim, option: Option, kept: string): Aim {
  const name = nameOf(option);
  let length = kept.length;
  if (LISTS.includes(name)) length = Math.max(length, aim.part.lastIndexOf(',') + 1);
  aim.kept = aim.part.slice(0, length);
  aim.part = aim.part.slice(length);
  const known = VALUES[name] ?? 'none';
  if (typeof known === 'string') aim.kind = known;
  else aim.fixed = known.map((one) => ({ value: one }));
  return aim;
}

/** Notes what an option before the word said. */
function note(aim: Aim, option: Option, said: string): void {
  const name = nameOf(option);
  if (name === 'state' || name === 'config') aim[name] = said;
  else if (name === 'from') aim.from.push(...said.split(',').filter((peer) => peer !== ''));
}

function nameOf(option: Option): string {
  return option.name();
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

/** The option of a word, and its value where that is in the same word: those of the commands above count too. */
function optionOf(command: Command, word: string): { option?: Option | undefined; value?: string } {
  const all = [...command.options];
  for (let above = command.parent; above; above = above.parent) all.push(...above.options);
  if (word.startsWith('--')) {
    const equals = word.indexOf('=');
    const long = equals < 0 ? word : word.slice(0, equals);
    const option = all.find((one) => one.long === long);
    return equals < 0 ? { option } : { option, value: word.slice(equals + 1) };
  }
  const option = all.find((one) => one.short === word.slice(0, 2));
  return word.length > 2 ? { option, value: word.slice(2) } : { option };
}
