/** Addresses as people write them. */
import { isIPv4, isIPv6 } from 'node:net';
import { type Endpoint, formatEndpoint } from '../endpoint.js';
import { HearsayError } from '../errors.js';

function readPort(text: string, whole: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new HearsayError('usage', `${whole}: the port is a number from 1 to 65535`);
  return port;
}

// Labels of letters, digits, hyphens and underscores, in any script; the resolver knows the rest.
const HOST_NAME = /^(?=.{1,253}$)[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_.-]*[\p{L}\p{M}\p{N}_.])?$/u;

/**
 * Reads HOST, HOST:PORT, an IPv6 address with or without zone, or [IPv6]:PORT.
 * @param defaultPort where none is written
 * @throws HearsayError `usage`
 */
export function parseHostPort(text: string, defaultPort: number): Endpoint {
  if (isIPv6(text)) return { host: text, port: defaultPort };
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(text);
  const plain = /^([^:]*)(?::(.*))?$/.exec(text);
  const [, host = '', port] = bracketed ?? plain ?? [];
  if (bracketed ? !isIPv6(host) : !HOST_NAME.test(host) || (/^[\d.]+$/.test(host) && !isIPv4(host))) {
    throw new HearsayError('usage', `${text}: not HOST, HOST:PORT or [IPv6]:PORT`);
  }
  return { host, port: port === undefined ? defaultPort : readPort(port, text) };
}

/**
 * Writes an endpoint as parseHostPort reads it, as shortly as that goes.
 * @param defaultPort the port that need not be written
 */
export function formatHostPort(endpoint: Endpoint, defaultPort: number): string {
  return endpoint.port === defaultPort ? endpoint.host : formatEndpoint(endpoint);
}

/**
 * Reads ADDR:PORT of a multicast group.
 * @throws HearsayError `usage` where ADDR is not an IPv4 multicast address
 */
export function parseGroup(text: string): Endpoint {
  const [, host = '', port = ''] = /^([\d.]+):(.*)$/.exec(text) ?? [];
  const first = isIPv4(host) ? Number(host.split('.')[0]) : 0;
  if (first < 224 || first > 239) {
    throw new HearsayError('usage', `${text}: not an IPv4 multicast address (224.0.0.0 to 239.255.255.255) and a port`);
  }
  return { host, port: readPort(port, text) };
}
