/** Which addresses of this machine are worth speaking from, and notice when they change. */
import { isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { HearsayError } from '../errors.js';

/** One address of one network card. */
export interface Card {
  /** The card's name, as the system shows it: "eth0", "Wi-Fi". */
  name: string;
  family: 4 | 6;
  /** Without a zone. */
  address: string;
  /** Bits of the network's prefix. */
  prefix: number;
  /** Whether it reaches this machine only. */
  internal: boolean;
  /** For a link-local IPv6 address: the zone as this platform writes it, else "". */
  zone: string;
}

/** What os.networkInterfaces() gives. */
export type InterfaceTable = ReturnType<typeof networkInterfaces>;

/** Bridges of containers and machines, tunnels, and Apple's wireless side channels: no LAN is behind them. */
const NOT_A_LAN = /^(docker|br-|veth|virbr|vmnet|vboxnet|utun|tun|wg|tailscale|zt|awdl|llw)/i;

/**
 * Every address that can be used for finding and reaching other peers: IPv4 and IPv6, 127.0.0.1 as well (peers of one
 * machine without any network). ::1 is left out, because multicast on it is never delivered.
 * @param names only these cards; without them all but bridges, tunnels and point-to-point addresses
 * @throws HearsayError `usage` where a name is not that of a card which is up
 */
export function usableInterfaces(names: readonly string[] = [], table: InterfaceTable = networkInterfaces()): Card[] {
  const unknown = names.filter((name) => !table[name]?.length);
  if (unknown.length > 0) {
    const there = Object.keys(table).sort().join(', ') || 'none';
    throw new HearsayError('usage', `no network interface ${unknown.join(', ')} is up here; there are: ${there}`);
  }
  return presentInterfaces(names, table);
}

/** As usableInterfaces, but a named card that is not there now is merely not there. */
export function presentInterfaces(names: readonly string[] = [], table: InterfaceTable = networkInterfaces()): Card[] {
  const cards: Card[] = [];
  for (const [name, addresses] of Object.entries(table)) {
    if (names.length > 0 ? !names.includes(name) : NOT_A_LAN.test(name)) continue;
    for (const info of addresses ?? []) {
      const family = isIPv4(info.address) ? 4 : isIPv6(info.address) ? 6 : undefined;
      if (!family || info.address === '::1') continue;
      const prefix = Number(info.cidr?.split('/')[1] ?? (family === 4 ? 24 : 64));
      // A /31 or /32 is a point-to-point link or a routed address; the LAN is not on it.
      if (names.length === 0 && family === 4 && prefix > 30) continue;
      const linkLocal = family === 6 && /^fe[89ab]/i.test(info.address);
      // The zone is the card's number on Windows, its name elsewhere.
      const scope = info.family === 'IPv6' ? info.scopeid : 0;
      const zone = !linkLocal ? '' : process.platform === 'win32' ? String(scope) : name;
      cards.push({ name, family, address: info.address, prefix, internal: info.internal, zone });
    }
  }
  return cards;
}

/** What leads into a VPN, of those. */
const TUNNEL = /^(utun|tun|tap|ppp|wg|tailscale|zt|nordlynx|proton)/i;

/**
 * Cards that are up and left out, as no LAN is behind such: one address of each, of IPv4 where it has one.
 * @param names where cards were named, none is left out by itself
 */
export function leftOut(
  names: readonly string[] = [],
  table: InterfaceTable = networkInterfaces(),
): { name: string; address: string; tunnel: boolean }[] {
  if (names.length > 0) return [];
  const used = new Set(presentInterfaces([], table).map(({ name }) => name));
  return Object.entries(table).flatMap(([name, addresses = []]) => {
    // Each card has a link-local address of IPv6, those of containers' and of unused tunnels too.
    const real = addresses.filter(({ address, internal }) => !internal && !/^fe[89ab]/i.test(address));
    const first = real.find(({ address }) => isIPv4(address)) ?? real[0];
    if (used.has(name) || !first) return [];
    const tunnel = TUNNEL.test(name) || /^[\d.]+\/3[12]$/.test(first.cidr ?? '');
    return [{ name, address: first.address, tunnel }];
  });
}

/** The address as a socket takes it, with its zone. */
export function hostOf(card: Card): string {
  return card.zone === '' ? card.address : `${card.address}%${card.zone}`;
}

/** One string that changes when any card or address does. */
function signature(table: InterfaceTable): string {
  const lines: string[] = [];
  for (const [name, addresses] of Object.entries(table)) {
    for (const { address, cidr } of addresses ?? []) lines.push(`${name} ${address} ${cidr}`);
  }
  return lines.sort().join('\n');
}

/**
 * Tells when a card or an address comes or goes. Asks the system every so often, as no platform-independent event
 * exists; one look costs some 80 µs. Does not keep the process alive.
 * @param ms milliseconds between looks
 * @returns stops it
 */
export function watchInterfaces(
  onChange: () => void,
  ms = 2000,
  look: () => InterfaceTable = networkInterfaces,
): () => void {
  const see = () => {
    try {
      return signature(look());
    } catch {
      // Some systems forbid it (Android).
      return '';
    }
  };
  let known = see();
  const timer = setInterval(() => {
    const now = see();
    if (now === known) return;
    known = now;
    onChange();
  }, ms);
  timer.unref();
  return () => clearInterval(timer);
}

/** The bits of an IP address, most significant first; undefined for what is none. A zone is ignored. */
function bits(address: string): bigint | undefined {
  const bare = address.split('%')[0];
  if (isIPv4(bare)) return bare.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  if (!isIPv6(bare)) return undefined;
  // A dotted tail (::ffff:1.2.3.4) as two groups of 16 bits.
  const plain = bare.replace(/[\d.]+\.[\d.]+$/, (tail) => {
    const [a, b, c, d] = tail.split('.').map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [before, after] = plain.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const gap = after === undefined ? [] : new Array<string>(8 - before.length - after.length).fill('0');
  return [...before, ...gap, ...(after ?? [])].reduce((sum, part) => (sum << 16n) | BigInt(`0x${part}`), 0n);
}

/** Whether an address lies in the network of one of this machine's cards; a zone must be the card's. */
export function isOnLink(card: Card, address: string): boolean {
  const family = isIPv4(address) ? 4 : 6;
  const zone = address.split('%')[1] ?? '';
  if (family !== card.family || zone !== card.zone) return false;
  const theirs = bits(address);
  const ours = bits(card.address);
  if (theirs === undefined || ours === undefined) return false;
  const rest = BigInt((family === 4 ? 32 : 128) - card.prefix);
  return theirs >> rest === ours >> rest;
}
