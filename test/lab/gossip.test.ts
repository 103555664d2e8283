/** Eight hosts: how soon a change is known to all, on a good network and a bad one, and who left or died. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FollowEvent } from '../../lib/api.js';
import { type Sharing, share } from './commands.js';
import type { Host } from './lab.js';
import { labTest } from './lab-test.js';
import type { LabProcess } from './process.js';

const HOSTS = 8;

/** Moves a file in. @returns how long it took until each of them told of it, ms, the longest last */
async function movedIn(host: Host, name: string, follows: readonly LabProcess[]): Promise<number[]> {
  const outside = join(host.folder, name);
  await writeFile(outside, name);
  const began = performance.now();
  await rename(outside, join(host.folder, 'live', name));
  const seen = follows.map(async (follow) => {
    const isIt = (line: string) => {
      const { event, path } = JSON.parse(line) as FollowEvent;
      return event === 'added' && path === `live/${name}`;
    };
    await follow.waitFor(isIt, 20_000, 'stdout');
    return performance.now() - began;
  });
  return (await Promise.all(seen)).sort((a, b) => a - b);
}

/** The median of all, and the longest. */
function figures(took: readonly number[][]): { median: number; worst: number } {
  const all = took.flat().sort((a, b) => a - b);
  return { median: Math.round(all[all.length >> 1]), worst: Math.round(all[all.length - 1]) };
}

/** Waits until all of them have told that somebody left. @returns how long the last took, ms */
async function allTell(sharing: readonly Sharing[], name: string, began: number): Promise<number> {
  const isIt = (event: ReturnType<Sharing['events']>[number]) =>
    event.event === 'peer' && event.change === 'left' && event.name === name;
  const at = await Promise.all(sharing.map((one) => one.until(isIt, 30_000)));
  return Math.round(Math.max(...at) - began);
}

labTest(
  'eight hosts: a change is known to all at once, a death within 15 s, a goodbye within 1 s',
  HOSTS,
  async (t, lab) => {
    const sharing: Sharing[] = [];
    for (const host of lab.hosts) {
      await mkdir(join(host.folder, 'live'));
      sharing.push(await share(host, [join(host.folder, 'live'), '--name', `peer ${host.number}`]));
    }
    const came = (event: ReturnType<Sharing['events']>[number]) => event.event === 'peer' && event.change === 'came';
    await Promise.all(sharing.map((one) => one.until(() => one.events().filter(came).length >= HOSTS - 1, 20_000)));
    const [first] = lab.hosts;
    const others = sharing.slice(0, HOSTS - 1);
    const follows = lab.hosts.slice(0, HOSTS - 1).map((host) => host.hearsay(['ls', '--follow', '--json']));
    await movedIn(first, 'there before', follows);

    // One is killed, and its cable cut, so that no closed port tells of it.
    await lab.hosts[HOSTS - 1].cut();
    sharing[HOSTS - 1].process.kill('SIGKILL');
    const dead = allTell(others, `peer ${HOSTS}`, performance.now());
    const good: number[][] = [];
    for (let i = 0; i < 100; i++) {
      good.push(await movedIn(first, `good ${i}`, follows));
      await sleep(20);
    }
    const { median, worst } = figures(good);
    t.log(`100 changes, 7 hosts: half of them known within ${median} ms, the last after ${worst} ms`);
    const death = await dead;
    t.log(`a host that is cut off was gone from all after ${death} ms`);

    await Promise.all(lab.hosts.map((host) => host.loss(30, 'udp')));
    const bad: number[][] = [];
    for (let i = 0; i < 50; i++) bad.push(await movedIn(first, `bad ${i}`, follows));
    const lossy = figures(bad);
    t.log(`50 changes with 30 % loss: half within ${lossy.median} ms, the last after ${lossy.worst} ms`);

    await Promise.all(lab.hosts.map((host) => host.loss(0)));
    const began = performance.now();
    sharing[HOSTS - 2].process.kill('SIGINT');
    const goodbye = await allTell(sharing.slice(0, HOSTS - 2), `peer ${HOSTS - 1}`, began);
    t.log(`one that left was gone from all after ${goodbye} ms`);

    t.true(median < 250 && worst < 1000);
    t.true(death <= 15_000);
    t.true(lossy.worst < 3000);
    t.true(goodbye <= 1000);
  },
);
