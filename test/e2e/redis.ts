/**
 * A Redis, or a Valkey, of a test's own: on a port and in a folder that nobody else has, in memory only.
 * Owns its process, which it ends by its id. Always true: after the test nothing of it is left. Where neither is installed the
 * test says so and passes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Redis, redisPlace } from '../../lib/net/redis.js';
import type { Reply } from '../../lib/net/resp.js';
import { LabProcess } from '../lab/process.js';
import { until } from './lan.js';

/** What ends with a test, or with all of a file. */
export interface Ending {
  teardown(end: () => Promise<void>): void;
}

/** HEARSAY_TEST_REDIS names another program than these. */
const PROGRAMS = process.env.HEARSAY_TEST_REDIS ? [process.env.HEARSAY_TEST_REDIS] : ['redis-server', 'valkey-server'];
const program = PROGRAMS.find((program) => spawnSync(program, ['--version']).status === 0);

/** Why there can be no Redis here, or undefined where there can. */
export const redisReason = program ? undefined : 'redis-server is missing (Debian: redis-server)';

/** A test that needs a Redis. */
export function redisTest(title: string, body: (t: ExecutionContext, server: RedisServer) => Promise<void>): void {
  test.serial(title, async (t) => {
    if (redisReason) {
      t.log(`skipped: ${redisReason}`);
      t.pass();
      return;
    }
    await body(t, await RedisServer.start(t));
  });
}

/** A TCP port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address ? address.port : 0;
}

export class RedisServer {
  readonly port: number;
  readonly #folder: string;
  readonly #more: string[];
  #process: LabProcess | undefined;

  /** @param more options of the program */
  static async start(t: Ending, ...more: string[]): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'hearsay-redis-'));
    const server = new RedisServer(await freePort(), folder, more);
    t.teardown(async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    });
    await server.restart();
    return server;
  }

  private constructor(port: number, folder: string, more: string[]) {
    this.port = port;
    this.#folder = folder;
    this.#more = more;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, empty, where it does not run. */
  async restart(): Promise<void> {
    if (this.#process?.running) return;
    const args = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', ...this.#more];
    const started = new LabProcess(program as string, args, {}, 'redis-server');
    this.#process = started;
    const isReady = () => started.stdout.some((line) => line.includes('Ready to accept connections'));
    await until(() => isReady() || !started.running, 'Redis accepts connections');
    if (!isReady()) throw new Error(`Redis did not start: ${started.stdout.slice(-5).join('\n')}`);
  }

  /** Kills it: what it had is lost. */
  async stop(): Promise<void> {
    // A stopped process does not see its signal before it goes on.
    this.#process?.kill('SIGKILL');
    await this.#process?.exited;
  }

  /** It hangs, its connections open, until it goes `on`. */
  hang(): void {
    this.#process?.kill('SIGSTOP');
  }

  on(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Runs commands as anybody could. */
  async run(...commands: (string | Uint8Array)[][]): Promise<Reply[]> {
    const redis = await Redis.connect(redisPlace(this.url), new AbortController().signal, () => {});
    try {
      return await Promise.all(commands.map((words) => redis.command(words)));
    } finally {
      redis.close();
    }
  }

  /** Names of all keys. */
  async keys(): Promise<string[]> {
    const [keys] = await this.run(['KEYS', '*']);
    return Array.isArray(keys) ? keys.map(String).sort() : [];
  }
}
