/**
 * Streams between peers: TCP under TLS 1.3.
 *
 * TLS is keyed with the group's pre-shared key and a fresh Diffie-Hellman exchange (RFC 8446, psk_dhe_ke), and carries no
 * certificate: who has the key is a member, and who it is, is proved by signing what only this connection has in common, its
 * exporter (`binding`). So one way serves both kinds of group, and who has no secret is turned away at its first message.
 */
import { createServer, Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect as connectTls,
  createSecureContext,
  type TLSSocket,
  TLSSocket as TlsStream,
} from 'node:tls';
import { type Endpoint, formatEndpoint } from '../endpoint.js';
import { HearsayError, reasonOf } from '../errors.js';
import type { GroupKeys } from './group-keys.js';

/** A listening socket. */
export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** A stream that nobody else can read or change. Who is at its other end, it does not say. */
export interface SecureStream {
  readonly socket: Socket;
  /** 32 bytes that both ends of this very connection know, and nobody else (RFC 8446, 7.5; RFC 9266). */
  readonly binding: Buffer;
  /**
   * Hands on what comes, from its first byte. To be called once.
   * @param take given bytes that are valid only until it returns
   */
  listen(take: (data: Buffer) => void): void;
}

/** How streams between peers are made. */
export interface Transport {
  /**
   * Connects, and begins to secure what is connected: `secure` is called with it next.
   * @param timeout ms
   * @param signal ends the attempt
   * @throws HearsayError `unreachable`
   */
  connect(to: Endpoint, timeout: number, signal: AbortSignal): Promise<Socket>;
  /** @throws HearsayError `port-taken` */
  listen(port: number, onSocket: (socket: Socket) => void): Promise<Listener>;
  /**
   * Secures a connected socket. Ends when the socket does: the caller sees to it that this is in time.
   * @param dialled whether we dialled
   * @throws HearsayError `other-group` where the other side's secret is another, `unreachable`
   */
  secure(socket: Socket, dialled: boolean): Promise<SecureStream>;
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

// A pre-shared key works with the suites of SHA-256 alone.
const SUITES = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256';
const EXPORTER = 'EXPORTER-hearsay-1';
/** What a client calls its key by, in plain sight: no more than which of the two kinds of group it takes this for. */
const NAMES = { open: 'hearsay open', private: 'hearsay private' };

/** What keeps a connection from being made, by the system's code. */
const CONNECTING: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'no way leads there',
  ENETUNREACH: 'no way leads there',
  ETIMEDOUT: 'no answer',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'its name cannot be looked up now',
};

/** Why a port cannot be listened on, by the system's code. */
const LISTENING: Record<string, string> = {
  EADDRINUSE: 'another program has it',
  EACCES: 'the system does not allow it',
};

/** What the other side's alert means, by OpenSSL's name of it. */
function refusal(error: NodeJS.ErrnoException, isPrivate: boolean): HearsayError {
  // Its key of the same kind gives another binder; of a key by the other name it knows nothing.
  if (error.code === 'ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER' || error.code === 'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR') {
    return new HearsayError('other-group', 'it has another secret than this one', { cause: error });
  }
  if (error.code === 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE') {
    const what = isPrivate
      ? 'it is in the open group, without a secret'
      : 'it is in a private group, and wants its secret';
    return new HearsayError('other-group', what, { cause: error });
  }
  if (error.code?.startsWith('ERR_SSL')) {
    return new HearsayError('unreachable', 'what answers there is no hearsay of this version', { cause: error });
  }
  return new HearsayError('unreachable', error.message, { cause: error });
}

/** Bytes of a TLS record, which is what is given at a time. */
const RECORD = 16 * 1024;
/** What is given is used before anything else is read, so that all connections have one buffer. */
const ARRIVING = Buffer.allocUnsafeSlow(RECORD);

/**
 * Where the bytes of a connection arrive: in a buffer that is used again, so that nothing is allocated for what comes. What Node would
 * allocate for every record is outside of V8's heap and brings its next collection nearer: in a swarm that was a fifth of all work.
 */
