/** Where a socket listens, or sends from. */
export interface Endpoint {
  /** An address without brackets, for IPv6 link-local ones with its zone; a name only where a person gave it. */
  host: string;
  port: number;
}

/** "ip:port", with brackets round IPv6. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

// A host is an IP address, with a zone perhaps: a name from the network would make us ask a name server.
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[(?=[^\]%]*:[^\]%]*:)[0-9a-f:.]+(?:%[\w.-]+)?\]):\d{1,5}$/i;

/** Whether a text from the network can be an address to dial. */
export function isAddress(text: string): boolean {
  const port = Number(text.slice(text.lastIndexOf(':') + 1));
  return ADDRESS.test(text) && port >= 1 && port <= 65535;
}

/** Whether an address with its port is of whatever machine dials it. */
export function isThisHost(address: string): boolean {
  return (
    isLoopback(address) ||
    /^(0\.|\[[0:]+\]|\[[0:]+:ffff:(127\.|0\.|7f|0*:))/i.test(address) ||
    /^\[[0:]+1\]/.test(address)
  );
}

/**
 * Of addresses at which a peer is said to be, by another, those that may be dialled: where its own port is, and not on this host or
 * one card of it.
 * @param isNear whether who says so is on this host, which it may mean then
 */
export function toldAddresses(addresses: readonly string[], port: number, isNear: boolean): string[] {
  const isOwn = (address: string) => isAddress(address) && address.endsWith(`:${port}`);
  return addresses.filter((a) => isOwn(a) && (isNear || !(isThisHost(a) || a.includes('%'))));
}

/** The host of an address with its port; of the ways to write one always the same. */
export function hostOfAddress(address: string): string {
  const url = `http://${address}`;
  const host = URL.canParse(url) ? new URL(url).hostname : address.slice(0, address.lastIndexOf(':'));
  // One of IPv4 within IPv6.
  const [, high, low] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(host) ?? [];
  if (!high || !low) return host;
  const bytes = [high, low].map((part) => Number.parseInt(part, 16)).flatMap((n) => [n >> 8, n & 255]);
  return bytes.join('.');
}

/** An address with its port, or a host. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address.startsWith('[::1]') || address === '::1';
}
