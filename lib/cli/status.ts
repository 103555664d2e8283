import { Command } from 'commander';
import type { ServedRow, StatusReport, TransferRow } from '../api.js';
import { printable } from '../names.js';
import type { Perform } from './context.js';
import { count, formatDuration, formatRate, formatSize, formatTime, peerLabel, peerList } from './format.js';
import type { Output } from './output.js';
import { table } from './text.js';

/** `hearsay status`: what the running peer shares, fetches and serves. */
export function statusCommand(perform: Perform): Command {
  return new Command('status')
    .summary('what the running peer shares, fetches and serves')
    .description(
      'Tell what the peer that runs on this state folder shares, fetches and serves. Exits 5 where none runs.',
    )
    .usage('[options]')
    .option('--served', 'who fetched what from it, the newest last')
    .addHelpText('after', '\nExamples:\n  hearsay status\n  hearsay status --served\n  hearsay status --json')
    .action((options: { served?: boolean }, command: Command) =>
      perform(command, async (context) => {
        const { out } = context;
        const { api } = await context.session('running');
        if (options.served) {
          const rows = await context.within(api.served());
          if (out.manner.json) await out.data({ served: rows });
          else await out.lines(servedLines(rows, out));
          if (rows.length === 0) out.note('nothing was fetched from here yet');
          return;
        }
        const report = await context.within(api.status());
        if (out.manner.json) await out.data(report);
        else if (!out.manner.quiet) await out.lines(statusLines(report, out));
      }),
    );
}

function statusLines(report: StatusReport, out: Output): string[] {
  const { bold, dim } = out.style;
  const who = report.private ? 'private: only who has the secret' : 'open: everyone on this network';
  const isLimited = report.shares.some((share) => share.for);
  const lines = [
    `${bold(peerLabel(report))} ${report.id}`,
    `  port ${report.port}, process ${report.pid}, running for ${formatDuration(report.uptime / 1000)}, ` +
      `memory ${formatSize(report.memory)}`,
    `  state folder ${printable(report.state)}`,
    `  ${who} can read${isLimited ? ' what is for all' : ''}`,
    `  sees ${count(report.peers, 'other peer')} and ${count(report.offers, 'offer')}`,
  ];
  if (report.shares.length > 0) {
    const rows = report.shares.map(({ name, path, files, bytes, hashed, for: whose }) => [
      `  ${printable(name)}`,
      count(files, 'file'),
      formatSize(bytes),
      hashed < files ? `${Math.floor((100 * hashed) / files)} % hashed` : 'hashed',
      ...(isLimited ? [whose ? `for ${whose.map(printable).join(', ')}` : 'for all'] : []),
      dim(printable(path)),
    ]);
    lines.push('shares', ...table(rows, [1, 2]));
  }
  if (report.transfers.length > 0) {
    lines.push('transfers', ...table(report.transfers.map(transferCells), [0, 2]));
  }
  return lines;
}

function transferCells({ number, direction, path, size, bytes, rate, peers }: TransferRow): string[] {
  const part = size > 0 ? `${Math.floor((100 * bytes) / size)} %` : '-';
  const whom = `${direction === 'in' ? 'from' : 'to'} ${peerList(peers)}`;
  return [`  ${number}`, printable(path), part, `of ${formatSize(size)}`, formatRate(rate), whom];
}

/** One line each: when, who, how much, what, and why it failed where it did. */
function servedLines(rows: readonly ServedRow[], out: Output): string[] {
  const { dim, red } = out.style;
  const cells = rows.map(({ time, peer, path, bytes, outcome, why }) => [
    dim(formatTime(time)),
    peerLabel(peer),
    dim(peer.id),
    formatSize(bytes),
    outcome === 'completed'
      ? printable(path)
      : `${printable(path)} ${red(`failed${why ? `: ${printable(why)}` : ''}`)}`,
  ]);
  return table(cells, [3]);
}
