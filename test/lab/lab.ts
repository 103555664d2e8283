/**
 * A LAN on one machine: hosts are network namespaces, each with a card eth0 on a bridge, which has a namespace of its
 * own, so that the machine's own network is not touched. No default route, no name server, IPv4 10.47.0.N/24 and IPv6
 * link-local addresses. Or several subnets 10.S.0.0/24, each with a bridge, joined by a router that passes on unicast only.
 * Owns the namespaces, what runs in them, and a temporary folder. Always true: after close() nothing of it is left; what
 * a killed run left behind is removed by the next. Needs root on Linux: see labReason(). Used by test/lab/*.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filter, ip, PREFIX, removeNamespace, SYSTEM, shell, sweep, tc } from './namespace.js';
import { LabProcess, type Output, type RunOptions } from './process.js';
import { gateway, Router, subnetAddress } from './router.js';

const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));

/** The subnet of hosts that name none: 10.47.0.0/24. */
const SUBNET = 47;

export interface LinkOptions {
  /** In which subnet 10.S.0.0/24 the host is, 1 to 46. Where hosts name one, a router joins them. */
  subnet?: number;
  /** On which LAN 10.L.0.0/24 it is instead, 48 to 99, which nothing joins to the others. */
  lan?: number;
  /** Mbit/s in each direction; none is as fast as the machine. */
  rate?: number;
  /** Percent of what comes in that is lost. */
  loss?: number;
  /** What is lost; default everything. Of TCP whole segments are lost, up to 64 KiB, as veth hands them over. */
  lossOf?: 'udp' | 'all';
}

let reason: string | null | undefined;

/** Why traffic cannot be captured here, or undefined where it can. */
export function captureReason(): string | undefined {
  const why = labReason();
  if (why) return why;
  return spawnSync('tshark', ['--version'], SYSTEM).status === 0 ? undefined : 'tshark is missing (Debian: tshark)';
}

/** Why there is no terminal here to type at, or undefined where there is. */
export function tmuxReason(): string | undefined {
  const why = labReason();
  if (why) return why;
  return spawnSync('tmux', ['-V'], SYSTEM).status === 0 ? undefined : 'tmux is missing (Debian: tmux)';
}

/** Why the lab cannot run here, or undefined where it can. */
export function labReason(): string | undefined {
  reason ??= findReason() ?? null;
  return reason ?? undefined;
}

function findReason(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  for (const [command, flag, pack] of [
    ['ip', '-V', 'iproute2'],
    ['tc', '-V', 'iproute2'],
    ['nft', '--version', 'nftables'],
  ]) {
    if (spawnSync(command, [flag], SYSTEM).status !== 0) return `${command} is missing (Debian: ${pack})`;
  }
  const name = `${PREFIX}-${process.pid}-${randomBytes(3).toString('hex')}-try`;
  const tried = [
    ['netns', 'add', name],
    ['-n', name, 'link', 'add', 'try0', 'type', 'veth', 'peer', 'name', 'try1'],
    ['-n', name, 'link', 'add', 'try2', 'type', 'bridge'],
  ].map((args) => spawnSync('ip', args, { ...SYSTEM, encoding: 'utf8' }));
  spawnSync('ip', ['netns', 'delete', name], SYSTEM);
  const failed = tried.find((result) => result.status !== 0);
  return failed && `no network namespaces here: ${failed.stderr.trim()}`;
}

export class Host {
  /** 1, 2, 3... */
  readonly number: number;
  /** IPv4 address. */
  readonly address: string;
  readonly namespace: string;
  /** A folder of its own, removed at the end. */
  readonly folder: string;
  readonly #subnet: number;
  readonly #bridge: string;
  readonly #port: string;
  readonly #processes = new Set<LabProcess>();

  constructor(number: number, subnet: number, namespace: string, bridge: string, folder: string) {
    this.number = number;
    this.namespace = namespace;
    this.folder = folder;
    this.address = subnetAddress(subnet, number);
    this.#subnet = subnet;
    this.#bridge = bridge;
    this.#port = `port${number}`;
  }

