import type { Via } from '../api.js';
import type { Millis } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX } from '../limits.js';
import type { Proof, Shelf } from '../shelf/shelf.js';
import { type Head, TRACKER } from '../wire/head.js';
import type { Address, PeerInfo } from './events.js';

/** What is known of another peer. */
export interface Member {
  readonly id: PeerId;
  /** The newest head of it that was checked. */
  head: Head;
  proof: Proof;
  /** `candidate`: heard of, not shown to be alive. `live`: it answered. `gone`: it was live, and left or fell silent. */
  state: 'candidate' | 'live' | 'gone';
  via: Via;
  /**
   * TCP addresses, the latest heard last: each was proved by an answer from there or by a handshake, or was told by another
   * peer while this one was not live.
   */
  readonly addresses: Set<string>;
  /** Hosts from which it has proved to speak, the latest last. */
  readonly hosts: Set<string>;
  /** Where its datagrams come from. */
  udp: Address | undefined;
  /** Where it was asked to answer, when last, and how often in vain. */
  asked: Map<string, { to: Address; at: Millis; tries: number }> | undefined;
  liveSince: Millis;
  /** The last sign of life. */
  heardAt: Millis;
  /** The newest head that was a sign of life: what is not newer is a copy, or was kept by somebody and sent again. */
  sign: Head | undefined;
  /** When it was last heard by multicast: whom we hear, we take to hear us. */
  multicastAt: Millis;
  /** The same by broadcast; and when it last said so that it is to be told by broadcast itself. */
  broadcastAt: Millis;
  deafAt: Millis;
  /** When it last told us an offer over TCP, as those do who do not hear us. */
  tellsAt: Millis;
  /** When we last told it one. */
  toldAt: Millis;
  /** Only answers to nonces after this mark show that it is alive. */
  mark: number;
  /** Questions asked since it fell silent, and whether it is for us to ask. */
  probes: number;
  isOurs: boolean;
  /** Whether it was called missing, and is gone unless it speaks up. */
  isMissing: boolean;
  /** Whether that was said while it was not silent here yet. */
  isAccused: boolean;
  /** How often others were left to ask since it fell silent. */
  deferred: number;
  /** How often it was not for us to ask since then. */
  left: number;
  /** When it was last heard while it was not live. */
  knockedAt: Millis;
  /** Bytes of its heartbeat. */
  weight: number;
  /** When its expiry timer is due; another one is stale. */
  dueAt: Millis;
  goneAt: Millis;
  /** The epoch in which it said goodbye, 0 if in none: of that epoch, only the answer to a nonce brings it back. */
  leftEpoch: number;
  shelf: Shelf | undefined;
  /**
   * What it told us aside, undefined where it told nothing. `unsureAt`: when it goes, unless the peer, whose link broke,
   * begins anew before.
   */
  aside: { shelf: Shelf; unsureAt: Millis | undefined } | undefined;
}

const NEVER = Number.NEGATIVE_INFINITY;

/** Where fewer are known, each asks each; where there are more, one learns from others' pulses who is alive. */
export const FEW = 32;
/** Peers whose pulses are repeated: those with the lowest ids. */
export const LEADERS = 4;

export function newMember(head: Head, proof: Proof, via: Via, now: Millis): Member {
  return {
    id: head.id,
    head,
    proof,
    state: 'candidate',
    via,
    addresses: new Set(),
    hosts: new Set(),
    udp: undefined,
    asked: undefined,
    liveSince: NEVER,
    heardAt: now,
    sign: undefined,
    multicastAt: NEVER,
    broadcastAt: NEVER,
    deafAt: NEVER,
    tellsAt: NEVER,
    toldAt: NEVER,
    mark: 0,
    probes: 0,
    isOurs: false,
    isMissing: false,
    isAccused: false,
    deferred: 0,
    left: 0,
    knockedAt: now,
    weight: 0,
    dueAt: NEVER,
    goneAt: NEVER,
    leftEpoch: 0,
    shelf: undefined,
    aside: undefined,
  };
}

function addLatest(all: Set<string>, one: string): void {
  // As mostly.
  if (all.size === 1 && all.has(one)) return;
  all.delete(one);
  all.add(one);
  if (all.size > ADDRESSES_MAX) all.delete(all.values().next().value!);
}

/** Adds an address as the latest heard; the one heard longest ago gives way. */
export function addAddress(member: Member, address: string): void {
  addLatest(member.addresses, address);
}

/** Notes that a peer has proved to speak from a host, and to listen there unless its head says that it does not. */
export function addProved(member: Member, { host, port }: Address): void {
  addLatest(member.hosts, host);
  if (port > 0) addLatest(member.addresses, formatEndpoint({ host, port }));
}

/** Notes where its words came from that nobody else can have said, though others may have sent them on: a place to try. */
export function addSeen(member: Member, { host, port }: Address): void {
  // Where something is proved, nothing is to be guessed.
  if (port > 0 && member.addresses.size === 0) member.addresses.add(formatEndpoint({ host, port }));
}

/** A member's addresses, the latest heard first. */
export function addressesOf(member: Member): string[] {
  return [...member.addresses].reverse();
}

export function infoOf(member: Member): PeerInfo {
  const { id, key, name, files, bytes, flags } = member.head;
  const { head, sig } = member.proof;
  const tracker = (flags & TRACKER) !== 0;
  return {
    id,
    name,
    addresses: addressesOf(member),
    files,
    bytes,
    tracker,
    self: false,
    via: member.via,
    key,
    head,
    sig,
  };
}

/** Whether what it says it has is newer than what we have of it. */
export function isBehind({ head, shelf }: Member): boolean {
  return !shelf || head.epoch > shelf.epoch || (head.epoch === shelf.epoch && head.version > shelf.version);
}
