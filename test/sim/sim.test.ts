/** The simulator itself: one seed is one run, and each invariant names the fault that was planted. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import type { Shelving } from '../../lib/gossip/shelving.js';
import type { Message } from '../../lib/wire/table.js';
import { Host } from './host.js';
import { Queue } from './queue.js';
import { run } from './run.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import type { Stage } from './stage.js';
import type { InvariantName } from './watched.js';
import { World } from './world.js';

const FAULTS: Scenario = {
  name: 'faults',
  what: '',
  size: 'small',
  peers: 4,
  files: 3,
  network: {},
  holds: [],
  play: () => {},
};

/** A play with a fault, and what an invariant says of it. */
function verdict(name: InvariantName, play: (stage: Stage) => void): string | undefined {
  return run({ ...FAULTS, holds: [name], play }, 1).failed;
}

function begin(stage: Stage): void {
  stage.start(100);
  stage.agree('the start', 10_000);
}

/** Removes the first file of a host, and lets time pass. */
function remove(stage: Stage, host: Host): void {
  const [path] = host.share.keys();
  host.change({ path, kind: 'removed', size: 0, mtime: 0, id: null });
  stage.run(5000);
}

/** Keeps what was removed. */
const keepsGraves = (usual: Shelving): Shelving => ({
  ...usual,
  applyDelta: (shelf, writer, from, offers, head, proof) => {
    const applied = usual.applyDelta(shelf, writer, from, offers, head, proof);
    return shelf && applied ? { shelf, changes: [] } : applied;
  },
});

/** Brings back what was removed, with the next change. */
function revenant(usual: Shelving): Shelving {
  let last: ReturnType<Shelving['applyDelta']>;
  return {
    ...usual,
    applyDelta: (...input) => {
      const applied = usual.applyDelta(...input);
      if (!applied) return undefined;
      const changes = [...(last?.changes ?? [])].map(({ before, after }) => ({ before: after, after: before }));
      last = applied;
      return { ...applied, changes: [...applied.changes, ...changes] };
    },
  };
}

test('who keeps what was removed does not converge', (t) => {
  const failed = verdict('converged', (stage) => {
    stage.add({ shelving: keepsGraves });
    begin(stage);
    remove(stage, stage.hosts[0]);
  });
  t.regex(failed ?? '', /^converged: host5 /);
});

test('what comes back is named', (t) => {
  const failed = verdict('nothing-comes-back', (stage) => {
    stage.add({ shelving: revenant });
    begin(stage);
    remove(stage, stage.hosts[0]);
    stage.agree('the removal', 1000);
    stage.hosts[0].change(stage.file('another'));
    stage.run(1000);
  });
  t.regex(failed ?? '', /host5 tells of host1\/file 0.txt again/);
});

test('what is told wrongly is named', (t) => {
  const failed = verdict('nothing-lost', (stage) => {
    begin(stage);
    stage.hosts[1].changes.pop();
  });
  t.regex(failed ?? '', /host2 (did not tell|told)/);
});

test('one who is taken for gone while he is there is named', (t) => {
  const failed = verdict('no-false-death', (stage) => {
    begin(stage);
    // Up and reachable, but for far too long.
    stage.hosts[2].busy(90_000);
    stage.run(60_000);
  });
  t.regex(failed ?? '', /takes host3 for gone, which is there/);
});

test('one who spends what is for all is named', (t) => {
  const failed = verdict('budget', (stage) => {
    const { world } = stage;
    begin(stage);
    const [hasty] = stage.hosts;
    const { head, sig } = hasty.gossip.head();
    const say = (): void => {
      world.send(hasty, undefined, { type: 'O', head, sig, from: 3, offers: [] });
      world.after(20, say);
    };
    say();
    stage.rest(10_000);
  });
  t.regex(failed ?? '', /^budget: \d+ bytes a second/);
});

