/** What a sharing peer tells, in words for people: for the terminal of `share`, and for the daemon's log. */
import type { Departure, InboxRow, ShareEvent, TransferRow } from '../api.js';
import { printable } from '../names.js';
import { count, formatSize, peerLabel, peerList } from './format.js';
import type { Style } from './output.js';

/**
 * One event as a line.
 * @returns undefined for what is told only with --verbose, and for a warning, which is its own words
 */
export function eventLine(event: ShareEvent, style: Style, verbose: boolean): string | undefined {
  const { dim } = style;
  if (event.event === 'ready') {
    const shown = verbose ? event.addresses : event.addresses.slice(0, 1);
    const at = shown.length > 0 ? shown.join(', ') : `port ${event.port}, without a network`;
    const parts = [...asTracker(event), ...readers(event), ...waitingFor(event.waiting ?? [])];
    return [`ready ${peerLabel(event)} ${event.id} at ${at}`, ...parts].join('; ');
  }
  switch (event.event) {
    case 'hashed':
      return verbose ? dim(`hashed ${printable(event.path)} ${event.id}`) : undefined;
    case 'allowed': {
      const what = event.shares.map(printable).join(', ');
      return `${printable(event.name)} is ${event.peer.id} from now on, and can read ${what}`;
    }
    case 'share':
      return shareLine(event);
    case 'peer':
      return dim(`${peerLabel(event)} ${event.change === 'came' ? 'is here' : 'has left'} (${event.id})`);
    case 'files':
      return filesLine(event);
    case 'transfer':
      return transferLine(event.row);
    case 'inbox':
      return inboxLine(event.row);
    case 'registration': {
      const { change, addresses, why } = event;
      if (change === 'departed') return dim(`departed ${peerLabel(event)}${whyDeparted(why)} (${event.id})`);
      const where = addresses.length > 0 ? `at ${addresses.map(printable).join(', ')}` : 'which nobody can dial';
      return dim(`registered ${peerLabel(event)} ${where} (${event.id})`);
    }
    case 'tracker':
      return trackerLine(event);
    case 'serving': {
      const what = `${printable(event.path)} to ${peerLabel(event.peer)}`;
      if (event.state === 'begun') return `serving ${what}`;
      const bytes = formatSize(event.bytes);
      if (event.state === 'completed') return `served ${what} (${bytes})`;
      return `failed to serve ${what} after ${bytes}${event.why ? `: ${printable(event.why)}` : ''}`;
    }
  }
  return undefined;
}

/** Whether a transfer is what is received into the inbox, which tells of it by itself. */
export const isReceipt = ({ direction, what }: TransferRow): boolean => direction === 'in' && what === undefined;

/** That something that was asked for is under way, waits, is held, or has ended. */
export function transferLine(row: TransferRow): string {
  const { number, direction, path, size, state, done, files, error, peers } = row;
  const kind = isReceipt(row) ? 'receipt' : direction === 'in' ? 'get' : 'send';
  const what = `${kind} of ${printable(path)}`;
  const which = number === undefined ? what : `transfer ${number}, ${what}`;
  const why = error ? `: ${printable(error.message)}` : '';
  switch (state) {
    case 'running': {
      const whom = peers.length > 0 ? ` ${direction === 'in' ? 'from' : 'to'} ${peerList(peers, 4)}` : '';
      return `${which}, begins${whom} (${formatSize(size)})`;
    }
    case 'queued':
      return `${which}, waits${why}`;
    case 'paused':
      return `${which}, is held`;
    case 'failed':
      return `${which}, failed${(files ?? 0) > 1 ? ` after ${done} of ${files} files` : ''}${why}`;
    default:
      return `${which}, is done (${formatSize(size)})`;
  }
}

/** Who wants to send what: `alice wants to send photo.jpg (12 MiB)`. */
export function offerOf(row: InboxRow): string {
  return `${peerLabel(row.from)} wants to send ${sentOf(row)}`;
}

function sentOf({ name, folder, files, bytes }: InboxRow): string {
  const many = folder || files !== 1 ? `${count(files, 'file')}, ` : '';
  return `${printable(name)}${folder ? '/' : ''} (${many}${formatSize(bytes)})`;
}