  /** Makes the namespace and plugs the card in. */
  async plug(link: LinkOptions): Promise<void> {
    const name = this.namespace;
    await mkdir(this.folder, { recursive: true });
    await ip('netns', 'add', name);
    await ip('-n', name, 'link', 'set', 'lo', 'up');
    const pair = ['link', 'add', this.#port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name];
    await ip('-n', this.#bridge, ...pair);
    // The check for duplicate IPv6 addresses takes a second or two and finds none here.
    await shell(name, 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad');
    await ip('-n', this.#bridge, 'link', 'set', this.#port, 'master', bridgeOf(this.#subnet), 'up');
    await ip('-n', name, 'address', 'add', `${this.address}/24`, 'dev', 'eth0');
    await ip('-n', name, 'link', 'set', 'eth0', 'up');
    // Ordinary hosts use cubic; a machine's own default may be another.
    const net = `${subnetAddress(this.#subnet, 0)}/24`;
    await ip('-n', name, 'route', 'replace', net, 'dev', 'eth0', 'src', this.address, 'congctl', 'cubic');
    if (link.subnet !== undefined) {
      await ip('-n', name, 'route', 'add', 'default', 'via', gateway(this.#subnet), 'congctl', 'cubic');
    }
    if (link.rate !== undefined) await this.rate(link.rate);
    if (link.loss !== undefined) await this.loss(link.loss, link.lossOf);
  }

  /**
   * Plugs in another card.
   * @param lan as in LinkOptions; left out, the LAN of hosts that name none
   * @param last the last byte of its address
   */
  async card(name: string, lan = SUBNET, last = this.number): Promise<void> {
    const [inside, port, bridge] = [this.namespace, `${this.#port}-${name}`, bridgeOf(lan)];
    await ip('-n', this.#bridge, 'link', 'add', port, 'type', 'veth', 'peer', 'name', name, 'netns', inside);
    await shell(inside, `echo 0 > /proc/sys/net/ipv6/conf/${name}/accept_dad`);
    await ip('-n', this.#bridge, 'link', 'set', port, 'master', bridge, 'up');
    await ip('-n', inside, 'address', 'add', `${subnetAddress(lan, last)}/24`, 'dev', name);
    await ip('-n', inside, 'link', 'set', name, 'up');
  }

  /** Runs ip in the host. */
  async ip(...args: string[]): Promise<void> {
    await ip('-n', this.namespace, ...args);
  }

  /** Runs a line of the shell in the host. */
  async shell(script: string): Promise<void> {
    await shell(this.namespace, script);
  }

  /** Drops what fits these words of nftables, coming in and going out. */
  async drop(...matches: string[]): Promise<void> {
    const lines = ['input', 'output'].flatMap((hook) => [
      `add chain inet lab ${hook} { type filter hook ${hook} priority 0; policy accept; }`,
      ...matches.map((match) => `add rule inet lab ${hook} ${match} drop`),
    ]);
    await filter(this.namespace, lines);
  }

  /** Sets the rate of the link, in both directions. @param mbit Mbit/s; undefined for as fast as it goes */
  async rate(mbit: number | undefined): Promise<void> {
    const ends = [
      [this.namespace, 'eth0'],
      [this.#bridge, this.#port],
    ];
    for (const [namespace, device] of ends) {
      const qdisc = ['-n', namespace, 'qdisc'];
      if (mbit === undefined) await tc(...qdisc, 'delete', 'dev', device, 'root').catch(() => {});
      else {
        // A burst of 4 ms and at least one large segment; a queue of 20 ms.
        const burst = Math.max(80_000, Math.ceil(mbit * 500));
        const shape = ['tbf', 'rate', `${mbit}mbit`, 'burst', `${burst}`, 'latency', '20ms'];
        await tc(...qdisc, 'replace', 'dev', device, 'root', ...shape);
      }
    }
  }

  /** Loses some of what comes in by the card. @param percent 0 to 100, in steps of 0.01; 0 for none */
  async loss(percent: number, of: 'udp' | 'all' = 'all'): Promise<void> {
    const match = of === 'udp' ? 'meta l4proto udp ' : '';
    const rule = `iifname "eth0" ${match}numgen random mod 10000 < ${Math.round(percent * 100)} drop`;
    const chain = 'add chain inet lab input { type filter hook input priority 0; policy accept; }';
    await filter(this.namespace, percent > 0 ? [chain, `add rule inet lab input ${rule}`] : []);
  }

  /** Pulls the cable. */
  async cut(): Promise<void> {
    await ip('-n', this.#bridge, 'link', 'set', this.#port, 'down');
  }

  /** Puts it in again. */
  async mend(): Promise<void> {
    await ip('-n', this.#bridge, 'link', 'set', this.#port, 'up');
  }

  /** Starts a program on this host, with a home folder of its own. It is killed at the end if it still runs. */
  exec(argv: readonly string[], options: RunOptions = {}): LabProcess {
    const started = new LabProcess(
      'ip',
      ['netns', 'exec', this.namespace, ...argv],
      { cwd: options.cwd ?? this.folder, env: { ...SYSTEM.env, HOME: this.folder, ...options.env } },
      `host ${this.number}: ${argv.join(' ')}`,
    );
    this.#processes.add(started);
    void started.exited.then(() => this.#processes.delete(started));
    return started;
  }

  /**
   * Starts hearsay on this host.
   * @param options `state`: the name of the state folder, for a second peer of the same host
   */
  hearsay(args: readonly string[], options: RunOptions & { state?: string } = {}): LabProcess {
    const env = { HEARSAY_STATE: this.state(options.state), ...options.env };
    return this.exec([process.execPath, PROGRAM, ...args], { ...options, env });
  }

  /** The path of a state folder. */
  state(name = 'state'): string {
    return join(this.folder, name);
  }

  /** Runs a program to its end. @throws Error when it has not ended after `ms` */
  async run(argv: readonly string[], ms = 30_000, options: RunOptions = {}): Promise<Output> {
    return finish(this.exec(argv, options), ms);
  }

  /** Runs a command of hearsay to its end. @throws Error when it has not ended after `ms` */
  async runHearsay(
    args: readonly string[],
    ms = 30_000,
    options: RunOptions & { state?: string } = {},
  ): Promise<Output> {
    return finish(this.hearsay(args, options), ms);
  }

  /** Ends what runs here, and the host. */
  async remove(): Promise<void> {
    const running = [...this.#processes];
    for (const one of running) one.kill('SIGKILL');
    await removeNamespace(this.namespace);
    await Promise.all(running.map((one) => one.exited));
  }
}

const netOf = ({ subnet, lan }: LinkOptions) => lan ?? subnet ?? SUBNET;
const bridgeOf = (subnet: number) => `bridge${subnet === SUBNET ? 0 : subnet}`;

async function finish(started: LabProcess, ms: number): Promise<Output> {
  try {
    const { code } = await started.waitForExit(ms);
    return { code, stdout: started.stdout, stderr: started.stderr };
  } finally {
    started.kill('SIGKILL');
  }
}

export class Lab {
  readonly hosts: readonly Host[];
  /** A folder for what hosts share in a test, removed at the end. */
  readonly folder: string;
  readonly #router: Router | undefined;
  readonly #bridge: string;
  readonly #onBridge: LabProcess[] = [];

  private constructor(hosts: readonly Host[], router: Router | undefined, bridge: string, folder: string) {
    this.hosts = hosts;
    this.folder = folder;
    this.#router = router;
    this.#bridge = bridge;
  }

  /** What joins the subnets. @throws Error where no host names a subnet */
  get router(): Router {
    if (!this.#router) throw new Error('a lab of one LAN has no router');
    return this.#router;
  }

  /**
   * Makes a LAN.
   * @param links one for each host; or how many hosts, with ordinary links
   * @throws Error where labReason() says why not
   */
  static async open(links: number | readonly LinkOptions[]): Promise<Lab> {
    const why = labReason();
    if (why) throw new Error(why);
    await sweep();
    const all = typeof links === 'number' ? new Array<LinkOptions>(links).fill({}) : links;
    const id = `${PREFIX}-${process.pid}-${randomBytes(3).toString('hex')}`;
    const bridge = `${id}-bridge`;
    const folder = await mkdtemp(join(tmpdir(), `${PREFIX}-${process.pid}-`));
    const subnets = [...new Set(all.map(netOf))];
    const isRouted = all.some(({ subnet }) => subnet !== undefined);
    const router = isRouted ? new Router(`${id}-router`, bridge, subnets) : undefined;
    const hosts = all.map((link, i) => {
      return new Host(i + 1, netOf(link), `${id}-${i + 1}`, bridge, join(folder, `host${i + 1}`));
    });
    const lab = new Lab(hosts, router, bridge, folder);
    try {
      await ip('netns', 'add', bridge);
      for (const subnet of subnets) {
        await ip('-n', bridge, 'link', 'add', bridgeOf(subnet), 'type', 'bridge', 'mcast_snooping', '0');
        await ip('-n', bridge, 'link', 'set', bridgeOf(subnet), 'up');
      }
      await router?.plug(bridgeOf);
      for (const [i, host] of hosts.entries()) await host.plug(all[i]);
    } catch (thrown) {
      await lab.close();
      throw thrown;
    }
    return lab;
  }

  /** Starts a program where the bridge is, which sees what all hosts send each other. It is killed at the end if it still runs. */
  onBridge(argv: readonly string[]): LabProcess {
    const all = ['netns', 'exec', this.#bridge, ...argv];
    const started = new LabProcess('ip', all, { cwd: this.folder, env: SYSTEM.env }, `bridge: ${argv.join(' ')}`);
    this.#onBridge.push(started);
    return started;
  }

  /** Removes everything. */
  async close(): Promise<void> {
    for (const started of this.#onBridge) started.kill('SIGKILL');
    await Promise.all(this.hosts.map((host) => host.remove()));
    await this.#router?.remove();
    await removeNamespace(this.#bridge);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
