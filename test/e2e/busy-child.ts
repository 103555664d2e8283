/**
 * A peer whose process can be kept busy: run by itself with its options as JSON. It writes its events, a line each; for a number of
 * milliseconds on a line of its input it does nothing else, and then says so; it ends with its input.
 */
import { createInterface } from 'node:readline';
import { Peer, type PeerOptions } from '../../lib/peer.js';

const options = JSON.parse(process.argv[2]) as PeerOptions;
const say = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);
const peer = await Peer.start({ ...options, onEvent: say });
say({ event: 'started', id: peer.id });
for await (const line of createInterface({ input: process.stdin })) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(line));
  say({ event: 'busy', ms: Number(line) });
}
await peer.stop();
