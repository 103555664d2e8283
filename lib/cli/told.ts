/** What a sharing peer tells, in words for people: for the terminal of `share`, and for the daemon's log. */
import type { Departure, ShareEvent } from '../api.js';
import { printable } from '../names.js';
import { formatSize, peerLabel } from './format.js';
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
