/**
 * Joins: hosts that a person named, by --join or in a config file, and the connections that are kept to them.
 *
 * Owns the attempts and the redialling. Always true: each host is dialled by one attempt at a time, whoever answers there, as
 * long as it is named; of one that the config file gives a name, a person is told once who else answers in its place. Called by
 * the driver of gossip, and by the peer where its settings change.
 */
import type { Millis } from '../clock.js';
import { type Endpoint, formatEndpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { printable } from '../names.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';

/**
 * Redialling: at first after so long, then doubled up to the second, so that who comes back has everyone again within 10 s;
 * where another runs with this id, that will not end soon.
 */
const REJOIN_FIRST: Millis = 1000;
const REJOIN_MAX: Millis = 4000;
const REJOIN_TAKEN: Millis = 30_000;

/** A host to be joined; `name` is who the config file says is there. */
export interface Joining extends Endpoint {
  name?: string;
}

export interface JoinsOptions {
  links: Pick<Links, 'dial'>;
  hosts: readonly Joining[];
  /** A host has answered. */
  onJoined(link: Link, endpoint: string): void;
  onWarning(code: string, message: string): void;
}

interface Join {
  host: Joining;
  /** Waits for its next attempt, which `go` makes at once. */
  wait: { timer: NodeJS.Timeout; go: () => void } | undefined;
  /** Who answered there last. */
  peer: PeerId | undefined;
  /** Whether it is named no more. */
  over: boolean;
}

export class Joins {
  readonly #options: JoinsOptions;
  readonly #joins = new Map<string, Join>();
  /** What is to be done when a link to a joined host has closed. */
  readonly #joined = new Map<Link, { host: Joining; again: () => void }>();
  #first = 0;
  #attempts = 0;
  #running = false;
  /** Hosts that have not answered yet, with why. */
  readonly unjoined = new Map<string, HearsayError>();

  constructor(options: JoinsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = true;
    this.set(this.#options.hosts);
  }

  stop(): void {
    this.#running = false;
    for (const join of this.#joins.values()) clearTimeout(join.wait?.timer);
  }

  /** From now on these hosts are named. A link to one that is named no more is kept only as long as it is used. */
  set(hosts: readonly Joining[]): void {
    const wanted = new Map(hosts.map((host) => [keyOf(host), host]));
    for (const [key, join] of this.#joins) {
      if (wanted.has(key)) continue;
      join.over = true;
      clearTimeout(join.wait?.timer);
      this.#joins.delete(key);
      this.unjoined.delete(formatEndpoint(join.host));
      for (const [link, { host }] of this.#joined) if (host === join.host) this.#joined.delete(link);
    }
    for (const [key, host] of wanted) if (!this.#joins.has(key)) this.#keep(key, host);
  }

  /** Whether a host is being dialled for the first time. */
  get joining(): boolean {
    return this.#first > 0;
  }

  /** Whether a host is being dialled. */
  get dialling(): boolean {
    return this.#attempts > 0;
  }

  /** Whether a link is to a host that is named. */
  has(link: Link): boolean {
    return this.#joined.has(link);
  }

  /** What the config file calls the peer that answered at a host; undefined where it does not name that one. */
  listedName(peer: PeerId): string | undefined {
    for (const join of this.#joins.values())
      if (join.peer === peer && join.host.name !== undefined) return join.host.name;
    return undefined;
  }

  closed(link: Link): void {
    const joined = this.#joined.get(link);
    this.#joined.delete(link);
    joined?.again();
  }

  /** Dials at once those that wait for their next attempt. */
  hurry(): void {
    for (const { wait } of [...this.#joins.values()]) wait?.go();
  }

  /** Keeps a link to a host, whoever answers there. */
  #keep(key: string, host: Joining): void {
    const join: Join = { host, wait: undefined, peer: undefined, over: false };
    this.#joins.set(key, join);
    let delay = REJOIN_FIRST;
    const again = () => {
      if (!this.#running || join.over) return;
      const go = () => {
        clearTimeout(timer);
        join.wait = undefined;
        attempt();
      };
      // Spread, so that those who lost one host do not come back as one.
      const timer = setTimeout(go, delay * (0.5 + Math.random() / 2));
      join.wait = { timer, go };
      delay = Math.min(REJOIN_MAX, delay * 2);
    };
    const name = formatEndpoint(host);
    this.unjoined.set(name, new HearsayError('unreachable', 'no answer yet'));
    this.#first++;
    let first = true;
    let told = false;
    /** @returns whether this was the first attempt */
    const tried = () => {
      const wasFirst = first;
      if (first) this.#first--;
      first = false;
      return wasFirst;
    };
    const attempt = () => {
      this.#attempts++;
      const dialled = this.#options.links.dial(host).finally(() => this.#attempts--);
      dialled.then(
        (link) => {
          tried();
          delay = REJOIN_FIRST;
          if (join.over) return;
          this.unjoined.delete(name);
          join.peer = link.peer;
          if (host.name !== undefined && !told && !isCalled(link, host.name)) {
            told = true;
            const other = `${printable(link.head.name)} (${link.peer})`;
            const message = `at ${name} the config file expects ${printable(host.name)}, and ${other} answers; it is joined all the same`;
            this.#options.onWarning('other-name', message);
          }
          if (link.open) {
            this.#joined.set(link, { host, again });
            this.#options.onJoined(link, name);
          } else again();
        },
        (thrown) => {
          const { code, message: said } = asHearsayError(thrown, 'unreachable');
          // Whoever tells of it names the host.
          const why = said.startsWith(`${name}: `) ? said.slice(name.length + 2) : said;
          const error = new HearsayError(code, why, { cause: thrown });
          const wasFirst = tried();
          if (join.over) return;
          if (wasFirst) {
            this.#options.onWarning(error.code, `${name} cannot be joined: ${why}; it is tried again and again`);
          }
          this.unjoined.set(name, error);
          if (error.code === 'id-taken') delay = REJOIN_TAKEN;
          again();
        },
      );
    };
    attempt();
  }
}

function keyOf(host: Joining): string {
  return JSON.stringify([host.name ?? null, formatEndpoint(host)]);
}

function isCalled({ head }: Link, name: string): boolean {
  return head.name.normalize('NFC') === name.normalize('NFC');
}
