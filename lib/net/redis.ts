/**
 * One connection to a Redis, or a Valkey: commands out, replies in, in their order.
 *
 * Owns its socket. Always true: once it failed, every command that waits has failed too, and so does each later one; what
 * comes is bounded (ReplyReader). No error names a password. Called by RedisStore.
 *
 * A client of our own, as those on npm gather a reply whole, whatever its size.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { formatEndpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { printable } from '../names.js';
import { Refusal, type Reply, ReplyReader, request } from './resp.js';

/** Where a Redis is, and as whom to speak to it. */
export interface RedisPlace {
  host: string;
  port: number;
  tls: boolean;
  user: string;
  password: string;
  database: number;
}

/** How long connecting, or the answer to a command that does not wait, may take, ms. */
const ANSWER_MS = 5000;

/**
 * Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`; `rediss://` is the same under TLS.
 * @throws HearsayError `usage`, which does not repeat the URL: there may be a password in it
 */
export function redisPlace(url: string): RedisPlace {
  const wrong = new HearsayError('usage', 'the tracker store is a URL like redis://HOST:6379/0');
  if (!/^rediss?:\/\//i.test(url) || !URL.canParse(url)) throw wrong;
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  const database = /^\/?(\d{0,4})$/.exec(pathname)?.[1];
  if (hostname === '' || database === undefined) throw wrong;
  try {
    return {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? 6379 : Number(port),
      tls: protocol === 'rediss:',
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      database: Number(database),
    };
  } catch {
    throw wrong;
  }
}

/** A place as people may see it: no user, no password. */
export function formatRedis(place: RedisPlace): string {
  const database = place.database === 0 ? '' : `/${place.database}`;
  return `${place.tls ? 'rediss' : 'redis'}://${formatEndpoint(place)}${database}`;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: HearsayError): void;
  timer: NodeJS.Timeout;
}

export class Redis {
  readonly #socket: Socket;
  /** Commands without their answers, the oldest first. */
  readonly #waiting: Waiting[] = [];
  readonly #onEnd: (why: HearsayError) => void;
  #failed: HearsayError | undefined;

  /**
   * Connects, says who it is, and chooses the database.
   * @param signal ends it, and the attempt
   * @param onEnd told once that it ended, after it was connected
   * @throws HearsayError `unreachable`, `refused` (a password), `timeout`, `bad-message`
   */
  static async connect(place: RedisPlace, signal: AbortSignal, onEnd: (why: HearsayError) => void): Promise<Redis> {
    const socket = await opened(place, signal);
    let open = false;
    const abort = () => redis.close();
    const redis = new Redis(socket, (why) => {
      signal.removeEventListener('abort', abort);
      if (open) onEnd(why);
    });
    signal.addEventListener('abort', abort);
    if (signal.aborted) redis.close();
    try {
      const { user, password, database } = place;
      if (password !== '') await redis.command(user === '' ? ['AUTH', password] : ['AUTH', user, password]);
      if (database !== 0) await redis.command(['SELECT', `${database}`]);
      await redis.command(['PING']);
    } catch (thrown) {
      redis.close();
      throw thrown;
    }
    open = true;
    return redis;
  }

  private constructor(socket: Socket, onEnd: (why: HearsayError) => void) {
    this.#socket = socket;
    this.#onEnd = onEnd;
    const reader = new ReplyReader((reply) => {
      const first = this.#waiting.shift();
      if (!first) throw new HearsayError('bad-message', 'a reply that nobody asked for');
      clearTimeout(first.timer);
      first.resolve(reply);
    });
    socket.on('data', (data: Buffer) => {
      if (this.#failed) return;
      try {
        reader.push(data);
      } catch (thrown) {
        this.#fail(asHearsayError(thrown));
      }
    });
    socket.on('error', (error) => this.#fail(new HearsayError('unreachable', said(error))));
    socket.on('close', () => this.#fail(new HearsayError('unreachable', 'the connection ended')));
  }

  /**
   * Sends a command; several may be under way.
   * @param wait ms that the command itself may wait
   * @throws HearsayError `refused` where it was answered with an error; `unreachable`, `timeout`, `bad-message` where the
   *   connection failed
   */
  async command(words: readonly (string | Uint8Array)[], wait = 0): Promise<Reply> {
    const reply = await this.ask(words, wait);
    if (reply instanceof Refusal) throw new HearsayError('refused', `${words[0]}: ${printable(reply.message)}`);
    return reply;
  }

  /** The same, with a refusal as a value. */
  ask(words: readonly (string | Uint8Array)[], wait = 0): Promise<Reply> {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(new HearsayError('timeout', 'no answer')), ANSWER_MS + wait);
      this.#waiting.push({ resolve, reject, timer });
      this.#socket.write(request(words));
    });
  }

  close(): void {
    this.#fail(new HearsayError('unreachable', 'the connection was closed'));
  }

  #fail(why: HearsayError): void {
    if (this.#failed) return;
    this.#failed = why;
    this.#socket.destroy();
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(why);
    }
    this.#onEnd(why);
  }
}

/** What a system's error says; a name with several addresses fails with one for each. */
function said(error: Error): string {
  const { message, code, errors } = error as NodeJS.ErrnoException & { errors?: Error[] };
  return message || errors?.map((e) => e.message).join(', ') || code || 'the connection failed';
}

function opened({ host, port, tls }: RedisPlace, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tls
      ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }) })
      : connectTcp({ host, port, noDelay: true });
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: HearsayError) => {
      end();
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onAbort = () => fail(new HearsayError('interrupted', 'given up'));
    const onError = (error: Error) => fail(new HearsayError('unreachable', said(error)));
    const timer = setTimeout(() => fail(new HearsayError('timeout', 'no answer')), ANSWER_MS);
    signal.addEventListener('abort', onAbort);
    socket.once('error', onError);
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      end();
      socket.off('error', onError);
      socket.setKeepAlive(true, 10_000);
      resolve(socket);
    });
    if (signal.aborted) onAbort();
  });
}
