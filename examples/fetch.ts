/**
 * Fetches a file, a folder or a pattern from whoever has it, and tells how far it is.
 *
 *   node dist/examples/fetch.js WHAT [FOLDER]
 */
import { HearsayError, Peer, type PeerOptions } from '../lib/index.js';

export async function fetch(what: string, folder: string, options: PeerOptions = {}): Promise<void> {
  // A passive peer asks, shares nothing, and is not listed.
  const peer = await Peer.start({ passive: true, ...options });
  try {
    const files = await peer.get(what, {
      to: folder,
      onProgress: ({ path, verified, size }) => console.log(`${path}: ${Math.floor((100 * verified) / size)} %`),
    });
    for (const { path, file, sources } of files) {
      console.log(`${path} is in ${file}, from ${sources.map((s) => s.name).join(' and ') || 'here'}`);
    }
  } finally {
    await peer.stop();
  }
}

if (process.argv[1]?.endsWith('fetch.js')) {
  const [what, folder = './'] = process.argv.slice(2);
  if (what === undefined) {
    console.error('usage: node dist/examples/fetch.js WHAT [FOLDER]');
    process.exit(2);
  }
  try {
    await fetch(what, folder);
  } catch (error) {
    console.error(error instanceof HearsayError ? `${error.code}: ${error.message}` : error);
    process.exitCode = 1;
  }
}
