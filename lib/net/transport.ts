import { connect, createServer, type Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from '../endpoint.js';
import { HearsayError } from '../errors.js';

/** A listening socket. */
export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** How streams between peers are made: plain TCP here; TLS takes this place. */
export interface Transport {
  /**
   * @param timeout ms
   * @param signal ends the attempt
   * @throws HearsayError `unreachable`
   */
  connect(to: Endpoint, timeout: number, signal: AbortSignal): Promise<Socket>;
  /** @throws HearsayError `port-taken` */
  listen(port: number, onSocket: (socket: Socket) => void): Promise<Listener>;
}

/** Reads "ip:port" or "[ip]:port"; undefined where it is neither. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535) return undefined;
  return { host: match[1] ?? match[2], port };
}

/** An IPv4 address as IPv4, also where a socket for both families tells it as ::ffff:a.b.c.d. */
export function plainHost(host: string): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host;
}

function listenOn(port: number, host: string, onSocket: (socket: Socket) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 5000 }, (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      onSocket(socket);
    });
    server.once('error', reject);
    server.listen({ port, host, ipv6Only: false }, () => {
      server.removeListener('error', reject);
      server.on('error', () => {});
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address ? address.port : port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

export const plainTransport: Transport = {
  connect({ host, port }, timeout, signal) {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 5000 });
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const fail = (why: string) => {
        end();
        socket.destroy();
        reject(new HearsayError('unreachable', `${formatEndpoint({ host, port })}: ${why}`));
      };
      const timer = setTimeout(() => fail('no answer'), timeout);
      const onAbort = () => fail('given up');
      socket.once('error', (error) => fail(error.message));
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort);
      socket.once('connect', () => {
        end();
        socket.removeAllListeners('error');
        resolve(socket);
      });
    });
  },

  async listen(port, onSocket) {
    try {
      return await listenOn(port, '::', onSocket);
    } catch (thrown) {
      const { code, message } = thrown as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' || code === 'EACCES') {
        throw new HearsayError('port-taken', `TCP port ${port} cannot be used: ${message}`, { cause: thrown });
      }
      // A host without IPv6.
      return await listenOn(port, '0.0.0.0', onSocket).catch((second: Error) => {
        throw new HearsayError('port-taken', `TCP port ${port} cannot be used: ${second.message}`, { cause: second });
      });
    }
  },
};
