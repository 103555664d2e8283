/**
 * What can be asked of a running peer, as plain data: the library does it, the control socket carries it, the commands
 * print it. Everything here can be written as JSON. Times are milliseconds since 1970, sizes bytes, ids strings.
 */
import type { Code } from './errors.js';
import type { PeerId } from './ids.js';

/** A peer as a person sees it. */
export interface PeerName {
  id: PeerId;
  name: string;
}

/** A file of the network: one row for each content under one path; a file without an id yet is a row of its own. */
export interface FileRow {
  path: string;
  size: number;
  mtime: number;
  id: string | null;
  peers: PeerName[];
}

export interface Listing {
  /** Sorted by path. */
  files: FileRow[];
  /** Of the peers named by `from`, those that are not here. */
  away: string[];
}

export interface ListQuery {
  /** A pattern as `ls` takes it; none is everything. */
  pattern?: string;
  /** Words as `find` takes them: all must occur in the path. */
  words?: string[];
  /** Only these peers' files: names, ids or unique prefixes of ids. */
  from?: string[];
}

/** One change of the network's files. */
export interface FollowEvent extends FileRow {
  event: 'added' | 'changed' | 'removed';
}

/** Which chunks of a file a source holds. */
export interface SourceRow extends PeerName {
  /** How many. */
  have: number;
  /** Which: first and last of each run. */
  ranges: [number, number][];
}

/** A file and who holds what of it. */
export interface SourcesRow {
  path: string;
  size: number;
  id: string | null;
  /** How many chunks it has. */
  chunks: number;
  sources: SourceRow[];
}

/** How a peer was found. `self` is oneself. */
export type Via = 'multicast' | 'join' | 'relay' | 'call' | 'self';

export interface PeerRow extends PeerName {
  /** TCP, "ip:port" or "[ip]:port". */
  addresses: string[];
  files: number;
  bytes: number;
  tracker: boolean;
  self: boolean;
  via: Via;
}

export interface GetQuery {
  /** One or more WHAT. */
  what: string[];
  /** DEST, absolute; ends in a separator where a folder is meant. */
  to: string;
  from?: string[];
  overwrite?: boolean;
  /** Remove the hidden partials of earlier attempts instead of fetching. */
  discard?: boolean;
  /** Sync every file to the disk before its rename. */
  sync?: boolean;
  /** Give up when nothing arrives for so many seconds. */
  timeout?: number;
  /** Also give `chunk` events. */
  verbose?: boolean;
}

export interface ErrorBody {
  code: Code;
  message: string;
}

/** What happens in a `get`, in this order for each file; `end` is last. */
export type GetEvent =
  | { event: 'start'; files: number; bytes: number }
  | { event: 'progress'; path: string; verified: number; size: number; sources: number }
  | { event: 'chunk'; path: string; chunk: number; chunks: number; bytes: number; source: PeerName }
  | { event: 'dropped'; path: string; source: PeerName; error: ErrorBody }
  | {
      event: 'done';
      path: string;
      /** Where it is now, absolute. */
      file: string;
      size: number;
      id: string;
      seconds: number;
      /** Payload bytes that crossed the network. */
      received: number;
      sources: (PeerName & { bytes: number })[];
      /** Set where an identical file was there before. */
      already?: boolean;
    }
  | { event: 'discarded'; path: string; file: string }
  | { event: 'warning'; message: string }
  | { event: 'error'; path?: string; error: ErrorBody }
  | { event: 'end'; files: number; bytes: number; failed: number };

/** What a sharing peer tells while it runs. */
export type ShareEvent =
  | {
      event: 'ready';
      id: PeerId;
      name: string;
      port: number;
      /** Whether only who has the secret can read. */
      private: boolean;
      shares: ShareRow[];
      addresses: string[];
      /** Names that shares are for and that no peer has borne here yet: the first that does is let in. Left out where none. */
      waiting?: string[];
    }
  /** A name that shares are for belongs to this peer's key from now on. `name` is as it was given. */
  | { event: 'allowed'; name: string; peer: PeerName; shares: string[] }
  | { event: 'hashed'; path: string; id: string }
  | { event: 'peer'; change: 'came' | 'left'; id: PeerId; name: string }
  | {
      event: 'serving';
      state: 'begun' | 'completed' | 'failed';
      path: string;
      peer: PeerName;
      bytes: number;
      why?: string;
    }
  | { event: 'warning'; message: string };

export interface ShareRow {
  /** The share's name: the first segment of its files' paths. */
  name: string;
  /** The folder or file on this machine, absolute. */
  path: string;
  files: number;
  bytes: number;
  /** Files whose content id is known. */
  hashed: number;
  /** Names or ids of the only peers that may see it; left out where everyone may. */
  for?: readonly string[];
}

/** Something that was fetched from this peer, or was not to its end. */
export interface ServedRow {
  /** When it ended. */
  time: number;
  peer: PeerName;
  path: string;
  /** Bytes that the other side acknowledged. */
  bytes: number;
  outcome: 'completed' | 'failed';
  /** Why it failed. */
  why?: string | undefined;
}

export interface TransferRow {
  number: number;
  direction: 'in' | 'out';
  path: string;
  size: number;
  /** Bytes verified (in) or acknowledged (out). */
  bytes: number;
  /** Bytes a second, lately. */
  rate: number;
  peers: PeerName[];
}

export interface StatusReport {
  running: true;
  pid: number;
  id: PeerId;
  name: string;
  port: number;
  state: string;
  /** Whether it is in a private group: only who has the secret sees and reads anything. */
  private: boolean;
  /** Hosts heard lately that speak with another secret, or with one where this peer has none; and those in the open group. */
  strangers: { sealed: number; open: number };
  /** Milliseconds since it started. */
  uptime: number;
  /** Resident bytes. */
  memory: number;
  shares: ShareRow[];
  transfers: TransferRow[];
  /** Other live peers, and offers of all. */
  peers: number;
  offers: number;
}

/** One message sent or received, for `--trace`. */
export interface TraceRecord {
  direction: 'in' | 'out';
  over: 'udp' | 'tcp';
  /** The other side: its id where known, else its address. "*" for multicast. */
  peer: string;
  /** Letter and name of the message type. */
  type: string;
  /** The file that it is about, where there is one. */
  file?: string;
  /** Chunk number, where there is one. */
  chunk?: number;
  /** Bytes of the payload, or of the whole message where it has none. */
  size: number;
}

/** What the commands speak to: a one-shot peer of their own, or a running peer over its control socket. */
export interface Api {
  /** Files of the network. @throws HearsayError `ambiguous` where a name in `from` is borne by two, `no-peer` where all are away */
  list(query: ListQuery): Promise<Listing>;
  /** First `added` for each file that is there, then each change, until the signal. */
  follow(query: ListQuery, signal: AbortSignal): AsyncIterable<FollowEvent>;
  /** Who holds which chunks of what a WHAT means, files that are being received too. @throws as `get` */
  sources(what: string, from?: string[]): Promise<SourcesRow[]>;
  peers(): Promise<PeerRow[]>;
  /** Fetches. Errors of single files are events; what stops everything is thrown. */
  get(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent>;
  status(): Promise<StatusReport>;
  /** Who fetched what from this peer, the newest last; what lies long back is not among it. */
  served(): Promise<ServedRow[]>;
  /** Every message from now on, until the signal. */
  trace(signal: AbortSignal): AsyncIterable<TraceRecord>;
}
