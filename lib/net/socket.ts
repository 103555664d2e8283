/** One UDP socket: making it, closing it, and the library's traps around both. */
import { DgramAsPromised, type SocketAsPromised } from 'dgram-as-promised';
import type { UdpAddress } from './datagrams.js';

/** Bytes of a socket's receive buffer, where the system allows it: some hundred heartbeats at once. */
const RECEIVE_BUFFER = 512 * 1024;

export interface UdpSocketOptions {
  family: 4 | 6;
  /** Whether others may have the same port. */
  shared: boolean;
  onDatagram(data: Buffer, from: UdpAddress): void;
  /** The socket failed after it was bound. Do not use it again: the library would throw its error at the next call. */
  onError(): void;
}

/** A socket that is not bound yet. Datagrams come by a callback, as the library's own iteration loses some. */
export function udpSocket(options: UdpSocketOptions): SocketAsPromised {
  const type = options.family === 4 ? { type: 'udp4' as const } : { type: 'udp6' as const, ipv6Only: true };
  const socket = DgramAsPromised.createSocket({ ...type, reuseAddr: options.shared }, (data, { address, port }) =>
    options.onDatagram(data, { host: address, port }),
  );
  let bound = false;
  socket.socket.once('listening', () => {
    bound = true;
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER);
    } catch {
      // The system's own size does as well, for a smaller crowd.
    }
  });
  // An error while binding is bind's to report.
  socket.socket.on('error', () => bound && options.onError());
  return socket;
}

/** Closes a socket whatever its state; the library rejects a second close. */
export async function closeUdp({ socket }: { socket: SocketAsPromised }): Promise<void> {
  try {
    await socket.close();
  } catch {
    // It was closed already.
  }
}

/** The system's word for what was thrown ("EADDRINUSE"), or "". */
export function errorCode(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
