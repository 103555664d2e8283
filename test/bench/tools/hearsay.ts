/** hearsay as a person runs it: `hearsay share` on the sources, `hearsay get` on the receivers, each found by multicast. */
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GetEvent } from '../../../lib/api.js';
import { hashed } from '../../lab/commands.js';
import type { Host } from '../../lab/lab.js';
import type { LabProcess } from '../../lab/process.js';
import { cpuOfAll, each, endAll, type Receiver, type Took, type Tool, timed, type What } from './tool.js';

export const PROGRAM = fileURLToPath(new URL('../../../bin/hearsay.js', import.meta.url));

/** How long the sources may hash, ms. */
const HASH_MS = 600_000;

export const hearsay: Tool = {
  name: 'hearsay',
  needs: {},
  async open(sources, what) {
    const { started } = await sharing(sources, what);
    const wanted = what.file ?? `${basename(what.folder)}/`;
    return {
      cpu: () => cpuOfAll(started),
      fetch: (receivers) => each(receivers, (receiver) => get(receiver, [wanted])),
      close: () => endAll(started),
    };
  },
};

/** Shares the same on several hosts, and waits until all is hashed. @param options further ones of `hearsay share` */
export async function sharing(sources: readonly Host[], what: What, options: readonly string[] = []) {
  const shared = what.file === undefined ? what.folder : join(what.folder, what.file);
  const started: LabProcess[] = [];
  try {
    for (const [i, host] of sources.entries()) {
      const share = host.hearsay(['share', shared, '--name', `source${i + 1}`, ...options]);
      started.push(share);
      await share.waitFor(/./, 30_000, 'stdout');
    }
    await Promise.all(sources.map((host) => hashed(host, {}, HASH_MS)));
    return { started };
  } catch (thrown) {
    await endAll(started);
    throw thrown;
  }
}

/** Runs `hearsay get`, with a state of its own, so that it knows nothing from before. @param args WHAT and options but -o */
export async function get({ host, into }: Receiver, args: readonly string[], state?: string): Promise<Took> {
  const folder = state ?? host.state(`state-${randomBytes(4).toString('hex')}`);
  const out = host.state(`out-${randomBytes(4).toString('hex')}`);
  try {
    const argv = [process.execPath, PROGRAM, 'get', '--json', ...args, '-o', join(into, '/')];
    const took = await timed(host, argv, { out, env: { HEARSAY_STATE: folder } });
    const events = (await readFile(out, 'utf8')).split('\n').filter(Boolean);
    return { ...took, ...told(took, events) };
  } finally {
    await rm(out, { force: true });
    if (state === undefined) await rm(folder, { recursive: true, force: true });
  }
}

/** What a get's own words tell: from the request to the last file in place, and who gave what. */
function told(took: Took, lines: readonly string[]): Partial<Took> {
  let seconds = 0;
  let received = 0;
  const given: Record<string, number> = {};
  for (const line of lines) {
    const event = JSON.parse(line) as GetEvent;
    if (event.event !== 'done') continue;
    seconds = Math.max(seconds, event.seconds);
    received += event.received;
    for (const { name, bytes } of event.sources) given[name] = (given[name] ?? 0) + bytes;
  }
  const { began, ended } = took;
  return { began: ended - seconds * 1000, command: { began, ended }, received, given };
}