test('a newcomer who asks everybody, and a host whom everybody dials, are named', (t) => {
  const few = verdict('few-sources', (stage) => {
    begin(stage);
    const [comer, other] = stage.hosts;
    stage.newcomers.push(comer);
    for (let i = 0; i < 10; i++) comer.pulledFrom.set(stage.add(), 1);
    comer.pulledFrom.set(other, 1);
  });
  t.regex(few ?? '', /host1 pulled from \d+ peers/);
  const storm = verdict('no-storm', (stage) => {
    for (let i = 0; i < 30; i++) stage.world.connect(stage.add(), stage.hosts[0], () => {});
  });
  t.regex(storm ?? '', /host1 was dialled 30 times in a second/);
});

test('what the core throws is a failure', (t) => {
  const failed = verdict('converged', (stage) => {
    begin(stage);
    stage.hosts[0].handle({ kind: 'datagram' } as never);
  });
  t.regex(failed ?? '', /TypeError/);
});

test('one seed is one run', (t) => {
  const scenario = SCENARIOS.find(({ name }) => name === 'power')!;
  const once = (seed: number) => {
    let traffic = '';
    const { took, failed } = run(scenario, seed, undefined, (world) => {
      traffic = JSON.stringify([...world.traffic, ...world.streamed]);
    });
    return { took, failed, traffic };
  };
  const first = once(7);
  t.is(first.failed, undefined);
  t.deepEqual(once(7), first);
  t.notDeepEqual(once(8), first);
});

test('in a large world what comes to one host comes together, never early, and no later than a tick', (t) => {
  const world = new World({ seed: 3, large: true });
  const [a, b, c] = [new Host(world), new Host(world), new Host(world)];
  const came: { host: string; n: number; at: number; due: number }[] = [];
  const random = seeded(5);
  for (let n = 0; n < 300; n++) {
    const host = [a, b, c][Math.floor(random() * 3)];
    const delay = random() * 200;
    const due = world.now + delay;
    world.afterAt(delay, host, () => came.push({ host: host.name, n, at: world.now, due }));
  }
  world.run(1000);
  t.is(came.length, 300);
  for (const { at, due } of came) t.true(at >= due && at < due + 4);
  const turns = new Map<number, string[]>();
  for (const { host, at } of came) {
    const hosts = turns.get(at) ?? [];
    if (hosts.at(-1) !== host) hosts.push(host);
    turns.set(at, hosts);
  }
  for (const [at, hosts] of turns) t.is(new Set(hosts).size, hosts.length, `at ${at}: ${hosts}`);
});

test('in a large world a datagram reaches each who hears it, but for the share that is lost', (t) => {
  const world = new World({ seed: 4, large: true, loss: 0.3 });
  const hosts = Array.from({ length: 400 }, (_, i) => new Host(world, { deaf: i === 1 }));
  const heard = new Map<string, number>();
  for (const host of hosts) {
    host.isUp = true;
    host.datagram = () => heard.set(host.name, (heard.get(host.name) ?? 0) + 1);
  }
  const message: Message = { type: 'O', ...hosts[0].gossip.head(), from: 0, offers: [] };
  world.send(hosts[0], undefined, message);
  t.is(heard.size, 0);
  world.run(20);
  t.false(heard.has('host1') || heard.has('host2'));
  t.true(heard.size > 240 && heard.size < 320, `${heard.size}`);
  t.true([...heard.values()].every((times) => times === 1));
});

test('the queue gives everything in the order of time, and of one moment in the order in which it came', (t) => {
  const random = seeded(5);
  const queue = new Queue();
  const given: [number, number][] = [];
  let now = 0;
  let count = 0;
  const add = (): void => {
    const at = now + Math.floor(random() * 40) / 8;
    const n = count++;
    queue.add(at, () => given.push([at, n]));
  };
  for (let i = 0; i < 2000; i++) {
    if (random() < 0.6) add();
    else {
      const item = queue.take();
      if (item) now = item.at;
      item?.run();
    }
  }
  for (let item = queue.take(); item; item = queue.take()) item.run();
  t.is(given.length, count);
  const sorted = [...given].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  t.deepEqual(given, sorted);
});
