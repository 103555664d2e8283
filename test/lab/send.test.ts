/** `send` over links of 100 Mbit/s: to one, and to many, of whom one refuses, one is killed, and one has it already. */
import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SendEvent } from '../../lib/api.js';
import { share, speed, type Told, told } from './commands.js';
import type { Host } from './lab.js';
import { labTest } from './lab-test.js';
import type { LabProcess } from './process.js';
import { bigFile, diff, MIB, scratch } from './trees.js';

const BYTES = 256 * MIB;
const RATE = 100;
const TAKERS = ['a', 'b', 'c', 'd', 'e', 'f'];
const OTHERS = ['refuses', 'killed', 'has it'];

/** A send, and what it told when. */
class Sending {
  readonly process: LabProcess;
  readonly told: Told<SendEvent>[] = [];
  readonly ended: Promise<void>;

  constructor(host: Host, file: string, to: readonly string[], onEvent: (event: SendEvent) => void = () => {}) {
    this.process = host.hearsay(['send', file, '--json', ...to.flatMap((name) => ['--to', name])]);
    this.ended = this.#read(onEvent);
  }

  async #read(onEvent: (event: SendEvent) => void): Promise<void> {
    for await (const one of told<SendEvent>(this.process)) {
      this.told.push(one);
      onEvent(one.event);
    }
  }

  /** What became of each receiver: "done", or the code. */
  get results(): Record<string, string> {
    const ends = this.told.flatMap(({ event }) => {
      if (event.event === 'done') return [[event.to, 'done']];
      return event.event === 'error' ? [[event.to, event.error.code]] : [];
    });
    return Object.fromEntries(ends);
  }

  /** Seconds from the first word of it until the last of its receivers had it. */
  get seconds(): number {
    const last = this.told.findLast(({ event }) => event.event === 'done');
    return ((last?.at ?? Number.NaN) - this.told[0].at) / 1000;
  }
}

labTest(
  '256 MiB from one to six takes little longer than to one; who refuses, dies or has it is named',
  [...TAKERS, ...OTHERS, 'sender', 'alone', 'sender of one'].map(() => ({ rate: RATE })),
  async (t, lab) => {
    const folder = await scratch((TAKERS.length + 3) * BYTES);
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'from', 'big');
    await bigFile(file, BYTES);
    const inbox = (name: string) => join(folder, 'inboxes', name);
    await mkdir(inbox('has it'), { recursive: true });
    await link(file, join(inbox('has it'), 'big'));
    const hosts = new Map(
      [...TAKERS, ...OTHERS, 'sender', 'alone', 'sender of one'].map((name, i) => [name, lab.hosts[i]]),
    );
    const host = (name: string) => hosts.get(name) as Host;
    const peers = new Map<string, Awaited<ReturnType<typeof share>>>();
    const begin = async (name: string) => {
      const rule = name === 'refuses' ? 'refuse' : 'accept';
      // Nothing is shared but a small file of its own.
      const own = join(folder, 'own', name);
      await bigFile(own, 1);
      const words = [own, '--name', name, '--inbox', rule, '--inbox-folder', inbox(name)];
      peers.set(name, await share(host(name), words));
    };
    await Promise.all([...hosts.keys()].map(begin));
    for (const name of ['sender', 'sender of one']) {
      const known = new Set<string>();
      const isAll = () => known.size === hosts.size - 1;
      await peers.get(name)?.until((event) => {
        if (event.event === 'peer' && event.change === 'came') known.add(event.id);
        return isAll();
      }, 20_000);
    }

    // Beside each other: their links have nothing in common.
    const one = new Sending(host('sender of one'), file, ['alone']);
    const receiver = peers.get('killed')?.process;
    const many = new Sending(host('sender'), file, [...TAKERS, ...OTHERS, 'nobody'], (event) => {
      if (event.event === 'progress' && event.to === 'killed' && event.bytes > BYTES / 3) receiver?.kill('SIGKILL');
    });
    await Promise.all([one, many].map(({ process }) => process.waitForExit(120_000)));
    await Promise.all([one.ended, many.ended]);

    const ratio = many.seconds / one.seconds;
    t.log(
      `to one ${one.seconds.toFixed(1)} s (${speed(BYTES, one.seconds * 1000)}), to six ${many.seconds.toFixed(1)} s: ` +
        `${ratio.toFixed(2)} times; ${JSON.stringify(many.results)}`,
    );
    t.deepEqual(one.results, { alone: 'done' });
    const { killed, ...rest } = many.results;
    t.true(['no-peer', 'unreachable'].includes(killed), killed);
    t.deepEqual(rest, {
      ...Object.fromEntries(TAKERS.map((name) => [name, 'done'])),
      refuses: 'refused',
      'has it': 'exists',
      nobody: 'no-peer',
    });
    t.is((await many.process.exited).code, 6);
    for (const name of [...TAKERS, 'alone']) t.deepEqual(await diff(join(folder, 'from'), inbox(name)), [], name);
    // As fast as the link, so that the machine was not what both waited for.
    t.true(one.seconds < (1.25 * BYTES * 8) / (RATE * 1e6), `${one.seconds} s to one`);
    t.true(ratio <= 1.5);
  },
);
