/** Subnets whose hosts cannot all dial each other: who is asked to dial, what is passed on, and what is said where nothing helps. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { DoctorReport, PeerRow, TraceRecord } from '../../lib/api.js';
import { get, got, ls, peers, type Sharing, share, shareHashed, speed } from './commands.js';
import type { Host, Lab } from './lab.js';
import { labTest } from './lab-test.js';

const MIB = 2 ** 20;
/** Ada, the tracker and bob have a subnet each. */
const SUBNETS = [{ subnet: 1 }, { subnet: 2 }, { subnet: 3 }];

/** Nobody comes into a subnet from outside, as behind a NAT; whoever is in it can dial out. */
const shut = (subnet: number) => `ip daddr 10.${subnet}.0.0/24 tcp flags syn / syn,ack drop`;
/** Nothing passes between two subnets, as between stations of an access point that isolates them. */
const apart = (a: number, b: number) => [
  `ip saddr 10.${a}.0.0/24 ip daddr 10.${b}.0.0/24 drop`,
  `ip saddr 10.${b}.0.0/24 ip daddr 10.${a}.0.0/24 drop`,
];

interface Three {
  ada: Host;
  hub: Host;
  bob: Host;
  tracker: Sharing;
  /** The file that bob shares, on his host. */
  film: string;
}

/** Bob shares a film, and Ada a note; both join the tracker. @param config of the tracker */
async function three(lab: Lab, size: number, config = ''): Promise<Three> {
  const [ada, hub, bob] = lab.hosts;
  const file = join(hub.folder, 'config.toml');
  await writeFile(file, config);
  const tracker = await share(hub, ['--tracker', '--name', 'tracker', '--config', file]);
  for (const host of [ada, bob]) await mkdir(join(host.folder, 'own'));
  await writeFile(join(ada.folder, 'own', 'note'), 'of ada');
  const film = join(bob.folder, 'own', 'film');
  const block = Buffer.alloc(MIB);
  await writeFile(film, '');
  for (let i = 0; i < size; i++) {
    block.writeUInt32LE(i);
    await writeFile(film, block, { flag: 'a' });
  }
  const join_ = ['--join', hub.address];
  await share(ada, [join(ada.folder, 'own'), '--name', 'ada', ...join_]);
  await shareHashed(bob, [join(bob.folder, 'own'), '--name', 'bob', ...join_]);
  while (!(await ls(ada)).some((row) => row.path === 'own/film' && row.id !== null));
  return { ada, hub, bob, tracker, film };
}

/** Fetches the film as Ada's running peer does. */
async function fetchFilm(t: ExecutionContext, { ada, film }: Three, to: string) {
  const fetched = await got(ada, ['own/film', '-o', join(ada.folder, to)]);
  t.is((await ada.run(['cmp', film, join(ada.folder, to)])).code, 0);
  // What was fetched and is still here would be copied the next time, and nothing would need to be reached.
  t.true(fetched.done.received > 0);
  await rm(join(ada.folder, to));
  return fetched;
}

/** What a command's own peer sent and received. */
function letters(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    try {
      return [(JSON.parse(line) as TraceRecord).type];
    } catch {
      return [];
    }
  });
}

const rowOf = async (host: Host, name: string): Promise<PeerRow | undefined> =>
  (await peers(host)).find((row) => row.name === name);

labTest(
  'one whom nobody can dial is asked through the tracker to dial, and nothing is passed on',
  SUBNETS,
  async (t, lab) => {
    await lab.router.filter([shut(3)]);
    const all = await three(lab, 64);
    const before = await rowOf(all.ada, 'bob');
    t.deepEqual(before?.addresses, [], 'the tracker could not connect to him, so nobody need try');
    const began = performance.now();
    const { done } = await fetchFilm(t, all, 'film');
    t.log(`64 MiB in ${Math.round(performance.now() - began)} ms, ${speed(64 * MIB, done.seconds * 1000)}`);
    t.true(performance.now() - began < 6000);
    // Ada, and not he, can be dialled: she is.
    await got(all.bob, ['own/note', '-o', join(all.bob.folder, 'note')]);
    // The connection that he made goes on to be used: the tracker is not needed for it.
    all.tracker.process.kill('SIGKILL');
    await fetchFilm(t, all, 'again');
  },
);

