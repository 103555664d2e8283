/**
 * A bad network: 1 % and 5 % of what comes in is lost, then 100 ms of round trip by a process in the middle that delays bytes.
 *
 *   npm run bench -- loss [--mib 64] [--rates 1000] [--runs 3] [--ways hearsay,curl] [--quick] [--json FILE]
 *
 * Losses are of whole segments as the card hands them over, the same for all; congestion control is cubic.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab } from '../lab/lab.js';
import { filter } from '../lab/namespace.js';
import { bigFile, MIB } from '../lab/trees.js';
import { contest, excuse, of, type Result, warmUp } from './contest.js';
import type { Bench, Settings } from './settings.js';
import { type Report, ratio, type Table, whole } from './table.js';
import { curl, lighttpd } from './tools/curl.js';
import { get, hearsay, sharing } from './tools/hearsay.js';
import { rsync } from './tools/rsync.js';
import { iperf, iperf3, iperfServer } from './tools/streams.js';
import { cpuOfAll, each, end, endAll, listening, type Tool, timed } from './tools/tool.js';

const PROXY = fileURLToPath(new URL('./delay-proxy.js', import.meta.url));
/** One way, ms. */
const DELAY = 50;
const LOSSES = [1, 5];
const PORTS = { hearsay: 47748, curl: 8080, iperf3: 5201 };

/** The tools as they go by the host in the middle, the second of the sources. */
const FAR: readonly Tool[] = [
  {
    ...hearsay,
    async open([source, middle], what) {
      const { started } = await sharing([source], what, ['--no-multicast', '--port', `${PORTS.hearsay}`]);
      const way = ['--no-multicast', '--join', `${middle.address}:${PORTS.hearsay}`];
      return {
        cpu: () => cpuOfAll(started),
        fetch: (all) => each(all, (receiver) => get(receiver, [what.file ?? '', ...way])),
        close: () => endAll(started),
      };
    },
  },
  {
    ...curl,
    isFor: () => true,
    async open([source, middle], { folder, file = '' }) {
      const server = await lighttpd(source, folder);
      const url = `http://${middle.address}:${PORTS.curl}/${file}`;
      return {
        cpu: () => cpuOfAll([server]),
        fetch: (all) => each(all, ({ host, into }) => timed(host, ['curl', '-fsS', '-o', join(into, file), url])),
        close: () => end(server),
      };
    },
  },
  {
    ...iperf3,
    isFor: () => true,
    async open([source, middle], { bytes }) {
      const server = await iperfServer(source);
      return {
        cpu: () => cpuOfAll([server]),
        fetch: (all) => each(all, ({ host }) => iperf(host, middle.address, PORTS.iperf3, bytes)),
        close: () => end(server),
      };
    },
  },
];

function table(title: string, results: readonly Result[], bytes: number): Table {
  const speed = (result: Result | undefined) => bytes / 1e6 / of(result, ({ seconds }) => seconds);
  const named = (name: string) => results.find(({ tool }) => tool === name);
  const rows = results.map((result) => {
    const why = excuse(result);
    if (why) return [result.tool, why, '', '', ''];
    const mine = speed(result);
    const cpu = (of(result, (round) => round.cpu) * 2 ** 30) / bytes;
    const ratios = [mine / speed(named(curl.name)), mine / speed(named(iperf3.name))].map((value) => ratio(value));
    return [result.tool, ratio(mine, mine < 10 ? 1 : 0), ...ratios, whole(cpu)];
  });
  return { title, columns: ['', 'MB/s', 'of curl', 'of iperf3', 'CPU s/GiB, both'], rows };
}

async function lossy(percent: number, rate: number, bytes: number, runs: number, ways: string[] | undefined) {
  const lab = await Lab.open([{ rate }, { rate, loss: percent }]);
  try {
    const folder = join(lab.folder, 'share');
    await warmUp(lab.folder, bytes);
    await bigFile(join(folder, 'bytes'), bytes);
    const [source, receiver] = lab.hosts;
    const what = { folder, file: 'bytes', bytes, files: 1 };
    const title = `${percent} % lost`;
    const stage = { title, sources: [source], receivers: [receiver], what, folder: lab.folder };
    const results = await contest(stage, [hearsay, curl, rsync, iperf3], runs, ways);
    return { title, results };
  } finally {
    await lab.close();
  }
}

async function far(rate: number, bytes: number, runs: number, ways: string[] | undefined) {
  const lab = await Lab.open([{ rate }, { rate }, {}]);
  try {
    const folder = join(lab.folder, 'share');
    await warmUp(lab.folder, bytes);
    await bigFile(join(folder, 'bytes'), bytes);
    const [source, receiver, middle] = lab.hosts;
    // There is no way but by the middle.
    const chain = 'add chain inet lab input { type filter hook input priority 0; policy accept; }';
    await filter(receiver.namespace, [chain, `add rule inet lab input ip saddr ${source.address} drop`]);
    const between = Object.values(PORTS).flatMap((port) => [`${port}`, source.address, `${port}`]);
    const proxy = middle.exec([process.execPath, PROXY, `${DELAY}`, ...between]);
    await listening(proxy, PORTS.hearsay);
    const what = { folder, file: 'bytes', bytes, files: 1 };
    const title = `${2 * DELAY} ms of round trip`;
    const stage = { title, sources: [source, middle], receivers: [receiver], what, folder: lab.folder };
    return { title, results: await contest(stage, FAR, runs, ways) };
  } finally {
    await lab.close();
  }
}

export const bench: Bench = {
  name: 'loss',
  async run({
    quick,
    runs = quick ? 1 : 3,
    mib = quick ? 16 : 64,
    rates: [rate] = [1000],
    ways,
  }: Settings): Promise<Report> {
    const bytes = mib * MIB;
    const all = [];
    for (const percent of LOSSES) all.push(await lossy(percent, rate, bytes, runs, ways));
    // A way that is far takes its time to begin with: it is given more.
    const more = 4 * bytes;
    all.push(await far(rate, more, runs, ways));
    const tables = all.map(({ title, results }, i) => {
      const size = i < LOSSES.length ? bytes : more;
      const all = `${title}: ${size / MIB} MiB over ${rate} Mbit/s, median of ${runs}`;
      return table(all, results, size);
    });
    return { bench: 'loss', tables, figures: all };
  },
};