class Inlet {
  readonly buffer = ARRIVING;
  readonly callback = (length: number): boolean => {
    const data = ARRIVING.subarray(0, length);
    if (this.#take) this.#take(data);
    // What comes in one piece with the end of TLS's handshake, before anybody listens.
    else this.#early.push(Buffer.from(data));
    return true;
  };
  #take: ((data: Buffer) => void) | undefined;
  #early: Buffer[] = [];

  /**
   * Takes over a stream that Node made without such a buffer: its option `onread` is heeded only where TLS connects by itself. It is
   * entered where that option would be. Only for what comes from the system itself, one record after another.
   * @returns undefined where this Node keeps it elsewhere: each record has a fresh buffer then
   */
  static of(stream: TLSSocket): Inlet | undefined {
    const inner = stream as unknown as { [part: symbol]: unknown; _handle?: { useUserBuffer?(buffer: Buffer): void } };
    const parts = new Map(Object.getOwnPropertySymbols(stream).map((part) => [part.description, part]));
    const [buffer, callback] = [parts.get('kBuffer'), parts.get('kBufferCb')];
    if (!buffer || !callback || !inner._handle?.useUserBuffer || inner[buffer]) return undefined;
    const inlet = new Inlet();
    for (let data = stream.read(); data; data = stream.read()) inlet.#early.push(data);
    inner[buffer] = inlet.buffer;
    inner[callback] = inlet.callback;
    inner._handle.useUserBuffer(inlet.buffer);
    return inlet;
  }

  listen(take: (data: Buffer) => void): void {
    this.#take = take;
    for (const data of this.#early.splice(0)) take(data);
  }
}

/** TCP under TLS, keyed with a group's keys. */
export function tlsTransport(group: GroupKeys): Transport {
  const secureContext = createSecureContext({ ciphers: SUITES, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
  const name = group.private ? NAMES.private : NAMES.open;
  const asClient = {
    secureContext,
    pskCallback: () => ({ identity: name, psk: group.psk }),
    // There is no certificate to check: the key's holder proves itself over the exporter.
    checkServerIdentity: () => undefined,
  };
  /** Connections that TLS made itself, and where their bytes arrive. */
  const inlets = new WeakMap<Socket, Inlet>();
  const wrap = (socket: Socket, dialled: boolean): TLSSocket => {
    if (inlets.has(socket)) return socket as TLSSocket;
    if (dialled) return connectTls({ ...asClient, socket });
    // Without a certificate there is no way in but by the key.
    const pskCallback = (_: TLSSocket, identity: string) => (identity === name ? group.psk : null);
    return new TlsStream(socket, { isServer: true, secureContext, pskCallback } as ConstructorParameters<
      typeof TlsStream
    >[1]);
  };

  return {
    connect({ host, port }, timeout, signal) {
      return new Promise((resolve, reject) => {
        const inlet = new Inlet();
        // An address is no name of a server that a certificate could be for.
        const socket = connectTls({ ...asClient, host, port, servername: '', onread: inlet } as ConnectionOptions);
        inlets.set(socket, inlet);
        const end = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', onAbort);
        };
        const fail = (why: string, cause?: Error) => {
          end();
          socket.destroy();
          reject(new HearsayError('unreachable', `${formatEndpoint({ host, port })}: ${why}`, { cause }));
        };
        const timer = setTimeout(() => fail('no answer'), timeout);
        const onAbort = () => fail('given up');
        socket.once('error', (error: NodeJS.ErrnoException) =>
          fail(CONNECTING[error.code ?? ''] ?? error.message, error),
        );
        if (signal.aborted) return onAbort();
        signal.addEventListener('abort', onAbort);
        socket.once('connect', () => {
          end();
          socket.setNoDelay(true);
          socket.setKeepAlive(true, 5000);
          socket.removeAllListeners('error');
          // Until its handshake is waited for.
          socket.on('error', () => {});
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
          throw new HearsayError('port-taken', `TCP port ${port} cannot be used: ${LISTENING[code] ?? message}`, {
            cause: thrown,
          });
        }
        // A host without IPv6.
        return await listenOn(port, '0.0.0.0', onSocket).catch((second: Error) => {
          throw new HearsayError('port-taken', `TCP port ${port} cannot be used: ${reasonOf(second)}`, {
            cause: second,
          });
        });
      }
    },

    secure(socket, dialled) {
      return new Promise((resolve, reject) => {
        const stream = wrap(socket, dialled);
        const onError = (error: NodeJS.ErrnoException) => {
          stream.destroy();
          reject(refusal(error, group.private));
        };
        const onClose = () => reject(new HearsayError('unreachable', 'the connection was closed during the handshake'));
        stream.on('error', onError);
        stream.once('close', onClose);
        stream.once(dialled ? 'secureConnect' : 'secure', () => {
          stream.removeListener('error', onError);
          stream.removeListener('close', onClose);
          // Until its next owner takes it over, which is at once.
          stream.on('error', () => {});
          const binding = stream.exportKeyingMaterial(32, EXPORTER, Buffer.alloc(0));
          const listen = (take: (data: Buffer) => void) => {
            // What comes through another connection comes while that one's bytes are being read.
            const inlet = inlets.get(stream) ?? (socket instanceof Socket ? Inlet.of(stream) : undefined);
            if (!inlet) stream.on('data', take);
            else {
              inlet.listen(take);
              // Its end is seen only by one who reads.
              stream.resume();
            }
          };
          resolve({ socket: stream, binding, listen });
        });
      });
    },
  };
}