labTest('where neither can dial the other the tracker passes on, and reads nothing', SUBNETS, async (t, lab) => {
  await lab.router.filter([shut(1), shut(3)]);
  const all = await three(lab, 64);
  const began = performance.now();
  const { done } = await fetchFilm(t, all, 'film');
  t.log(`64 MiB in ${Math.round(performance.now() - began)} ms, ${speed(64 * MIB, done.seconds * 1000)} while it came`);
  t.true(performance.now() - began < 8000);
  t.is((await rowOf(all.ada, 'bob'))?.unreachable, undefined);
  // A one-shot too, which is not registered; what it says is in its trace.
  const other = await lab.hosts[0].runHearsay(
    ['get', 'own/film', '-o', join(all.ada.folder, 'shot'), '--join', all.hub.address, '--trace', '--json'],
    60_000,
    { state: 'shot' },
  );
  t.is(other.code, 0, other.stderr.slice(-5).join('\n'));
  const text = other.stderr.join('\n');
  t.regex(text, /\bt tunnel\b/, `${letters(other.stderr)}`);
  t.regex(text, /\bd data\b/);
});

labTest(
  'where nothing passes between two, though both can be dialled, the tracker passes on',
  SUBNETS,
  async (t, lab) => {
    await lab.router.filter(apart(1, 3));
    const all = await three(lab, 64);
    const began = performance.now();
    const { done } = await fetchFilm(t, all, 'film');
    t.log(
      `64 MiB in ${Math.round(performance.now() - began)} ms, ${speed(64 * MIB, done.seconds * 1000)} while it came`,
    );
    const next = performance.now();
    await fetchFilm(t, all, 'again');
    t.log(`and again in ${Math.round(performance.now() - next)} ms`);
  },
);

labTest('a get through a tracker that dies goes on when it is there again', SUBNETS, async (t, lab) => {
  await lab.router.filter([shut(1), shut(3)]);
  const all = await three(lab, 256);
  await all.ada.rate(400);
  let killed = false;
  const fetching = get(all.ada, ['own/film', '-o', join(all.ada.folder, 'film')], (event) => {
    if (event.event !== 'progress' || event.verified < 40 * MIB || killed) return;
    killed = true;
    all.tracker.process.kill('SIGKILL');
  });
  await all.tracker.process.exited;
  const tracker = await share(all.hub, ['--tracker', '--name', 'tracker', '--port', `${all.tracker.ready.port}`]);
  t.is(await fetching.ended(60_000), 0, fetching.process.tail());
  t.is((await all.ada.run(['cmp', all.film, join(all.ada.folder, 'film')])).code, 0);
  const { received } = fetching.done;
  t.log(`${Math.round(received / MIB)} MiB crossed the network for 256, ${Math.round(fetching.gap)} ms without any`);
  t.true(received < 300 * MIB);
  t.true(tracker.process.running);
});

labTest('where the tracker does not pass on, it is said why a peer cannot be reached', SUBNETS, async (t, lab) => {
  await lab.router.filter([shut(1), shut(3)]);
  const all = await three(lab, 1, 'relay = false\n');
  const { code, stdout } = await all.ada.runHearsay(['get', 'own/film', '-o', `${all.ada.folder}/`, '--json']);
  t.is(code, 5, stdout.join('\n'));
  t.regex(stdout.join('\n'), /has no address at which anybody could reach it, .*no tracker passes on/);
  const row = await rowOf(all.ada, 'bob');
  t.regex(row?.unreachable ?? '', /no tracker passes on to it/);
  const sick = await all.ada.runHearsay(['doctor', '--json']);
  t.is(sick.code, 1);
  const { findings } = JSON.parse(sick.stdout[0]) as DoctorReport;
  t.log(...findings.map(({ level, message }) => `${level} ${message}`));
  const bad = findings.filter(({ level }) => level === 'bad');
  t.is(bad.length, 1);
  t.regex(bad[0].message, /^bob cannot be reached: it has no address/);
  t.true(findings.some(({ level, topic }) => level === 'warn' && topic === 'reachable'));
  // When the way is open again all is well.
  await lab.router.filter([]);
  const well = async () => (await all.ada.runHearsay(['doctor', '--json'])).code === 0;
  const began = performance.now();
  while (!(await well())) t.true(performance.now() - began < 60_000);
});