/** That something was sent here, and how it stands. */
export function inboxLine(row: InboxRow): string {
  const { number, state, path, error } = row;
  const what = `${sentOf(row)} from ${peerLabel(row.from)}`;
  const why = error ? `: ${printable(error.message)}` : '';
  switch (state) {
    case 'waiting':
      return `${offerOf(row)}; to take it: hearsay inbox accept ${number}`;
    case 'receiving':
      return `receiving ${what}`;
    case 'received':
      return `received ${what}${path === undefined ? '' : `: ${printable(path)}`}`;
    case 'refused':
      return `refused ${what}${why}`;
    case 'failed':
      return `failed to receive ${what}${why}`;
  }
}

/** What of a peer's files is new, and what is not there any more. */
function filesLine({ peer, added, changed, removed, path }: Extract<ShareEvent, { event: 'files' }>): string {
  const who = `${peerLabel(peer)}: `;
  if (added + changed + removed === 1) {
    return `${who}${printable(path)} ${added > 0 ? 'is new' : changed > 0 ? 'has changed' : 'is gone'}`;
  }
  const parts = [
    ...(added > 0 ? [`${count(added, 'file')} more`] : []),
    ...(changed > 0 ? [`${count(changed, 'file')} changed`] : []),
    ...(removed > 0 ? [`${count(removed, 'file')} fewer`] : []),
  ];
  return `${who}${parts.join(', ')} (${printable(path)}, ...)`;
}

type Ready = Extract<ShareEvent, { event: 'ready' }>;

function asTracker({ tracker, port }: Ready): string[] {
  if (!tracker) return [];
  const names = tracker.map((name) => `--join ${printable(name)}`);
  return [`a tracker: others say ${names.join(' or ') || `--join HOST:${port}`}`];
}

const DEPARTED: Record<Departure, string> = {
  left: 'it said goodbye',
  broken: 'its connection broke',
  lease: 'nothing came from it any more',
  replaced: 'the same peer registered anew',
  crowded: 'there are too many',
};

function whyDeparted(why: Departure | undefined): string {
  return why ? `: ${DEPARTED[why]}` : '';
}

function trackerLine({ change, address, name, error }: Extract<ShareEvent, { event: 'tracker' }>): string {
  const who = `tracker ${name ? `${printable(name)} ` : ''}at ${printable(address)}`;
  const why = error ? `: ${printable(error.message)}` : '';
  if (change === 'registered') return `registered with ${who}`;
  if (change === 'lost') return `lost ${who}${why}; going on without it`;
  return `refused by ${who}${why}`;
}

/** That a share came, went, or is not there. */
export function shareLine({ change, name, path, why }: Extract<ShareEvent, { event: 'share' }>): string {
  const what = `${printable(name)} (${printable(path)})`;
  if (change === 'added') return `shares ${what}`;
  if (change === 'removed') return `no longer shares ${what}`;
  if (change === 'back') return `${what} is there again, and shared`;
  return `${what} is not there (${printable(why ?? '')}): nothing of it is shared until it is`;
}

/** Who can read what: those that are for everyone first. */
function readers({ private: secret, shares }: Ready): string[] {
  const all = secret ? 'only who has the secret' : 'everyone on this network';
  const groups = new Map<string, string[]>();
  for (const share of [...shares].sort((a, b) => Number(a.for !== undefined) - Number(b.for !== undefined))) {
    const who = share.for ? `only ${share.for.map(printable).join(', ')}` : all;
    groups.set(who, [...(groups.get(who) ?? []), printable(share.name)]);
  }
  const lines = [...groups].map(([who, names]) => `${who} can read: ${names.join(', ')}`);
  // Where nothing is for all of the group, that it is a private one is still to be said.
  return secret && !groups.has(all) ? ['in a private group', ...lines] : lines;
}

function waitingFor(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const who = names.map(printable).join(', ');
  return [`waiting for ${who}: the first peer of that name is let in, and its id would be surer`];
}
