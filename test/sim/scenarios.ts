/**
 * The scenarios: what a network may go through, each a play from a seed, with its bounds and the invariants that hold.
 * Always true: all chance comes from the world's seed. Called by the runner; `npm run sim` lists them.
 */
import type { Host } from './host.js';
import type { Stage } from './stage.js';
import type { InvariantName } from './watched.js';
import type { WorldOptions } from './world.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export interface Scenario {
  name: string;
  what: string;
  /** Large ones have a thousand peers, and share what is known; small ones decode every message. */
  size: 'small' | 'large';
  /** At the beginning. */
  peers: number;
  /** That each of them shares. */
  files: number;
  network: Omit<WorldOptions, 'seed' | 'large' | 'record'>;
  /** Plays for hours of the virtual clock, and is dear. */
  isLong?: boolean;
  holds: readonly InvariantName[];
  play(stage: Stage): void;
}

/** Within what silence is noticed: 15 s up to 20 peers, 60 s at 1,000. @param loss share of datagrams lost, which takes longer */
function noticed(peers: number, loss = 0): number {
  return (15 + (45 * Math.max(0, peers - 20)) / 980) * SECOND * (1 + loss);
}

const ALWAYS = ['converged', 'nothing-lost', 'nothing-comes-back', 'no-false-death'] as const;

/** Starts all, who then know each other. */
function begin(stage: Stage, within = SECOND): void {
  stage.start(within);
  stage.agree('the start', 15 * SECOND);
}

/** Two halves are cut from each other for long, both change, and are joined. */
function halves(stage: Stage, lasts: number, within: number): void {
  const { world, hosts } = stage;
  begin(stage);
  const left = stage.some(hosts.length / 2, hosts);
  const right = stage.but(...left);
  world.part(left, right);
  stage.run(lasts / 2);
  stage.agree('the left half', noticed(hosts.length), left);
  stage.agree('the right half', noticed(hosts.length), right);
  for (const half of [left, right]) for (const host of stage.some(4, half)) stage.change(host);
  stage.run(lasts / 2);
  world.heal();
  stage.agree('both halves again', within);
}

/** Every host is restarted, one after another. */
function rolling(stage: Stage, gap: number): void {
  begin(stage);
  for (const host of [...stage.hosts]) {
    if (stage.pick(2) === 0) host.stop();
    else host.kill();
    stage.run(100 + stage.random() * 1900);
    host.restart();
    stage.run(gap);
  }
  stage.agree('after all restarts', 15 * SECOND);
}

/** So many of all go in each minute, in one way or another, and as many come: the same again, or others. */
function churn(stage: Stage, share: number, lasts: number, within: number): void {
  begin(stage);
  const { world } = stage;
  const gone: Host[] = [];
  const end = world.now + lasts;
  const gap = MINUTE / (share * stage.hosts.length);
  while (world.now < end) {
    stage.run(gap * 2 * stage.random());
    const leaver = stage.one(stage.up);
    [() => leaver.stop(), () => leaver.kill(), () => leaver.vanish()][stage.pick(3)]();
    gone.push(leaver);
    if (stage.pick(2) === 0) stage.change(stage.one(stage.up));
    if (stage.pick(2) === 0 && gone.length > 1) gone.splice(stage.pick(gone.length), 1)[0].restart();
    else {
      const comer = stage.add();
      comer.start();
    }
  }
  stage.agree('the churn', within);
}

