/** `hearsay daemon` as a person types it, on a state folder of a test. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectControl } from '../../lib/daemon/control-client.js';
import { LabProcess } from '../lab/process.js';
import { CHILD_MS } from './child.js';
import { type Lan, LOOPBACK, NO_CONFIG } from './lan.js';

export const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));

export interface Typed {
  code: number;
  out: string;
  err: string;
  /** What it printed, where that is one JSON document. */
  json<T = Record<string, unknown>>(): T;
}

/** One state folder, and what runs there; ended with the test. */
export class Home {
  readonly lan: Lan;
  readonly state: string;
  readonly cwd: string;
  /** Read in place of the machine's own. */
  config = NO_CONFIG;
  env: Record<string, string> = {};

  private constructor(lan: Lan, folder: string) {
    this.lan = lan;
    this.cwd = folder;
    this.state = join(folder, 'state');
  }

  static async make(lan: Lan): Promise<Home> {
    const home = new Home(lan, await lan.fresh('home'));
    lan.context.teardown(async () => {
      const client = await connectControl(home.state).catch(() => undefined);
      // Only what proved to be the peer of this folder.
      if (client && client.pid !== process.pid) process.kill(client.pid, 'SIGKILL');
      client?.close();
    });
    return home;
  }

  /** Options that keep a peer among those of the test. */
  get near(): string[] {
    return ['--port', '0', '--multicast', this.lan.group, '--interface', LOOPBACK];
  }

  /** Begins a command in the folder `cwd`. */
  begin(...args: string[]): LabProcess {
    const words = [PROGRAM, ...args, '--state', this.state, '--config', this.config];
    const env = { ...process.env, ...this.env } as Record<string, string>;
    // To say what was covered takes as long as most commands do; of those that are asked again and again it is known.
    // Left out, Node would hand its own on.
    if (args[0] !== 'daemon') env.NODE_V8_COVERAGE = '';
    const child = new LabProcess(process.execPath, words, { env, cwd: this.cwd }, args.join(' '));
    this.lan.context.teardown(async () => {
      child.kill('SIGKILL');
      await child.exited;
    });
    return child;
  }

  async type(...args: string[]): Promise<Typed> {
    const child = this.begin(...args);
    const { code } = await child.waitForExit(2 * CHILD_MS);
    await child.exited;
    const out = child.stdout.join('\n');
    return { code, out, err: child.stderr.join('\n'), json: <T>() => JSON.parse(out) as T };
  }

  /** Starts a daemon; says which process it is. */
  async start(...args: string[]): Promise<{ id: string; pid: number; port: number; name: string; already?: boolean }> {
    const typed = await this.type('daemon', 'start', ...args, ...this.near, '--json');
    if (typed.code !== 0) throw new Error(`daemon start: ${typed.code} ${typed.out} ${typed.err}`);
    return typed.json();
  }
}
