/**
 * A running peer that a bench measures from within: it fetches a large file, and calls `get` for small ones, before and meanwhile.
 *
 *   node caller.js STATE INTO LARGE SMALL...
 *
 * Prints one line of JSON: how long each call took, ms. The first half of the small ones is fetched before the large one.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Peer } from '../../lib/peer.js';

const CONFIG = fileURLToPath(new URL('../../../config/default.toml', import.meta.url));
/** When the large file counts as being under way, bytes. */
const UNDER_WAY = 4 * 2 ** 20;

const [state, into, large, ...small] = process.argv.slice(2);
const peer = await Peer.start({ config: CONFIG, state, name: 'caller', port: 0, share: [] });
const has = async (path: string) => (await peer.list({ pattern: path })).files.some(({ id }) => id !== null);
for (const path of [large, ...small]) while (!(await has(path))) await delay(20);

async function call(path: string): Promise<number> {
  const began = performance.now();
  await peer.get(path, { to: join(into, '/') });
  return performance.now() - began;
}

const half = small.length >> 1;
const before: number[] = [];
for (const path of small.slice(0, half)) before.push(await call(path));

const stop = new AbortController();
let verified = 0;
const onProgress = (progress: { verified: number }) => {
  verified = progress.verified;
};
const all = peer.get(large, { to: join(into, '/'), signal: stop.signal, onProgress }).then(
  () => true,
  () => false,
);
while (verified < UNDER_WAY) await delay(20);
const during: number[] = [];
for (const path of small.slice(half)) during.push(await call(path));
const at = verified;
stop.abort();
const whole = await all;
// Where the large one had ended, nothing was measured beside it.
console.log(JSON.stringify({ before, during, verified: at, whole }));
await peer.stop();
