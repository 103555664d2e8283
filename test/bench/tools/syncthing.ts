/**
 * Syncthing: a folder that one host sends and others receive, and give each other. Each knows the others' addresses; nothing is
 * announced, nothing relayed. What counts is from the moment when a receiver's folder is no more paused.
 */
import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '../../lab/lab.js';
import type { LabProcess } from '../../lab/process.js';
import { cpuOf, MemoryWatch } from '../usage.js';
import { cpuOfAll, each, endAll, PATIENCE, type Receiver, type Took, type Tool, type What } from './tool.js';

const PORT = 22000;
const REST = '127.0.0.1:8384';
const KEY = 'bench';
/** How often it is asked whether all is there, where there is more than one file to look for, ms. */
const ASK_MS = 200;

interface Node {
  host: Host;
  home: string;
  id: string;
}

const homeOf = (host: Host) => join(host.folder, 'syncthing');

/** Makes a key for a host. */
async function nodeOf(host: Host): Promise<Node> {
  const home = homeOf(host);
  await rm(home, { recursive: true, force: true });
  const made = await host.run(['syncthing', 'generate', '--no-default-folder', '--skip-port-probing', '--home', home]);
  const { stdout } = await host.run(['syncthing', '--device-id', '--home', home]);
  const id = stdout.find((line) => /^[A-Z2-7-]{63}$/.test(line));
  if (!id) throw new Error(`syncthing made no key: ${made.stderr.join('\n')}`);
  return { host, home, id };
}

function config(own: Node, all: readonly Node[], path: string, isSource: boolean): string {
  const devices = all.map(
    ({ id, host }) =>
      `<device id="${id}" name="${host.number}" compression="never"><address>tcp://${host.address}:${PORT}</address></device>`,
  );
  const members = all.map(({ id }) => `<device id="${id}"></device>`);
  const kind = isSource ? 'sendonly' : 'receiveonly';
  return `<configuration version="36">
<folder id="bench" label="bench" path="${path}" type="${kind}" rescanIntervalS="0" fsWatcherEnabled="false" ignorePerms="true">
${members.join('\n')}
<minDiskFree unit="%">0</minDiskFree><paused>${!isSource}</paused></folder>
${devices.join('\n')}
<gui enabled="true" tls="false"><address>${REST}</address><apikey>${KEY}</apikey></gui>
<options><listenAddress>tcp://${own.host.address}:${PORT}</listenAddress><globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled>
<startBrowser>false</startBrowser><urAccepted>-1</urAccepted><crashReportingEnabled>false</crashReportingEnabled>
<reconnectionIntervalS>1</reconnectionIntervalS></options>
</configuration>
`;
}

async function start(node: Node, all: readonly Node[], path: string, isSource: boolean): Promise<LabProcess> {
  await writeFile(join(node.home, 'config.xml'), config(node, all, path, isSource));
  await rm(join(node.home, 'index-v0.14.0.db'), { recursive: true, force: true });
  return node.host.exec(['syncthing', 'serve', '--no-browser', '--no-restart', '--no-upgrade', '--home', node.home]);
}

/** Asks a host's Syncthing. */
async function rest<T>(host: Host, path: string, patch?: object): Promise<T | undefined> {
  const change = patch ? ['-X', 'PATCH', '-d', JSON.stringify(patch)] : [];
  const { code, stdout } = await host.run([
    'curl',
    '-fsS',
    '-H',
    `X-API-Key: ${KEY}`,
    ...change,
    `http://${REST}${path}`,
  ]);
  return code === 0 && stdout.length > 0 ? (JSON.parse(stdout.join('\n')) as T) : undefined;
}

interface Status {
  state: string;
  localFiles: number;
}

async function until(fits: () => Promise<boolean>, every: number, process: LabProcess): Promise<void> {
  for (const began = performance.now(); !(await fits()); await delay(every)) {
    if (!process.running || performance.now() - began > PATIENCE) throw new Error(`syncthing: ${process.tail()}`);
  }
}

/** Whether it has looked through a folder that is whole; its own count of bytes has some for each folder. */
async function hasAll(host: Host, { files }: What): Promise<boolean> {
  const status = await rest<Status>(host, '/rest/db/status?folder=bench');
  return status?.state === 'idle' && status.localFiles === files;
}

export const syncthing: Tool = {
  name: 'syncthing',
  needs: { syncthing: 'syncthing', curl: 'curl' },
  async open(sources, what, receivers) {
    const givers = await Promise.all(sources.map(nodeOf));
    const takers = await Promise.all(receivers.map(nodeOf));
    const all = [...givers, ...takers];
    const started: LabProcess[] = [];
    try {
      for (const giver of givers) {
        const process = await start(giver, all, what.folder, true);
        started.push(process);
        await until(() => hasAll(giver.host, what), ASK_MS, process);
      }
    } catch (thrown) {
      await endAll(started);
      throw thrown;
    }
    return {
      cpu: () => cpuOfAll(started),
      fetch: (to) => fetchAll(to, takers, all, what),
      async close() {
        await endAll(started);
        await rm(join(what.folder, '.stfolder'), { recursive: true, force: true });
      },
    };
  },
};

async function fetchAll(to: readonly Receiver[], takers: Node[], all: Node[], what: What): Promise<Took[]> {
  const started: LabProcess[] = [];
  try {
    for (const { host, into } of to) {
      const node = takers.find((taker) => taker.host === host)!;
      started.push(await start(node, all, into, false));
    }
    const wanted = all.length - takers.length + to.length - 1;
    const isConnected = async (host: Host) => {
      const answer = await rest<{ connections: Record<string, { connected: boolean }> }>(
        host,
        '/rest/system/connections',
      );
      return Object.values(answer?.connections ?? {}).filter(({ connected }) => connected).length >= wanted;
    };
    for (const [i, { host }] of to.entries()) await until(() => isConnected(host), ASK_MS, started[i]);
    const before = started.map(({ pid }) => cpuOf(pid));
    const took = await each(to, async ({ host, into }, i) => {
      const memory = new MemoryWatch(started[i].pid);
      try {
        const began = performance.now();
        await rest(host, '/rest/config/folders/bench', { paused: false });
        const { file } = what;
        if (file === undefined) await until(() => hasAll(host, what), ASK_MS, started[i]);
        else {
          // It takes its name when it is whole.
          const isThere = () =>
            stat(join(into, file)).then(
              () => true,
              () => false,
            );
          await until(isThere, 10, started[i]);
        }
        return { began, ended: performance.now(), cpu: 0, peak: memory.end() };
      } finally {
        memory.end();
      }
    });
    return took.map((one, i) => ({ ...one, cpu: cpuOf(started[i].pid) - before[i] }));
  } finally {
    await endAll(started);
  }
}
