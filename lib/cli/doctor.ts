import { Command } from 'commander';
import type { Finding } from '../api.js';
import { printable } from '../names.js';
import type { Perform } from './context.js';
import type { Output } from './output.js';
import { table } from './text.js';

/** `hearsay doctor`: what is wrong with this network, and what to do. */
export function doctorCommand(perform: Perform): Command {
  return new Command('doctor')
    .summary('what is wrong with this network, and what to do')
    .description(
      'Look at what finding and reaching others rests on: network cards, joined hosts, trackers, and whether peers can be ' +
        'reached. Exits 1 where something is wrong. Asks the running peer where there is one.',
    )
    .usage('[options]')
    .addHelpText('after', '\nExamples:\n  hearsay doctor\n  hearsay doctor --join 192.168.7.2\n  hearsay doctor --json')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => {
        const { out } = context;
        const { api } = await context.session('any');
        const report = await context.within(api.doctor());
        const { findings } = report;
        const shown = out.manner.quiet ? findings.filter(({ level }) => level !== 'ok') : findings;
        if (out.manner.json) await out.data(report);
        else await out.lines(doctorLines(shown, out));
        if (findings.some(({ level }) => level === 'bad')) context.failed('failed');
      }),
    );
}

/** A line for each finding, and below it what mends it. */
export function doctorLines(findings: readonly Finding[], { style }: Output): string[] {
  const paint = { ok: style.green, warn: style.cyan, bad: style.red };
  const rows = table(findings.map(({ level, topic, message }) => [paint[level](level), topic, printable(message)]));
  return findings.flatMap(({ advice }, i) => [rows[i], ...(advice ? [style.dim(`      ${printable(advice)}`)] : [])]);
}
