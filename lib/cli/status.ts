import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import type { ServedRow, StatusReport, TrackerReport, TrackerRow, TransferRow } from '../api.js';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { count, formatDuration, formatRate, formatSize, formatTime, peerLabel, peerList } from './format.js';
import { STANDING } from './get-events.js';
import { isWaiting } from './inbox.js';
import type { Sink } from './io.js';
import { isScreen, type Output } from './output.js';
import { table } from './text.js';

/** How often --watch looks. */
const WATCH_MS = 1000;
/** Registered peers that a tracker's status lists without --verbose. */
const REGISTERED_SHOWN = 20;
/** Transfers that are over that it lists without --verbose. */
const OVER_SHOWN = 10;

/** `hearsay status`: what the running peer shares, fetches and serves. */
export function statusCommand(perform: Perform): Command {
  return new Command('status')
    .summary('what the running peer shares, fetches and serves')
    .description(
      'Tell what the peer that runs on this state folder shares, fetches and serves. Exits 5 where none runs.',
    )
    .usage('[options]')
    .option('--served', 'who fetched what from it, the newest last')
    .option('--watch', 'once a second until Ctrl-C, in place on a terminal')
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay status\n  hearsay status --watch\n  hearsay status --served\n  hearsay status --json',
    )
    .action((options: { served?: boolean; watch?: boolean }, command: Command) =>
      perform(command, async (context) => {
        const { out } = context;
        if (options.watch && options.served) throw new HearsayError('usage', '--watch does not go with --served');
        if (options.watch) return watch(context);
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
        else if (!out.manner.quiet) {
          await out.lines(statusLines(report, out, context.io.now()));
          const waiting = (await context.within(api.inbox())).filter(isWaiting);
          if (waiting.length > 0) out.note(waits(waiting.length));
        }
      }),
    );
}

/** That what others want to send waits for an answer. */
function waits(parcels: number): string {
  return `${count(parcels, 'thing')} that others want to send ${parcels === 1 ? 'waits' : 'wait'}: \`hearsay inbox\``;
}

