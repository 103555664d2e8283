/** The daemon as a newcomer meets it: started, told what to share, asked for files; and what becomes of a get that is under way. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StatusReport, TransferRow } from '../../lib/api.js';
import { get, hashed, json, ls } from './commands.js';
import type { Host } from './lab.js';
import { labTest } from './lab-test.js';
import { bigFile, diff, GIB, MIB, scratch } from './trees.js';

const FILM = 256 * MIB;

const start = (host: Host) => json<{ pid: number; already?: boolean }>(host, ['daemon', 'start']);

/** Waits until something that was asked for has ended, as `status` tells. */
async function ended(host: Host, number: number, ms = 60_000): Promise<TransferRow> {
  for (const began = performance.now(); ; ) {
    const { transfers } = await json<StatusReport>(host, ['status']);
    const row = transfers.find((one) => one.number === number);
    if (row?.state === 'done' || row?.state === 'failed') return row;
    if (performance.now() - began > ms) throw new Error(`transfer ${number}: ${JSON.stringify(row)}`);
  }
}

labTest(
  'daemon start, add, ls, get, the terminal is closed: done; kill -9 in a get of 1 GiB: it goes on',
  2,
  async (t, lab) => {
    const [one, two] = lab.hosts;
    const folder = await scratch(2 * (GIB + FILM));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const x = join(folder, 'x');
    await bigFile(join(x, 'film.mkv'), FILM);
    await bigFile(join(x, 'disk.img'), GIB);
    const into = join(folder, 'in');
    await mkdir(into);

    await start(one);
    t.is((await one.runHearsay(['add', x], 20_000)).code, 0);
    await hashed(one);
    const first = await start(two);
    const found = await ls(two);
    t.deepEqual(found.map(({ path }) => path).sort(), ['x/disk.img', 'x/film.mkv']);

    const watched = get(two, ['x/film.mkv', '-o', `${into}/`], (_event, { chunks, process: program }) => {
      if (chunks.size === 20) program.kill('SIGHUP');
    });
    t.is(await watched.ended(), 130);
    t.true(watched.chunks.size < FILM / MIB, 'its terminal was closed before it was done');
    t.like(await ended(two, 1), { state: 'done', bytes: FILM });

    let verified = 0;
    const cut = get(two, ['x/disk.img', '-o', `${into}/`], (_event, { chunks }) => {
      if (chunks.size !== 450) return;
      verified = chunks.size * MIB;
      process.kill(first.pid, 'SIGKILL');
    });
    t.is(await cut.ended(), 5);
    t.true(verified > 0);
    const second = await start(two);
    t.not(second.pid, first.pid);
    t.falsy(second.already);
    // It goes on by itself; the same again only looks on, and is told what was received since.
    const rest = get(two, ['x/disk.img', '-o', `${into}/`]);
    t.is(await rest.ended(), 0);
    t.like(rest.all('start')[0], { number: 2 });
    t.truthy(rest.all('start')[0].again);
    const again = rest.done.received - (GIB - verified);
    t.log(
      `killed with ${verified / MIB} MiB verified; then received ${rest.done.received / MIB} MiB, ${again / MIB} of them anew`,
    );
    t.true(again <= 0.05 * verified);
    t.like(await ended(two, 2), { state: 'done', bytes: GIB });
    t.deepEqual(await diff(x, into), []);
  },
);
