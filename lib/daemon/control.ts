/**
 * The control socket's server: lets commands of the same user ask the running peer.
 * Owns the socket, the card in the state folder and the connections. Always true: a connection that has not proved the
 * token gets nothing but a hello; what a connection began ends with it, but for what the peer keeps. Called by whoever starts a long-lived peer.
 */
import { randomBytes } from 'node:crypto';
import { chmod, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { Api, FileRow, FollowEvent, ListingPart } from '../api.js';
import { DETACHED } from '../detached.js';
import { HearsayError, reasonOf } from '../errors.js';
import {
  CONTROL_CONNECTIONS_MAX,
  CONTROL_CREDIT,
  CONTROL_FRAME_MAX,
  CONTROL_REQUESTS_MAX,
  HANDSHAKE_MS,
} from '../limits.js';
import { Channel } from './channel.js';
import { type Card, removeCard, socketPath, writeCard } from './place.js';
import {
  clientMessage,
  errorBody,
  hello,
  listingTexts,
  parts,
  pieces,
  prove,
  proves,
  type Request,
  type Runs,
  readHello,
} from './protocol.js';

export interface ControlOptions {
  /** The state folder, which exists. */
  state: string;
  api: Api;
  /** How it runs; left out, in the foreground. */
  runs?: Runs;
  /** Called when a command asks it to end, after that was answered; left out, it is refused. */
  onStop?(): void;
}

export interface Control {
  /** Where it listens. */
  readonly path: string;
  /** Stops listening, ends every connection and takes the card away. */
  close(): Promise<void>;
}

/**
 * Opens the control socket of a state folder. The caller holds the state folder's lock, so there is one at a time.
 * @throws HearsayError `state-in-use` where another peer answers there, `not-private`, `not-writable`
 */
export async function serveControl(options: ControlOptions): Promise<Control> {
  const path = await socketPath(options.state);
  const card: Card = { path, token: randomBytes(32).toString('hex'), pid: process.pid };
  const callers = new Set<Caller>();
  const server = createServer((socket) => {
    if (callers.size >= CONTROL_CONNECTIONS_MAX) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const caller: Caller = new Caller(socket, card.token, options, () => callers.delete(caller));
    callers.add(caller);
  });
  await clearStale(path);
  await listen(server, path);
  try {
    // The folder keeps others out already; this is for whoever moves the socket.
    if (process.platform !== 'win32') await chmod(path, 0o600);
    await writeCard(options.state, card);
  } catch (error) {
    server.close();
    throw error;
  }
  return {
    path,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const caller of callers) caller.close();
      await removeCard(options.state, card);
      await closed;
    },
  };
}

/** Takes away the socket file of a peer that was killed; one that answers is left alone. */
async function clearStale(path: string): Promise<void> {
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  // We hold the state folder, so it is no peer of this one.
  if (answered) {
    throw new HearsayError(
      'state-in-use',
      `something listens on the control socket ${path}: a hearsay whose state folder was taken away, or another program; end it first`,
    );
  }
  if (process.platform === 'win32') return;
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw new HearsayError('not-writable', `the old control socket: ${reasonOf(error)}`);
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EADDRINUSE' ? 'state-in-use' : 'not-writable';
      reject(new HearsayError(code, `the control socket ${path}: ${reasonOf(error)}`, { cause: error }));
    });
    server.listen(path, resolve);
  });
}

/** How many more events a client takes; the sender waits at none. */
class Credit {
  #left = CONTROL_CREDIT;
  #wake: (() => void) | undefined;

