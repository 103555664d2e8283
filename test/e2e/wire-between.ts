/**
 * A wire between two peers that can be slow, stand still, or be cut: a TCP proxy on loopback.
 * Owns its listener and all connections through it. Always true: bytes pass in order and unchanged. Called by tests.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

export class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes a second towards the one who dialled; 0 for all. */
  rate = 0;
  /** Bytes towards the one who dialled after which it stands still. */
  #until = Number.POSITIVE_INFINITY;
  #waiting: (() => void)[] = [];
  /** Bytes that passed towards the one who dialled. */
  passed = 0;
  /** Connections dialled through it. */
  dialled = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** A wire to a port of this machine. */
  static async to(t: ExecutionContext, port: number, rate = 0): Promise<Wire> {
    const server = createServer();
    const wire = new Wire(server);
    wire.rate = rate;
    server.on('connection', (near) => wire.#join(near, port));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => wire.close());
    return wire;
  }

  /** What to give to `join`. */
  get address(): string {
    const address = this.#server.address();
    return `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }

  /** Lets so many bytes more through, then stands still. */
  stopAfter(bytes: number): void {
    this.#until = this.passed + bytes;
  }

  /** Whether it stands still. */
  get still(): boolean {
    return this.#waiting.length > 0;
  }

  go(): void {
    this.#until = Number.POSITIVE_INFINITY;
    this.release();
  }

  /** Goes on as far as `stopAfter` lets it. */
  release(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(near: Socket, port: number): void {
    this.dialled++;
    const far = connect({ port, host: '127.0.0.1', noDelay: true });
    near.setNoDelay(true);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => void this.#pass(data, far, near));
  }

  async #pass(data: Buffer, from: Socket, to: Socket): Promise<void> {
    from.pause();
    for (let at = 0; at < data.length; ) {
      const room = Math.max(0, Math.min(data.length - at, this.#until - this.passed));
      if (room === 0) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        if (to.destroyed) return;
        continue;
      }
      this.passed += room;
      to.write(data.subarray(at, at + room));
      at += room;
      if (this.rate > 0) await new Promise((resolve) => setTimeout(resolve, (room * 1000) / this.rate));
    }
    if (!from.destroyed) from.resume();
  }
}
