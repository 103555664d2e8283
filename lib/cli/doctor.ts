import { Command } from 'commander';
import type { Finding } from '../api.js';
import { printable } from '../names.js';
import type { Perform } from './context.js';
import type { Output } from './output.js';
import { padEnd, width, wrap } from './text.js';

/** Columns before the message, and before what mends it. */
const LEVEL = 4;
const ADVICE = 6;

/** `hearsay doctor`: what is wrong with this network, and what to do. */
export function doctorCommand(perform: Perform): Command {
  return new Command('doctor')
    .summary('what is wrong with this network, and what to do')
    .description(
      'Try what finding and reaching others rests on: each network card, firewalls, ports, joined hosts, trackers, and whether ' +
        'peers can be reached. Takes a second where all is well, half a minute where somebody does not answer. Exits 1 where ' +
        'something is wrong. Asks the running peer where there is one.',
    )
    .usage('[options]')
    .addHelpText('after', '\nExamples:\n  hearsay doctor\n  hearsay doctor --join 192.168.7.2\n  hearsay doctor --json')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => {
        const { out, io } = context;
        const { api } = await context.session('any', { listens: true });
        const report = await context.within(api.doctor());
        const { findings } = report;
        const shown = out.manner.quiet ? findings.filter(({ level }) => level !== 'ok') : findings;
        const columns = io.stdout.isTTY ? io.stdout.columns : Number.POSITIVE_INFINITY;
        if (out.manner.json) await out.data(report);
        else await out.lines(doctorLines(shown, out, columns));
        if (findings.some(({ level }) => level === 'bad')) context.failed('failed');
      }),
    );
}

/**
 * A line for each finding, and below it what mends it, broken between words where it does not fit. A command is left whole, so that
 * it can be copied.
 */
export function doctorLines(findings: readonly Finding[], { style }: Pick<Output, 'style'>, columns: number): string[] {
  const paint = { ok: style.green, warn: style.cyan, bad: style.red };
  const topics = Math.max(...findings.map(({ topic }) => width(topic)), 0);
  const indent = LEVEL + 2 + topics + 2;
  return findings.flatMap(({ level, topic, message, advice, command }) => {
    const lines = wrap(' '.repeat(indent) + printable(message), columns).slice(indent);
    const head = paint[level](level) + ' '.repeat(LEVEL + 2 - level.length) + padEnd(topic, topics + 2);
    const below = advice ? wrap(' '.repeat(ADVICE) + printable(advice), columns).split('\n') : [];
    const typed = command ? [`${' '.repeat(ADVICE)}${printable(command)}`] : [];
    return [head + lines, ...below.map(style.dim), ...typed];
  });
}
