import { Command } from 'commander';
import type { PeerRow } from '../api.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { count, formatSize, peerLabel } from './format.js';
import { checkReached, tellNobody } from './listing.js';
import type { Output } from './output.js';
import { table } from './text.js';

interface Options {
  forget?: string;
}

/** `hearsay peers`: who is here. */
export function peersCommand(perform: Perform): Command {
  return new Command('peers')
    .summary('who is here')
    .description('List the peers that are here, how to reach them, how much they share and how they were found.')
    .usage('[options]')
    .option(
      '--forget <peer>',
      'forget a peer that was here, by name or id: where it was, and the names tied to its key',
    )
    .addHelpText('after', '\nExamples:\n  hearsay peers\n  hearsay peers --json\n  hearsay peers --forget anna')
    .action(({ forget }: Options, command: Command) =>
      perform(command, async (context) => {
        const { out } = context;
        if (forget !== undefined) return forgetPeer(context, forget);
        const session = await context.session('any');
        const peers = await context.within(session.api.peers());
        await checkReached(context, session);
        if (out.manner.json) await out.data({ peers: peers.map(peerJson) });
        else if (peers.length > 0) await out.lines(peerTable(peers, out));
        const others = peers.filter((peer) => !peer.self).length;
        if (others === 0) await tellNobody(context, session.api);
        else out.note(count(others, 'other peer'));
      }),
    );
}

/** Forgets one, and tells what it was. */
async function forgetPeer(context: Context, peer: string): Promise<void> {
  const { out } = context;
  const { api } = await context.session('any');
  const forgotten = await context.within(api.forget(peer));
  if (out.manner.json) return out.data({ forgotten });
  if (out.manner.quiet) return;
  const { addresses, names } = forgotten;
  const where = addresses.length > 0 ? `, which was at ${addresses.map(printable).join(', ')}` : '';
  const tied = names.length > 0 ? `; ${names.map(printable).join(', ')} may be somebody else from now on` : '';
  await out.line(`forgot ${peerLabel(forgotten)} ${forgotten.id}${where}${tied}`);
}

function peerJson({ id, name, addresses, files, bytes, tracker, self, via, unreachable }: PeerRow): object {
  return { id, name, addresses, files, bytes, tracker, self, via, ...(unreachable ? { unreachable } : {}) };
}

/** One line a peer; with --verbose every address. */
function peerTable(peers: readonly PeerRow[], out: Output): string[] {
  const { manner, style } = out;
  const names = new Map<string, number>();
  for (const peer of peers) names.set(nameKey(peer), (names.get(nameKey(peer)) ?? 0) + 1);
  const rows = peers.map((peer) => {
    // A link-local address means something only together with a card: others come first.
    const local = (address: string) => Number(address.startsWith('[fe80:'));
    const addresses = peer.addresses.map(printable).sort((a, b) => local(a) - local(b));
    const more = addresses.length > 1 ? ` +${addresses.length - 1}` : '';
    const where = manner.verbose ? addresses.join(', ') : `${addresses[0] ?? '-'}${addresses.length ? more : ''}`;
    const namesakes = names.get(nameKey(peer)) ?? 0;
    const marks = [
      peer.self ? 'this one' : `by ${peer.via}`,
      ...(peer.tracker ? ['tracker'] : []),
      ...(peer.unreachable ? [`unreachable: ${printable(peer.unreachable)}`] : []),
      ...(namesakes > 1 ? ['ambiguous name: use the id'] : []),
    ];
    return [peerLabel(peer), peer.id, where, count(peer.files, 'file'), formatSize(peer.bytes), marks.join(', ')];
  });
  const head = ['NAME', 'ID', 'ADDRESS', 'FILES', 'SIZE', 'FOUND'];
  const [first, ...lines] = table(manner.quiet ? rows : [head, ...rows], [3, 4]);
  return manner.quiet ? [first, ...lines] : [style.dim(first), ...lines];
}

/** Names as they are compared. */
function nameKey({ name }: PeerRow): string {
  return name.normalize('NFC');
}