  add(count: number): void {
    this.#left = Math.min(this.#left + count, CONTROL_CREDIT);
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Takes one when there is one, or when there is nobody left to wait for. */
  async take(open: { dropped: boolean }): Promise<void> {
    while (this.#left === 0 && !open.dropped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#left--;
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** A request that is being answered. */
class Open {
  /** Aborted when it is to stop. */
  readonly abort = new AbortController();
  readonly credit = new Credit();
  /** Nobody takes its answer any more. */
  dropped = false;

  drop(): void {
    this.dropped = true;
    this.abort.abort(DETACHED);
    this.credit.wake();
  }
}

function* rowPieces(rows: FileRow[]): Generator<FileRow> {
  for (const row of rows) yield* pieces(row);
}

async function* eventPieces(events: AsyncIterable<FollowEvent>): AsyncGenerator<FollowEvent> {
  for await (const event of events) yield* pieces(event);
}

/** One command's connection. */
class Caller {
  readonly #channel: Channel;
  readonly #token: string;
  readonly #options: ControlOptions;
  readonly #api: Api;
  readonly #nonce = randomBytes(16).toString('hex');
  readonly #open = new Map<number, Open>();
  #proved = false;

  constructor(socket: Socket, token: string, options: ControlOptions, onClose: () => void) {
    this.#token = token;
    this.#options = options;
    this.#api = options.api;
    const late = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    this.#channel = new Channel(socket, {
      onMessage: (message) => {
        if (this.#proved) this.#take(message);
        else {
          this.#welcome(message);
          clearTimeout(late);
        }
      },
      onClose: () => {
        clearTimeout(late);
        for (const open of this.#open.values()) open.drop();
        onClose();
      },
    });
    void this.#channel.send(hello(this.#nonce));
  }

  close(): void {
    this.#channel.close();
  }

  #welcome(message: Record<string, unknown>): void {
    const theirs = readHello(message, 'command');
    if (!proves(theirs.proof, this.#token, 'client', this.#nonce, theirs.nonce)) {
      throw new HearsayError('refused', 'the command does not know the token in the state folder');
    }
    this.#proved = true;
    this.#channel.limit = CONTROL_FRAME_MAX;
    const { runs = 'foreground' } = this.#options;
    const proof = prove(this.#token, 'server', this.#nonce, theirs.nonce);
    void this.#channel.send({ proof, pid: process.pid, runs });
  }

  #take(message: Record<string, unknown>): void {
    const read = clientMessage.safeParse(message);
    if (!read.success) {
      const said = read.error.issues[0];
      throw new HearsayError('bad-message', `a control request: ${said?.path.join('.')} ${said?.message}`);
    }
    const request = read.data;
    if ('cancel' in request) this.#open.get(request.n)?.abort.abort();
    else if ('drop' in request) this.#open.get(request.n)?.drop();
    else if ('credit' in request) this.#open.get(request.n)?.credit.add(request.credit);
    else if (this.#open.has(request.n)) throw new HearsayError('bad-message', `request ${request.n} is open already`);
    else void this.#answer(request);
  }

  async #answer(request: Request): Promise<void> {
    const { n } = request;
    if (this.#open.size >= CONTROL_REQUESTS_MAX) {
      await this.#channel.send({ n, error: { code: 'limit', message: 'too many requests at once' } });
      return;
    }
    const open = new Open();
    this.#open.set(n, open);
    try {
      await this.#perform(request, open);
    } catch (error) {
      await this.#channel.send({ n, error: errorBody(error) });
    } finally {
      this.#open.delete(n);
    }
  }

  async #perform(request: Request, open: Open): Promise<void> {
    const { n } = request;
    const { signal } = open.abort;
    switch (request.method) {
      case 'list': {
        const { files, away } = await this.#api.list(request.params);
        await this.#parts(n, 'files', rowPieces(files));
        return this.#channel.send({ n, result: { away } });
      }
      case 'sources': {
        const { what, from } = request.params;
        await this.#parts(n, 'files', await this.#api.sources(what, from));
        return this.#channel.send({ n, result: {} });
      }
      case 'peers': {
        await this.#parts(n, 'peers', await this.#api.peers());
        return this.#channel.send({ n, result: {} });
      }
      case 'forget':
        return this.#channel.send({ n, result: await this.#api.forget(request.params.peer) });
      case 'below': {
        await this.#parts(n, 'rows', await this.#api.below(request.params));
        return this.#channel.send({ n, result: {} });
      }
      case 'status': {
        const { shares, transfers, ...result } = await this.#api.status();
        await this.#parts(n, 'shares', shares);
        await this.#parts(n, 'transfers', transfers);
        return this.#channel.send({ n, result });
      }
      case 'add': {
        await this.#parts(n, 'rows', await this.#api.add(request.params));
        return this.#channel.send({ n, result: {} });
      }
      case 'remove': {
        await this.#parts(n, 'rows', await this.#api.remove(request.params));
        return this.#channel.send({ n, result: {} });
      }
      case 'served': {
        await this.#parts(n, 'rows', await this.#api.served());
        return this.#channel.send({ n, result: {} });
      }
      case 'steer': {
        await this.#parts(n, 'rows', await this.#api.steer(request.params));
        return this.#channel.send({ n, result: {} });
      }
      case 'inbox': {
        await this.#parts(n, 'rows', await this.#api.inbox());
        return this.#channel.send({ n, result: {} });
      }
      case 'answer': {
        await this.#parts(n, 'rows', await this.#api.answer(request.params));
        return this.#channel.send({ n, result: {} });
      }
      case 'refresh':
        return this.#channel.send({ n, result: await this.#api.refresh() });
      case 'send':
        return this.#stream(n, open, this.#api.send(request.params, signal));
      case 'events':
        return this.#stream(n, open, this.#api.events(signal));
      case 'doctor':
        return this.#channel.send({ n, result: await this.#api.doctor() });
      case 'listing':
        return this.#listing(n, open, this.#api.listing(request.params, signal));
      case 'follow':
        return this.#stream(n, open, eventPieces(this.#api.follow(request.params, signal)));
      case 'get':
        return this.#stream(n, open, this.#api.get(request.params, signal));
      case 'trace':
        return this.#stream(n, open, this.#api.trace(signal));
      case 'stop': {
        const { onStop } = this.#options;
        if (!onStop) throw new HearsayError('refused', 'this peer runs in the foreground: Ctrl-C there ends it');
        await this.#channel.send({ n, result: {} });
        return onStop();
      }
    }
  }

  async #parts(n: number, field: string, items: Iterable<object>): Promise<void> {
    for (const part of parts(n, field, items)) {
      await this.#channel.sendText(part);
      // A turn of the loop between parts, so that a listing does not hold up transfers.
      await turn();
      if (this.#channel.closed) return;
    }
  }

  /** Sends a listing at the pace at which the client takes it, and ends it when nobody does. */
  async #listing(n: number, open: Open, parts: AsyncIterable<ListingPart>): Promise<void> {
    for await (const part of parts) {
      for (const text of listingTexts(n, part)) {
        await open.credit.take(open);
        if (open.abort.signal.aborted) break;
        await this.#channel.sendText(text);
      }
      if (open.abort.signal.aborted) break;
    }
    if (!open.dropped) await this.#channel.send({ n, end: true });
  }

  /** Sends events at the pace at which the client takes them; a cancelled stream is sent to its end. */
  async #stream(n: number, open: Open, events: AsyncIterable<object>): Promise<void> {
    for await (const event of events) {
      await open.credit.take(open);
      // A dropped one has been told to stop; it is let come to its end, so that it can tidy up.
      if (!open.dropped) await this.#channel.send({ n, event });
    }
    await this.#channel.send({ n, end: true });
  }
}