/** One-shots come and go, of which nobody else takes notice. */
function oneShots(stage: Stage, count: number, lasts: number): void {
  const { world, hosts } = stage;
  const sum = (of: (host: Host) => number): number => hosts.reduce((all, host) => all + of(host), 0);
  const notice = (): Record<string, number> => ({
    came: sum(({ came }) => came),
    left: sum(({ left }) => left),
    pulls: sum(({ pulls }) => pulls),
    dials: sum(({ dials }) => dials),
    changes: sum(({ changes }) => changes.length),
  });
  stage.rest(20 * SECOND);
  const quiet = sum(({ dials }) => dials);
  // Where datagrams are lost, some are dialled to see whether they are there, with one-shots and without.
  if (stage.isLarge) stage.run(lasts + 5 * SECOND);
  const before = notice();
  const usual = before.dials - quiet;
  let found = 0;
  for (let i = 0; i < count; i++) {
    world.after(stage.random() * lasts, () => {
      const shot = stage.add({ passive: true });
      shot.start();
      world.after(2000, () => {
        found += shot.gossip.peers().length / hosts.length;
        shot.kill();
      });
    });
  }
  stage.run(lasts + 5 * SECOND);
  for (const [what, count] of Object.entries(notice())) {
    // Of twenty, in one run of some fifty, one loses four heartbeats of another in a row, and dials it.
    const dials = stage.isLarge ? 10 + 2 * usual : 2;
    const most = before[what] + (what === 'dials' ? dials : 0);
    stage.expect(count <= most, `${count - before[what]} ${what} while one-shots came and went`);
  }
  stage.expect(found / count > 0.9, `one-shots found ${Math.round((100 * found) / count)} % of all`);
}

/** Laptops are closed for long, and opened again: what did not change is not fetched again. */
function sleepers(stage: Stage, lasts: number): void {
  begin(stage);
  stage.run(20 * SECOND);
  const asleep = stage.some(3, stage.hosts);
  const awake = stage.but(...asleep);
  for (const host of asleep) host.sleep(lasts, stage.pick(2) === 0 ? 'stands' : 'goes');
  stage.run(noticed(stage.hosts.length));
  for (const host of stage.some(3, awake)) stage.change(host, 2);
  stage.run(lasts - noticed(stage.hosts.length) - SECOND);
  const pulled = stage.pulledBytes;
  stage.run(SECOND);
  stage.agree('after the sleep', 30 * SECOND);
  // All of one host's offers are some 20 kB; there are thirty hosts.
  const bytes = stage.pulledBytes - pulled;
  stage.expect(bytes < 40_000, `${bytes} bytes of offers were fetched after a sleep`);
}

/** A writer that deleted more than tombstones are kept of, while others were away. */
function graves(stage: Stage, count: number): void {
  const [writer, ...others] = stage.hosts;
  const many = (from: number) => Array.from({ length: count }, (_, i) => stage.file(`${writer.name}/many ${from + i}`));
  writer.change(...many(0));
  begin(stage);
  const away = stage.some(2, others);
  stage.world.part(away, stage.but(...away));
  stage.run(40 * SECOND);
  writer.change(...many(0).map(({ path }) => ({ path, kind: 'removed' as const, size: 0, mtime: 0, id: null })));
  stage.agree('the deletion', 20 * SECOND, stage.but(...away));
  stage.world.heal();
  stage.agree('those who were away', 25 * SECOND);
  stage.run(30 * SECOND);
}

/** Many start; then what may happen to any network happens to them. */
function crowd(stage: Stage, spread: number, within: number): void {
  stage.start(spread);
  stage.agree('the start', within);
  // Of a thousand one loses, in one run of five, every telling and quick heartbeat of 15 s, and has to wait for the next idle one.
  const silence = noticed(stage.hosts.length, 0.3);
  stage.change(stage.one(stage.hosts));
  stage.agree('a change', Math.max(15 * SECOND, silence));
  const comer = stage.add();
  stage.newcomers.push(comer);
  comer.start();
  stage.agree('the newcomer', Math.max(30 * SECOND, silence));
  oneShots(stage, 5, 5 * SECOND);
  stage.one(stage.but(comer)).vanish();
  stage.agree('the death', noticed(stage.hosts.length, 0.3));
}

