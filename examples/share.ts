/**
 * Shares a folder from a program, and tells of what it hears of others.
 *
 *   node dist/examples/share.js FOLDER
 *
 * Ends at Ctrl-C.
 */
import { Peer, type PeerOptions } from '../lib/index.js';

export async function share(folder: string, options: PeerOptions = {}, signal?: AbortSignal): Promise<void> {
  const peer = await Peer.start({ share: [folder], ...options });
  console.log(`${peer.name} (${peer.id}) shares ${folder} at ${peer.addresses.join(', ')}`);
  try {
    for await (const { kind, offer } of peer.index.changes(signal)) console.log(kind, offer.path, offer.size);
  } finally {
    await peer.stop();
  }
}

if (process.argv[1]?.endsWith('share.js')) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error('usage: node dist/examples/share.js FOLDER');
    process.exit(2);
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  await share(folder, {}, stop.signal);
}