/** Once a second until Ctrl-C: on a terminal in place of the one before, else one after another. */
async function watch(context: Context): Promise<void> {
  const { out, io, signal } = context;
  const { json, quiet } = out.manner;
  // An error is one object of many then.
  out.streams = json;
  const { api } = await context.session('running');
  const inPlace = !json && isScreen(io.stdout, io.env);
  try {
    for (let first = true; !signal.aborted && !io.stdout.closed; first = false) {
      const report = await context.within(api.status());
      if (json) await out.data(report);
      else if (!quiet) {
        const lines = statusLines(report, out, io.now());
        if (inPlace) await io.stdout.write(picture(lines, io.stdout, first));
        else await out.lines(first ? lines : ['', ...lines]);
      }
      await context.within(delay(WATCH_MS, undefined, { signal }));
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  // Ctrl-C is how it ends, and is no error to tell of; the exit status says it.
  if (signal.aborted) context.failed('interrupted');
}

/** What shows lines from the top of a terminal on, in place of what is there. */
function picture(lines: readonly string[], { rows }: Sink, first: boolean): string {
  const shown =
    lines.length < rows ? lines : [...lines.slice(0, rows - 2), `and ${lines.length - rows + 2} lines more`];
  // Lines are not wrapped meanwhile: a long one would push others off the screen.
  const text = shown.map((line) => `${line}\x1b[K\n`).join('');
  return `${first ? '\x1b[2J' : ''}\x1b[H\x1b[?7l${text}\x1b[?7h\x1b[J`;
}

/** @param now milliseconds since 1970 */
export function statusLines(report: StatusReport, out: Output, now: number): string[] {
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
    ...(report.seedOnly ? ['  only serves, and fetches nothing'] : []),
    ...(report.limits ? [`  ${limitWords(report.limits)}`] : []),
  ];
  if (report.tracker) lines.push(...trackerLines(report.tracker, out, now));
  if (report.trackers && report.trackers.length > 0) {
    lines.push('trackers', ...table(report.trackers.map((row) => trackerCells(row, now))));
  }
  const named = new Set(report.trackers?.map(({ address }) => address));
  const unjoined = (report.unjoined ?? []).filter(({ address }) => !named.has(address));
  if (unjoined.length > 0) {
    const cells = unjoined.map(({ address, error }) => [`  ${printable(address)}`, printable(error.message)]);
    lines.push('not reached, and tried again', ...table(cells));
  }
  if (report.shares.length > 0) {
    const rows = report.shares.map(({ name, path, files, bytes, hashed, for: whose, only, exclude, away }) => [
      `  ${printable(name)}`,
      count(files, 'file'),
      formatSize(bytes),
      away !== undefined ? 'not there' : hashed < files ? `${Math.floor((100 * hashed) / files)} % hashed` : 'hashed',
      ...(isLimited ? [whose ? `for ${whose.map(printable).join(', ')}` : 'for all'] : []),
      dim(`${printable(path)}${only || exclude ? ', some of its files' : ''}${away ? `: ${printable(away)}` : ''}`),
    ]);
    lines.push('shares', ...table(rows, [1, 2]));
  }
  if (report.transfers.length > 0) {
    lines.push('transfers', ...transferLines(report.transfers, out));
  }
  return lines;
}

/** `limits now: sends 20 MB/s at most, fetches as fast as it goes` */
function limitWords({ up, down }: NonNullable<StatusReport['limits']>): string {
  const most = (rate: number | null) => (rate === null ? 'as fast as it goes' : `${formatRate(rate)} at most`);
  return `limits now: sends ${most(up)}, fetches ${most(down)}`;
}

const lasting = (since: number, now: number) => formatDuration(Math.max(0, now - since) / 1000);

/** What a tracker says of its registry: the sums, and who is registered. */
function trackerLines(
  { registered, peers, offers, lookups, store }: TrackerReport,
  out: Output,
  now: number,
): string[] {
  const { dim } = out.style;
  const sums = [
    // It counts itself.
    `${Math.max(0, peers - 1).toLocaleString('en')} registered`,
    count(offers, 'offer'),
    `${lookups < 9.95 ? Number(lookups.toFixed(1)) : Math.round(lookups).toLocaleString('en')} lookups a second`,
    `registry in ${printable(store)}`,
  ];
  const shown = out.manner.verbose ? registered : registered.slice(0, REGISTERED_SHOWN);
  const rows = shown.map(({ id, name, addresses, reachable, since, files, bytes }) => [
    `  ${peerLabel({ id, name })}`,
    dim(id),
    addresses.map(printable).join(', ') || '-',
    count(files, 'file'),
    formatSize(bytes),
    `for ${lasting(since, now)}${reachable ? '' : ', cannot be dialled'}`,
  ]);
  const more = registered.length - shown.length;
  const rest = more > 0 ? [`  and ${more.toLocaleString('en')} more: --verbose`] : [];
  return [`tracker: ${sums.join(', ')}`, ...table(rows, [3, 4]), ...rest];
}

/** A tracker that this peer knows: what it is called, where it is, and whether we are registered there. */
function trackerCells({ name, address, registered, since, peers, offers, error }: TrackerRow, now: number): string[] {
  const lately = since === undefined ? '' : ` for ${lasting(since, now)}`;
  const state = registered
    ? `registered${lately}, ${count(peers, 'peer')} and ${count(offers, 'offer')} there`
    : `not registered${error ? `: ${printable(error.message)}` : ''}`;
  return [`  ${printable(name ?? '') || '-'}`, printable(address), state];
}

/** One line each; of what is over only the latest without --verbose. */
function transferLines(rows: readonly TransferRow[], out: Output): string[] {
  const isOver = ({ state }: TransferRow) => state === 'done' || state === 'failed';
  let left = out.manner.verbose ? 0 : Math.max(0, rows.filter(isOver).length - OVER_SHOWN);
  const hidden = left;
  const shown = rows.filter((row) => !isOver(row) || left-- <= 0);
  const rest = hidden > 0 ? [out.style.dim(`  and ${count(hidden, 'earlier one')}: --verbose`)] : [];
  return [...table(shown.map(transferCells), [0, 2]), ...rest];
}

/** What of a transfer is here or there by now, how fast it goes, and how it stands. */
function transferCells(row: TransferRow): string[] {
  const { number, direction, path, size, bytes, rate, peers, state, files = 1, done = 0, error } = row;
  const part = size > 0 ? `${Math.floor((100 * bytes) / size)} %` : '-';
  const many = files > 1 ? `${done.toLocaleString('en')} of ${count(files, 'file')}, ` : '';
  const whom = peers.length > 0 ? `${direction === 'in' ? 'from' : 'to'} ${peerList(peers, 4)}` : '';
  const isCancelled = error?.code === 'cancelled' && state === 'failed';
  const speed = state === undefined || state === 'running' ? formatRate(rate) : STANDING[state];
  const why = error ? `: ${printable(error.message)}` : '';
  return [
    `  ${number ?? '-'}`,
    printable(path),
    part,
    `${many}of ${formatSize(size)}`,
    whom,
    // Last, because it may be long.
    isCancelled ? 'cancelled' : `${speed}${why}`,
  ];
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
