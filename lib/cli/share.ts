import { resolve } from 'node:path';
import { Command } from 'commander';
import type { ShareEvent } from '../api.js';
import { HearsayError } from '../errors.js';
import { printable, printableJson } from '../names.js';
import type { Context, Perform } from './context.js';
import { count, formatSize, peerLabel } from './format.js';
import { listOption } from './options.js';

/** Lines waiting for a reader that is slow; beyond it they are counted, not kept. */
const WAITING_MAX = 10_000;

/** `hearsay share PATH...`: a peer in the foreground. */
export function shareCommand(perform: Perform): Command {
  return new Command('share')
    .summary('share files and folders until Ctrl-C')
    .description(
      'Run a peer in the foreground that shares files and folders, read-only, with everyone on this network, or with a secret only with those who have the same one. Files whose names begin with a dot, and what a .hearsayignore names, are not shared.',
    )
    .usage('[options] PATH...')
    .argument('[path...]')
    .option('--as <name>', 'call the one PATH by another name')
    .addOption(listOption('--for <peer,...>', 'only these peers see and fetch it: names or, surer, ids'))
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay share ~/Pictures\n  hearsay share report.pdf music\n  hearsay share . --as project\n  hearsay share ~/Letters --for bob',
    )
    .action((paths: string[], options: Options, command: Command) =>
      perform(command, (context) => share(context, paths, options)),
    );
}

interface Options {
  as?: string;
  for?: string[];
}

async function share(context: Context, paths: string[], { as, for: whose }: Options): Promise<void> {
  const { out, io } = context;
  out.streams = true;
  if (whose && whose.length === 0) throw new HearsayError('usage', '--for names nobody');
  if (whose && paths.length === 0)
    throw new HearsayError('usage', '--for says who may see the PATHs, and there are none');
  if (as !== undefined && paths.length !== 1) {
    throw new HearsayError('usage', `--as names one PATH, and there are ${paths.length}`);
  }
  const absolute = paths.map((path) => resolve(io.cwd, path));
  const more = { ...(as === undefined ? {} : { as }), ...(whose ? { for: whose } : {}) };
  const shares = as === undefined && !whose ? absolute : absolute.map((path) => ({ path, ...more }));
  const teller = new Teller(context);
  const flags = shares.length > 0 ? { share: shares } : {};
  await context.session('share', { flags, onEvent: (event) => teller.tell(event) });
  await context.interrupted();
  out.note('goodbye');
}

/** Prints what the peer tells, without ever holding it up. */
class Teller {
  readonly #context: Context;
  #waiting = 0;
  #left = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  tell(event: ShareEvent): void {
    const { out, io } = this.#context;
    if (out.manner.quiet && event.event !== 'ready') return;
    if (event.event === 'warning' && !out.manner.json) {
      out.warn(event.message);
      return;
    }
    const line = out.manner.json ? printableJson(event) : this.#line(event);
    if (line === undefined) return;
    if (this.#waiting >= WAITING_MAX) {
      this.#left++;
      return;
    }
    this.#waiting++;
    void io.stdout.write(`${line}\n`).then(() => {
      this.#waiting--;
      if (this.#waiting > 0 || this.#left === 0) return;
      out.warn(`${count(this.#left, 'line')} left out, because nobody read them in time`);
      this.#left = 0;
    });
  }

  #line(event: ShareEvent): string | undefined {
    const { out } = this.#context;
    const { dim } = out.style;
    if (event.event === 'ready') {
      const shown = out.manner.verbose ? event.addresses : event.addresses.slice(0, 1);
      const at = shown.length > 0 ? shown.join(', ') : `port ${event.port}, without a network`;
      const parts = [...readers(event), ...waitingFor(event.waiting ?? [])];
      return [`ready ${peerLabel(event)} ${event.id} at ${at}`, ...parts].join('; ');
    }
    switch (event.event) {
      case 'hashed':
        return out.manner.verbose ? dim(`hashed ${printable(event.path)} ${event.id}`) : undefined;
      case 'allowed': {
        const what = event.shares.map(printable).join(', ');
        return `${printable(event.name)} is ${event.peer.id} from now on, and can read ${what}`;
      }
      case 'peer':
        return dim(`${peerLabel(event)} ${event.change === 'came' ? 'is here' : 'has left'} (${event.id})`);
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
}

type Ready = Extract<ShareEvent, { event: 'ready' }>;

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
