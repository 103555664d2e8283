/**
 * The manual: a page made of the same table of commands as the help, so that it says the same; as roff for man(1), and as
 * plain text. Pure. Always true: every command and option of the table that is not hidden is in it. Called by `hearsay man`,
 * which the build runs too.
 */
import type { EventEmitter } from 'node:events';
import type { Command, Option } from 'commander';
import { COMMON } from './options.js';

/** A paragraph, lines that stay as they are, or something and what it is. */
type Block = { text: string } | { lines: string[] } | { term: string; text: string };

export interface Section {
  title: string;
  /** 1 for a chapter, 2 for a part of one. */
  level: 1 | 2;
  blocks: Block[];
}

export interface Manual {
  version: string;
  sections: Section[];
}

const EXIT: [number, string][] = [
  [0, 'done'],
  [1, 'failed'],
  [2, 'wrong words, or a wrong setting'],
  [3, 'not found'],
  [4, 'ambiguous'],
  [5, 'no peer could be reached, or none is running'],
  [6, 'refused'],
  [7, 'wrong content'],
  [8, 'disk full or not writable'],
  [130, 'interrupted'],
];

/** @param program the whole table */
export function manualOf(program: Command, version: string): Manual {
  const commands = [...commandsOf(program)];
  const common = new Map<string, Option>();
  for (const { command } of commands) {
    for (const option of command.options) if (option.helpGroupHeading === COMMON) common.set(option.flags, option);
  }
  const chapter = (title: string, blocks: Block[] = []): Section => ({ title, level: 1, blocks });
  const sections = [
    chapter('NAME', [{ text: 'hearsay - share files on a local network with nothing to set up' }]),
    chapter('SYNOPSIS', [{ lines: [`hearsay ${program.usage()}`] }]),
    chapter('DESCRIPTION', [{ text: program.description() }, ...after(program)]),
    chapter('COMMANDS'),
    ...commands.map(({ name, command }) => commandSection(name, command)),
    chapter(COMMON.replace(/:$/, '').toUpperCase(), [...common.values()].map(optionBlock)),
    chapter(
      'EXIT STATUS',
      EXIT.map(([status, text]) => ({ term: `${status}`, text })),
    ),
    chapter('ENVIRONMENT', [
      { term: 'HEARSAY_STATE', text: 'the folder for what a peer remembers, as --state.' },
      { term: 'HEARSAY_SECRET', text: "the group's secret itself." },
      { term: 'NO_COLOR', text: 'no colours, where it is set.' },
    ]),
    chapter('FILES', [
      {
        text: 'Settings are read from ~/.config/hearsay/config.toml on Linux, ~/Library/Preferences/hearsay/config.toml on macOS, %APPDATA%\\hearsay\\Config\\config.toml on Windows. config/default.toml of the package lists them all, each with its default.',
      },
    ]),
  ];
  return { version, sections };
}

function* commandsOf(command: Command, above = 'hearsay'): Generator<{ name: string; command: Command }> {
  const own = command.commands.map((one) => one.name());
  for (const one of command.createHelp().visibleCommands(command)) {
    // `help` is not of the table, and says what this page says.
    if (!own.includes(one.name())) continue;
    const name = `${above} ${one.name()}`;
    yield { name, command: one };
    yield* commandsOf(one, name);
  }
}

function commandSection(name: string, command: Command): Section {
  const own = command.createHelp().visibleOptions(command);
  const options = own.filter((one) => one.helpGroupHeading !== COMMON && one.long !== '--help');
  const blocks = [{ text: command.description() }, ...options.map(optionBlock), ...after(command)];
  return { title: `${name} ${command.usage()}`, level: 2, blocks };
}

function optionBlock({ flags, description }: Option): Block {
  return { term: flags, text: description };
}

/** What the help says behind the options, where that of the command above has not said it. */
function after(command: Command): Block[] {
  const above = command.parent ? said(command.parent).map((block) => JSON.stringify(block)) : [];
  return said(command).filter((block) => !above.includes(JSON.stringify(block)));
}

function said(command: Command): Block[] {
  let help = '';
  const write = (text: string) => {
    help += text;
  };
  // Commander keeps these texts to itself, and gives them to whoever writes the help.
  (command as unknown as EventEmitter).emit('afterHelp', { error: false, command, write });
  const blocks: Block[] = [];
  for (const line of help.split('\n')) {
    const last = blocks.at(-1);
    if (line.trim() === '') blocks.push({ text: '' });
    else if (line.startsWith('  ')) {
      if (last && 'lines' in last) last.lines.push(line.slice(2));
      else blocks.push({ lines: [line.slice(2)] });
    } else if (last && 'text' in last && last.text !== '') last.text += ` ${line}`;
    else blocks.push({ text: line });
  }
  return blocks.filter((block) => !('text' in block) || block.text !== '');
}

/** As man(1) reads it. */
export function roff({ version, sections }: Manual): string {
  const out = ['.\\" Made from the table of commands: hearsay man', `.TH HEARSAY 1 "" "hearsay ${roffText(version)}"`];
  for (const { title, level, blocks } of sections) {
    out.push(`${level === 1 ? '.SH' : '.SS'} "${roffText(title)}"`);
    for (const [at, block] of blocks.entries()) {
      if ('lines' in block) {
        out.push(...(at > 0 ? ['.PP'] : []), '.RS 4', '.nf', ...block.lines.map(roffLine), '.fi', '.RE');
      } else if ('term' in block) out.push('.TP', `\\fB${roffText(block.term)}\\fR`, roffLine(block.text));
      else {
        if (at > 0) out.push('.PP');
        out.push(roffLine(block.text));
      }
    }
  }
  return `${out.join('\n')}\n`;
}

const NAMED: Record<string, string> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '`': '\\(ga',
  '"': '\\(dq',
  '~': '\\(ti',
  '^': '\\(ha',
};

/** Text in which roff sees nothing but text: what is to be typed is shown as it is typed. */
function roffText(text: string): string {
  return text.replace(/[\\'`"~^-]/g, (char) => NAMED[char]).replaceAll('\n', ' ');
}

/** The same as a line of its own, where a dot at the beginning would be a command. */
function roffLine(text: string): string {
  const escaped = roffText(text);
  return escaped.startsWith('.') ? `\\&${escaped}` : escaped;
}

/** For where there is no man(1). @param columns of the terminal */
export function plainText({ sections }: Manual, columns: number): string[] {
  const out: string[] = [];
  for (const { title, level, blocks } of sections) {
    out.push(level === 1 ? title : `   ${title}`);
    for (const block of blocks) {
      if ('lines' in block) out.push(...block.lines.map((line) => `         ${line}`));
      else if ('term' in block) out.push(`       ${block.term}`, ...wrapped(block.text, 14, columns));
      else out.push(...wrapped(block.text, 7, columns));
      out.push('');
    }
    if (blocks.length === 0) out.push('');
  }
  return out;
}

function wrapped(text: string, indent: number, columns: number): string[] {
  const room = Math.max(20, columns - indent);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line].map((one) => ' '.repeat(indent) + one);
}
