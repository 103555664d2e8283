/** Whether something listens at a TCP address. Owns nothing; called by the doctor. */
import { connect } from 'node:net';
import type { Endpoint } from '../endpoint.js';
import { errorCode } from './socket.js';

/**
 * Connects, and hangs up. Linux gives up after 3 s on one whose card does not answer, so `ms` should be above that.
 * @param ms after which it is given up
 * @returns the system's word for what is in the way ("ECONNREFUSED", "ETIMEDOUT"), "" where something listens
 */
export function knock({ host, port }: Endpoint, ms: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (code: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(code);
    };
    const timer = setTimeout(() => end('ETIMEDOUT'), ms);
    socket.once('connect', () => end(''));
    socket.on('error', (error) => end(errorCode(error) || 'ETIMEDOUT'));
  });
}