/** Something happens to one of the hosts, or to the network between them. */
function mishap(stage: Stage): void {
  const { world, hosts } = stage;
  const host = stage.one(hosts);
  const what = stage.pick(12);
  if (what < 6) stage.change(host);
  else if (what === 6 && host.isUp) host.kill();
  else if (what === 7 && host.isUp) host.stop();
  else if (what === 8 && host.isUp) host.vanish();
  else if (what === 9) world.part([host], stage.but(host));
  else if (what === 10) world.heal();
  else if (!host.isUp) host.restart();
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'calm',
    what: 'a change in a calm network is known to all at once',
    size: 'small',
    peers: 30,
    files: 10,
    network: { loss: 0.1, doubled: 0.02 },
    holds: [...ALWAYS, 'no-storm'],
    play(stage) {
      begin(stage);
      stage.run(10 * SECOND);
      for (let i = 0; i < 5; i++) {
        stage.change(stage.one(stage.hosts));
        stage.agree('a change', 3 * SECOND);
        stage.run(stage.random() * 3000);
      }
    },
  },
  {
    name: 'quiet',
    what: 'a network in which nothing happens costs next to nothing, and loses nobody',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.1 },
    holds: [...ALWAYS, 'budget'],
    play(stage) {
      begin(stage);
      stage.run(10 * SECOND);
      stage.rest(10 * MINUTE);
    },
  },
  {
    name: 'storm',
    what: 'fifty start within a second',
    size: 'small',
    peers: 50,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS, 'no-storm', 'budget'],
    play(stage) {
      begin(stage);
      stage.run(15 * SECOND);
      stage.rest(30 * SECOND);
    },
  },
  {
    name: 'boot',
    what: 'a lab of thirty is switched on at once',
    size: 'small',
    peers: 30,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS, 'no-storm'],
    play(stage) {
      begin(stage, 50);
      stage.run(15 * SECOND);
    },
  },
  {
    name: 'power',
    what: 'the power goes and comes back, for all at once',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS, 'no-storm'],
    play(stage) {
      begin(stage);
      stage.run(10 * SECOND);
      for (const host of stage.hosts) host.vanish();
      stage.run(SECOND + stage.random() * MINUTE);
      stage.start(100);
      stage.agree('the return of power', 15 * SECOND);
    },
  },
  {
    name: 'halves',
    isLong: true,
    what: 'two halves are cut from each other for an hour, both change, and are joined',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play: (stage) => halves(stage, HOUR, 20 * SECOND),
  },
  {
    name: 'rolling',
    what: 'all are restarted one after another',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play: (stage) => rolling(stage, SECOND),
  },
  {
    name: 'churn',
    what: 'a tenth go in each minute, in one way or another, and as many come',
    size: 'small',
    peers: 30,
    files: 10,
    network: { loss: 0.1, doubled: 0.05 },
    holds: [...ALWAYS],
    play: (stage) => churn(stage, 0.1, 5 * MINUTE, noticed(40, 0.1) + 5 * SECOND),
  },
  {
    name: 'one-shots',
    what: 'one-shots come and go, and nobody else takes notice',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play(stage) {
      begin(stage);
      oneShots(stage, 40, 40 * SECOND);
    },
  },
  {
    name: 'one-way',
    what: 'multicast that reaches some not, and that of some nobody',
    size: 'small',
    peers: 17,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play(stage) {
      // In half of the worlds their broadcasts pass, as those of the others do.
      const broadcast = stage.pick(2) === 0;
      for (const options of [{ deaf: true }, { deaf: true }, { mute: true }]) stage.add({ ...options, broadcast });
      stage.start(SECOND);
      stage.agree('the start', 40 * SECOND);
      stage.run(MINUTE);
      for (let i = 0; i < 4; i++) {
        stage.change(stage.one(stage.hosts));
        stage.agree('a change', 5 * SECOND);
      }
    },
  },
  {
    name: 'disorder',
    what: 'datagrams come late, twice and in any order',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.1, doubled: 0.3, latency: [0.2, 800] },
    holds: [...ALWAYS],
    play(stage) {
      stage.start(SECOND);
      stage.agree('the start', 30 * SECOND);
      for (let i = 0; i < 10; i++) {
        stage.change(stage.one(stage.hosts));
        stage.run(stage.random() * 2000);
      }
      stage.agree('the changes', 15 * SECOND);
    },
  },
  {
    name: 'nap',
    what: 'laptops sleep for ten minutes, and come back without fetching anew what did not change',
    size: 'small',
    peers: 20,
    files: 200,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play: (stage) => sleepers(stage, 10 * MINUTE),
  },
  {
    name: 'sleep',
    isLong: true,
    what: 'the same of two hours',
    size: 'small',
    peers: 20,
    files: 200,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play: (stage) => sleepers(stage, 2 * HOUR),
  },
  {
    name: 'busy',
    what: 'hosts that are held up for some seconds are not taken for gone, and take nobody for gone',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play(stage) {
      begin(stage);
      for (let i = 0; i < 10; i++) {
        // A death is to be noticed within 15 s: one who is silent for longer is as good as dead.
        stage.one(stage.hosts).busy(500 + stage.random() * 3500);
        stage.run(stage.random() * 10 * SECOND);
      }
      stage.run(20 * SECOND);
      stage.agree('all are awake', 10 * SECOND);
    },
  },
  {
    name: 'clocks',
    what: 'wrong clocks, by up to twenty years, some of which run fast or slow',
    size: 'small',
    peers: 0,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play(stage) {
      const years = 20 * 365 * 24 * HOUR;
      for (let i = 0; i < 20; i++) {
        const clock = { offset: stage.random() * years, drift: 0.98 + 0.04 * stage.random() };
        stage.add({ clock });
      }
      begin(stage);
      for (let i = 0; i < 6; i++) {
        stage.change(stage.one(stage.hosts));
        stage.run(stage.random() * 20 * SECOND);
        if (stage.pick(3) === 0) stage.one(stage.hosts).restart();
      }
      stage.agree('the changes', 15 * SECOND);
    },
  },
  {
    name: 'lost-state',
    what: 'peers whose stored epoch is lost begin again at 1, and what they deleted before stays deleted',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: [...ALWAYS],
    play(stage) {
      begin(stage);
      for (const host of stage.some(3, stage.hosts)) {
        for (let i = 0; i < 3; i++) {
          host.restart();
          stage.run(3 * SECOND);
        }
        const [path] = host.share.keys();
        host.change({ path, kind: 'removed', size: 0, mtime: 0, id: null });
        stage.agree('a deletion', 15 * SECOND);
        host.kill();
        stage.run(stage.random() * 20 * SECOND);
        host.restart(1);
        stage.run(SECOND);
      }
      stage.agree('the new beginnings', 40 * SECOND);
      stage.run(30 * SECOND);
    },
  },
  {
    name: 'big-change',
    what: 'one adds ten thousand files, and all have them soon, without a storm',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.05 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death', 'no-storm'],
    play(stage) {
      begin(stage);
      stage.run(10 * SECOND);
      const host = stage.one(stage.hosts);
      host.change(...Array.from({ length: 10_000 }, (_, i) => stage.file(`${host.name}/many/${i}`)));
      stage.agree('the change', 5 * SECOND);
    },
  },
  {
    name: 'newcomer',
    what: 'one comes to fifty, and has what all share, from few of them',
    size: 'small',
    peers: 49,
    files: 20,
    network: { loss: 0.05 },
    holds: [...ALWAYS, 'few-sources', 'no-storm'],
    play(stage) {
      begin(stage);
      stage.run(20 * SECOND);
      const comer = stage.add();
      stage.newcomers.push(comer);
      comer.start();
      stage.agree('the newcomer', 5 * SECOND);
    },
  },
  {
    name: 'killed',
    what: 'machines that lose their power are gone from all within 15 s',
    size: 'small',
    peers: 20,
    files: 10,
    network: { loss: 0.3 },
    holds: [...ALWAYS],
    play(stage) {
      stage.start(SECOND);
      stage.agree('the start', 30 * SECOND);
      for (let i = 0; i < 4; i++) {
        stage.run(stage.random() * 20 * SECOND);
        stage.one(stage.up).vanish();
        stage.agree('the death', noticed(20, 0.3));
      }
    },
  },
  {
    name: 'mishaps',
    what: 'whatever happens to six, some of whom may have no multicast, all agree again',
    size: 'small',
    peers: 4,
    files: 10,
    network: { loss: 0.1, doubled: 0.1, latency: [0.2, 60] },
    holds: ['converged', 'nothing-lost', 'nothing-comes-back'],
    play(stage) {
      const { world, hosts } = stage;
      const multicast = stage.pick(2) === 0;
      for (let i = 0; i < 2; i++) stage.add({ multicast });
      const join = (): void => {
        for (const host of hosts) if (!host.multicast) host.join(hosts[0]);
      };
      stage.start(0);
      join();
      for (let i = 0; i < 60; i++) {
        mishap(stage);
        stage.run(stage.random() ** 3 * 8000);
      }
      world.heal();
      stage.run(SECOND);
      stage.start(0);
      join();
      stage.agree('all is well again', 90 * SECOND);
    },
  },
  {
    name: 'graves',
    what: 'more is deleted than tombstones are kept of, while some are away',
    size: 'small',
    peers: 6,
    files: 5,
    network: { loss: 0.05 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death'],
    play: (stage) => graves(stage, 10_500),
  },
  {
    name: 'hundred',
    what: 'a hundred and twenty start within two seconds; a change, a newcomer, one-shots, a death, and quiet',
    size: 'large',
    peers: 120,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death', 'few-sources', 'no-storm', 'budget'],
    play: (stage) => crowd(stage, 2 * SECOND, 60 * SECOND),
  },
  {
    name: 'hundreds',
    what: 'two hundred start within two seconds; a change, a newcomer, one-shots, a death, and quiet',
    size: 'large',
    peers: 200,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death', 'few-sources', 'no-storm', 'budget'],
    play: (stage) => crowd(stage, 2 * SECOND, 60 * SECOND),
  },
  {
    name: 'thousand',
    what: 'the same of a thousand, who start within ten seconds',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death', 'few-sources', 'no-storm', 'budget'],
    play: (stage) => crowd(stage, 10 * SECOND, 90 * SECOND),
  },
  {
    name: 'thousand-boot',
    what: 'a thousand are switched on at once',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'no-false-death', 'no-storm'],
    play(stage) {
      stage.start(50);
      stage.agree('the boot', 120 * SECOND);
    },
  },
  {
    name: 'thousand-power',
    what: 'the power of a thousand goes and comes back',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'no-false-death'],
    play(stage) {
      stage.start(10 * SECOND);
      stage.agree('the start', 90 * SECOND);
      for (const host of stage.hosts) host.vanish();
      stage.run(5 * SECOND);
      stage.start(SECOND);
      stage.agree('the return of power', 120 * SECOND);
    },
  },
  {
    name: 'thousand-halves',
    what: 'two halves of a thousand are cut from each other for an hour, both change, and are joined',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death'],
    play(stage) {
      stage.start(10 * SECOND);
      stage.agree('the start', 90 * SECOND);
      const left = stage.some(500, stage.hosts);
      const right = stage.but(...left);
      stage.world.part(left, right);
      stage.run(HOUR);
      for (const half of [left, right]) for (const host of stage.some(20, half)) stage.change(host);
      stage.agree('the left half', noticed(1000, 0.3), left);
      stage.agree('the right half', noticed(1000, 0.3), right);
      stage.world.heal();
      stage.agree('both halves again', 2 * MINUTE);
    },
  },
  {
    name: 'thousand-rolling',
    what: 'a thousand are restarted one after another',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death'],
    play(stage) {
      stage.start(10 * SECOND);
      stage.agree('the start', 90 * SECOND);
      for (const host of stage.some(1000, stage.hosts)) {
        host.stop();
        stage.run(50 + stage.random() * 100);
        host.restart();
      }
      stage.agree('after all restarts', 90 * SECOND);
    },
  },
  {
    name: 'thousand-churn',
    what: 'a tenth of a thousand go in each minute, and as many come',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'nothing-comes-back', 'no-false-death'],
    play(stage) {
      churn(stage, 0.1, 2 * MINUTE, noticed(1000, 0.3) + 30 * SECOND);
    },
  },
  {
    name: 'thousand-big',
    what: 'one of a thousand adds ten thousand files: all have them soon, without a storm',
    size: 'large',
    peers: 1000,
    files: 100,
    network: { loss: 0.3 },
    holds: ['converged', 'no-false-death', 'no-storm'],
    play(stage) {
      stage.start(10 * SECOND);
      stage.agree('the start', 90 * SECOND);
      stage.run(20 * SECOND);
      const host = stage.one(stage.hosts);
      host.change(...Array.from({ length: 10_000 }, (_, i) => stage.file(`${host.name}/many/${i}`)));
      stage.agree('the change', 30 * SECOND);
    },
  },
];
