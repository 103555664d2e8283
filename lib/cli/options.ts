/** The options that every command takes, and how they are read. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Flags } from '../share/settings.js';
import type { Io } from './io.js';
import type { Manner } from './output.js';

export const COMMON = 'Options of every command:';

const gather = (value: string, before: string[] | undefined) => [...(before ?? []), value];

/** Makes the options anew, because commander ties each to one command. */
function options(): Option[] {
  return [
    new Option('--state <dir>', 'the folder for what a peer remembers; also HEARSAY_STATE'),
    new Option('--config <file>', 'a config file instead of the usual one'),
    new Option('--name <name>', "what people call this peer (default: the host's name)"),
    new Option('--port <n>', 'TCP port to listen on; 0 is any free one (default: 47748, or the next free one)'),
    new Option('--join <host[:port]>', 'a peer to know from the start; may be repeated').argParser(gather),
    new Option('--multicast <addr:port>', 'multicast group (default: 239.255.47.48:47748)'),
    new Option('--no-multicast', 'neither multicast nor broadcast'),
    new Option('--interface <name>', 'only this network card; may be repeated').argParser(gather),
    new Option('--secret-file <file>', "its first line is the group's secret; also HEARSAY_SECRET, the secret itself"),
    new Option('--wait <seconds>', 'how long to wait, at most, for others to answer (default: 2)'),
    new Option('--timeout <seconds>', 'give up when nothing arrives that long (default: 30)'),
    ...mannerOptions(),
    new Option('--trace', 'every message sent and received, a line each, to standard error'),
  ];
}

function mannerOptions(): Option[] {
  return [
    new Option('--json', 'one JSON document, or one JSON object a line for what streams'),
    new Option('--quiet', 'only results and errors').conflicts('verbose'),
    new Option('--verbose', 'more about everything'),
  ];
}

/** Adds the common options to a command; hidden on the program itself, whose help lists them once in its text. */
export function addCommon(command: Command, hidden = false): Command {
  for (const option of options()) command.addOption(option.helpGroup(COMMON).hideHelp(hidden));
  return command;
}

/** Adds how it speaks to a command that needs no peer, and so none of the other common options. */
export function addManner(command: Command): Command {
  for (const option of mannerOptions()) command.addOption(option.helpGroup('Options:'));
  return command;
}

/** The long names, without dashes, of the common options that take a value. */
export function valueOptions(): string[] {
  return options()
    .filter((option) => option.required && !option.negate)
    .map((option) => option.name());
}

/** What the common options said. */
export interface Common extends Manner {
  trace: boolean;
  flags: Flags;
  configFile: string | undefined;
}

interface Raw {
  state?: string;
  config?: string;
  name?: string;
  port?: string;
  join?: string[];
  multicast?: string | boolean;
  interface?: string[];
  secretFile?: string;
  wait?: string;
  timeout?: string;
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
  trace?: boolean;
}

/** Reads the common options, given before or after the command's name; after wins, lists add up. */
export function readCommon(command: Command, cwd: Io['cwd']): Common {
  const own = given(command);
  const before: Raw = {};
  for (let above = command.parent; above; above = above.parent) Object.assign(before, given(above));
  const raw: Raw = { ...before, ...own };
  const flags: Flags = {};
  for (const key of ['name', 'port', 'wait', 'timeout', 'multicast'] as const) {
    if (raw[key] !== undefined) Object.assign(flags, { [key]: raw[key] });
  }
  for (const key of ['join', 'interface'] as const) {
    const all = [...(before[key] ?? []), ...(own[key] ?? [])];
    if (all.length > 0) flags[key] = all;
  }
  if (raw.state !== undefined) flags.state = resolve(cwd, raw.state);
  // An empty one stays empty, and is refused.
  if (raw.secretFile !== undefined) flags.secretFile = raw.secretFile && resolve(cwd, raw.secretFile);
  return {
    json: raw.json ?? false,
    quiet: raw.quiet ?? false,
    verbose: raw.verbose ?? false,
    trace: raw.trace ?? false,
    flags,
    configFile: raw.config === undefined ? undefined : resolve(cwd, raw.config),
  };
}

/** Only what was typed: commander invents `multicast: true` as the default of --no-multicast. */
function given(command: Command): Raw {
  return Object.fromEntries(
    Object.entries(command.opts()).filter(([key]) => command.getOptionValueSource(key) === 'cli'),
  );
}

/** An option of one's own that may be repeated, each value as it is typed. */
export function manyOption(flags: string, description: string): Option {
  return new Option(flags, `${description}; may be repeated`).argParser(gather);
}

/** An option of one's own for a list: `a,b` and repeated. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, before: string[] | undefined) => [
    ...(before ?? []),
    ...value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ]);
}
