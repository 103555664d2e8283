/**
 * The stage of a scenario: a world with its hosts, what a play may do with them, and the invariants that watch.
 * Owns which hosts belong to the network for good, and how long agreeing took. Always true: what fails, fails with an error.
 * Called by the plays of scenarios.
 */
import type { Random } from '../../lib/clock.js';
import type { Offer } from '../../lib/offer.js';
import { Host, type HostOptions } from './host.js';
import { disagreement } from './invariants.js';
import { file, files, removed } from './share.js';
import { World, type WorldOptions } from './world.js';

export interface StageOptions extends WorldOptions {
  peers: number;
  files: number;
}

export class Stage {
  readonly world: World;
  readonly random: Random;
  /** Those that the scenario began with, and those that came for good. */
  readonly hosts: Host[] = [];
  /** How long each agreeing took, ms. */
  readonly took: { what: string; ms: number }[] = [];
  /** Bytes a second of all datagrams, each time that it was quiet. */
  readonly quiet: number[] = [];
  /** Newcomers, who should not ask many. */
  readonly newcomers: Host[] = [];
  readonly isLarge: boolean;
  readonly #files: number;
  #content = 0;

  constructor(options: StageOptions) {
    this.world = new World({ record: false, shared: true, ...options });
    this.random = this.world.random;
    this.isLarge = this.world.isLarge;
    this.#files = options.files;
    for (let i = 0; i < options.peers; i++) this.add();
  }

  /** One more host that shares as many files as all, not started. */
  add(options: HostOptions = {}, count = this.#files): Host {
    const host = new Host(this.world, options);
    if (!host.passive) {
      this.hosts.push(host);
      if (count > 0) host.change(...files(host.name, count));
    }
    return host;
  }

  /** Takes a host out for good. */
  remove(host: Host): void {
    this.hosts.splice(this.hosts.indexOf(host), 1);
  }

  /** Starts all that are not up, spread over some time. */
  start(within: number, hosts: readonly Host[] = this.hosts): void {
    for (const host of hosts) {
      this.world.after(this.random() * within, () => {
        if (host.isUp) return;
        if (host.upSince === Number.NEGATIVE_INFINITY) host.start();
        else host.restart();
      });
    }
    this.run(within);
  }

  run(milliseconds: number): void {
    this.world.run(milliseconds);
    if (this.world.wrong) throw new Error(this.world.wrong);
  }

  /** A number from 0 on, below some other. */
  pick(below: number): number {
    return Math.floor(this.random() * below);
  }

  one<T>(of: readonly T[]): T {
    return of[this.pick(of.length)];
  }

  /** Some of them, each once. */
  some<T>(count: number, of: readonly T[]): T[] {
    const rest = [...of];
    return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(this.pick(rest.length), 1)[0]);
  }

  but(...without: Host[]): Host[] {
    return this.hosts.filter((host) => !without.includes(host));
  }

  get up(): Host[] {
    return this.hosts.filter((host) => host.isUp);
  }

  /** A new file. */
  file(path: string): Omit<Offer, 'version'> {
    return file(path, `content ${this.#content++}`);
  }

  /** Adds, changes and removes some files of a host. */
  change(host: Host, most = 8): void {
    const changes = Array.from({ length: 1 + this.pick(most) }, () => {
      const path = `${host.name}/file ${this.pick(2 * this.#files + 10)}.txt`;
      if (host.share.has(path) && this.pick(3) === 0) return removed(path);
      return this.file(path);
    });
    // A path once, as a share is scanned.
    host.change(...new Map(changes.map((change) => [change.path, change])).values());
  }

  /** Runs until all hosts that are up agree. @throws Error where they do not in time */
  agree(what: string, within: number, hosts: readonly Host[] = this.up): number {
    const { world } = this;
    const ms = world.runUntil(
      () => !!world.wrong || disagreement(hosts) === undefined,
      within,
      this.isLarge ? 200 : 50,
    );
    if (world.wrong) throw new Error(world.wrong);
    if (ms === undefined) {
      throw new Error(`at ${this.at} ms: ${what}: not within ${within} ms: ${disagreement(hosts)}`);
    }
    this.took.push({ what, ms });
    if (hosts.length === this.up.length) world.agreed();
    this.world.trace?.(`${what}: agreed after ${Math.round(ms)} ms`);
    return ms;
  }

  /** What has to be so. */
  expect(holds: boolean, what: string): void {
    if (!holds) throw new Error(`at ${this.at} ms: ${what}`);
  }

  get at(): number {
    return Math.round(this.world.now - this.world.begin);
  }

  /** Lets a quiet time pass, and measures what the network costs meanwhile. */
  rest(milliseconds: number): void {
    const before = this.world.datagramBytes;
    this.run(milliseconds);
    this.quiet.push((this.world.datagramBytes - before) / (milliseconds / 1000));
  }

  /** Bytes of offers that crossed connections so far. */
  get pulledBytes(): number {
    return this.world.streamed.get('D')?.bytes ?? 0;
  }
}
