/** What a flood does to those who go on. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../lib/api.js';
import { got, json, peers, shareHashed, speed } from './commands.js';
import type { Host } from './lab.js';
import { labTest } from './lab-test.js';
import { MIB } from './trees.js';

const FLOOD = fileURLToPath(new URL('./flood.js', import.meta.url));

async function memory(host: Host): Promise<number> {
  return (await json<StatusReport>(host, ['status'])).memory;
}

labTest(
  'under 2,000 half-open connections and 20,000 datagrams a second, a get goes on',
  [{ rate: 100 }, { rate: 100 }, { rate: 100 }],
  async (t, lab) => {
    const [one, two, three] = lab.hosts;
    const size = 96 * MIB;
    const folder = join(one.folder, 'files');
    await mkdir(folder);
    const block = Buffer.alloc(MIB);
    const parts: Buffer[] = [];
    for (let i = 0; i < size / MIB; i++) {
      block.writeUInt32LE(i);
      parts.push(Buffer.from(block));
    }
    await writeFile(join(folder, 'film'), Buffer.concat(parts));
    await mkdir(join(two.folder, 'own'));
    await writeFile(join(two.folder, 'own', 'x'), 'x');
    const source = await shareHashed(one, [folder]);
    await shareHashed(two, [join(two.folder, 'own')]);
    const fetch = async (name: string) => {
      const run = await got(two, ['files/film', '-o', join(two.folder, name)], 120_000);
      t.is(run.done.received, size);
      // What was fetched and is still here would be copied the next time, and not fetched.
      await rm(join(two.folder, name));
      return size / run.done.seconds;
    };
    await fetch('warm');
    const before = await fetch('before');
    const memoryBefore = await Promise.all([memory(one), memory(two)]);

    const seconds = 15;
    const flood = three.exec([process.execPath, FLOOD, one.address, `${source.ready.port}`, `${seconds}`]);
    await flood.waitFor(/^flooding/, 20_000);
    const began = performance.now();
    const during: number[] = [];
    while (flood.running && performance.now() - began < (seconds - 5) * 1000) {
      during.push(await fetch(`during-${during.length}`));
    }
    const { code } = await flood.waitForExit(60_000);
    t.is(code, 0, flood.tail());
    const report = JSON.parse(flood.stdout.at(-1) ?? '{}') as { datagrams: number; connections: number; most: number };
    const slowest = Math.min(...during);
    t.log(`before ${speed(before, 1000)}, during ${during.map((rate) => speed(rate, 1000)).join(', ')}`);
    t.log(`${report.datagrams / seconds} datagrams/s; ${report.connections} connections, at once ${report.most}`);
    t.true(report.datagrams / seconds > 10_000, 'the flood was one');
    t.true(report.connections >= 2000);
    t.true(slowest >= before / 2, `${speed(slowest, 1000)} of ${speed(before, 1000)}`);

    // Memory returns as the garbage is collected.
    const slack = 64 * MIB;
    for (const [i, host] of [one, two].entries()) {
      const end = performance.now() + 20_000;
      let now = await memory(host);
      while (now > memoryBefore[i] + slack && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        now = await memory(host);
      }
      t.log(`host ${i + 1}: ${Math.round(memoryBefore[i] / MIB)} MiB before, ${Math.round(now / MIB)} MiB after`);
      t.true(now <= memoryBefore[i] + slack);
    }
    t.is((await peers(two)).length, 2, 'nobody came or went');
  },
);
