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
  /** What the config file calls it, where it names one at its host; people may call it so too. */
  listed?: string;
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
  /** Sorted by path; where words were looked for, the best first. */
  files: FileRow[];
  /** Of the peers named by `from`, those that are not here. */
  away: string[];
  /** Hits of a find that are left out, where there are too many. */
  more?: number;
}

/** A piece of a listing, in its order. `away` is in the first, `more` in the last. */
export interface ListingPart {
  files: FileRow[];
  away?: string[];
  more?: number;
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

/**
 * How a peer was found: by what it says to everyone (`multicast`, or a subnet's `broadcast` where that does not come), because it
 * was `remembered` from before, by --join (`join`) or `[[peers]]` of a config file (`config`), as another peer told of it
 * (`relay`), as it came to us (`call`), by a `tracker`. `self` is oneself.
 */
export type Via = 'multicast' | 'broadcast' | 'remembered' | 'join' | 'config' | 'relay' | 'call' | 'tracker' | 'self';

export interface PeerRow extends PeerName {
  /** TCP, "ip:port" or "[ip]:port". */
  addresses: string[];
  files: number;
  bytes: number;
  tracker: boolean;
  self: boolean;
  via: Via;
  /** Why nothing can be had from it now: every way to it was tried. Left out where it can be reached, or was not tried. */
  unreachable?: string;
}

/** A peer that is remembered no more. */
export interface ForgottenRow extends PeerName {
  /** Where it was. */
  addresses: string[];
  /** Names that were tied to its key, and are tied to nobody now. */
  names: string[];
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
  /** Go on serving what was fetched, wherever it lies. */
  seed?: boolean;
  /** Bytes a second at most, of this get alone; within what the peer's own limit leaves. */
  limitDown?: number;
  /**
   * The running peer keeps it: it goes on when nobody follows it, over the peer's restart too, and waits for sources that are away. The
   * same again, while it has not ended, follows it. A signal with the reason DETACHED, or who stops reading, only follows it no more.
   */
  keep?: boolean;
}

export interface ErrorBody {
  code: Code;
  message: string;
}

/** What happens in a `get`, in this order for each file; `end` is last. */
export type GetEvent =
  | {
      event: 'start';
      files: number;
      bytes: number;
      /** Of one that the peer keeps: by what it is steered. */
      number?: number;
      /** How it stood, where it had been begun before and is followed now. */
      again?: TransferState;
    }
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
  /** What was fetched is to be served from now on: a peer that shares does so, and who runs a one-shot may begin to. */
  | { event: 'seed'; share: SeedRow }
  | { event: 'warning'; message: string }
  | { event: 'error'; path?: string; error: ErrorBody }
  | { event: 'end'; files: number; bytes: number; failed: number };

/** What is shared for something that was fetched to go on being served. */
export interface SeedRow {
  /** The share's name. */
  name: string;
  /** The file, or the folder, absolute. */
  path: string;
  /** Of a folder in which other things lie too: the files that were fetched. */
  only?: string[];
}

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
      /** How others name this tracker to --join, the most useful first. Left out where it is none. */
      tracker?: string[];
    }
  /** A name that shares are for belongs to this peer's key from now on. `name` is as it was given. */
  | { event: 'allowed'; name: string; peer: PeerName; shares: string[] }
  | { event: 'hashed'; path: string; id: string }
  /** Its shares changed while it runs. `away`: it is not there now, `why` says what is the matter, and nothing of it is offered. */
  | { event: 'share'; change: 'added' | 'removed' | 'away' | 'back'; name: string; path: string; why?: string }
  | { event: 'peer'; change: 'came' | 'left'; id: PeerId; name: string }
  /** Only to those who listen to `events`: what of a peer's files changed lately, and one of them. Not of those of one that left. */
  | { event: 'files'; peer: PeerName; added: number; changed: number; removed: number; path: string }
  /** Told by a tracker. `addresses`: where it could connect to the peer; `why` it is registered no more. */
  | {
      event: 'registration';
      change: 'registered' | 'departed';
      id: PeerId;
      name: string;
      addresses: readonly string[];
      why?: Departure;
    }
  /** Told by a peer that registers with trackers; `id` and `name` where it is known who answers there. */
  | {
      event: 'tracker';
      change: 'registered' | 'lost' | 'refused';
      address: string;
      id?: PeerId;
      name?: string;
      error?: ErrorBody;
    }
  /** Somebody wants to send something here, or what became of it. */
  | { event: 'inbox'; row: InboxRow }
  /** What this peer was asked to fetch or send has ended, or begun. */
  | { event: 'transfer'; row: TransferRow }
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
  /** Patterns of the only files that are offered, and of those that are not; left out where there are none. */
  only?: readonly string[];
  exclude?: readonly string[];
  /** Why nothing of it is offered: it is not there now, and is looked for. Left out where it is there. */
  away?: string;
  /** Why it is shared. */
  from?: Origin;
}

/** Why something is shared: the peer was started with it, its config file names it, or it was added while a peer ran. */
export type Origin = 'started' | 'config' | 'added';

/** What is to be shared from now on, and at every start. */
export interface AddQuery {
  /** Files and folders; relative ones are the asked peer's. */
  paths: string[];
  /** The name of the one path. */
  as?: string;
  /** Names or ids of the only peers that may see them. */
  for?: string[];
  /** Patterns that choose files of a folder. */
  only?: string[];
  exclude?: string[];
}

/** What became of one path. */
export interface AddedRow {
  /** Absolute. */
  path: string;
  /** The share's name; left out where it is none. */
  name?: string;
  /** Set where it was shared so before. */
  already?: true;
  /** Of the names that it is for, those that no peer has borne here yet: the first that does is let in. */
  waiting?: string[];
  error?: ErrorBody;
}

/** What is to be shared no more. */
export interface RemoveQuery {
  /** Names of shares, or paths. */
  what: string[];
  /** The folder that relative paths are relative to, absolute; left out, the asked peer's. */
  cwd?: string;
}

export interface RemovedRow {
  /** As it was given. */
  what: string;
  /** The share that it meant; left out where it meant none. */
  name?: string;
  path?: string;
  /** Set where it is shared again at the next start, as this is where it comes `from`. */
  until?: 'restart';
  from?: Origin;
  /** Where `name` is set: it is shared no more, but may be at the next start. */
  error?: ErrorBody;
}

/** What became of a config file that was read again. */
export interface ReloadReport {
  /** Names of shares. */
  added: string[];
  removed: string[];
  /** Settings that hold from now on. */
  applied: string[];
  /** Settings that differ and hold only after a restart. */
  restart: string[];
  /** Shares that could not be shared. */
  errors: ErrorBody[];
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

/** How a transfer that was asked for stands. `queued`: it waits for others to end. */
export type TransferState = 'queued' | 'running' | 'paused' | 'done' | 'failed';

export interface TransferRow {
  /** What it keeps until it is forgotten; `cancel`, `pause` and `resume` name it by this. What others fetch here has none. */
  number?: number;
  direction: 'in' | 'out';
  /** Its file; of several what was asked for, in few words. */
  path: string;
  size: number;
  /** Bytes verified (in) or acknowledged (out). */
  bytes: number;
  /** Bytes a second, lately. */
  rate: number;
  peers: PeerName[];
  /** Set where this peer was asked for it, by a `get` or a `send`; what others fetch here has none. */
  state?: TransferState;
  /** Of a `get`: its WHATs, and where it puts them. */
  what?: string[];
  to?: string;
  /** Files of it, and those that are done. */
  files?: number;
  done?: number;
  /** Why it failed, or of a queued one what it waits for. */
  error?: ErrorBody;
}

/** What is to become of transfers that this peer was asked for. */
export interface SteerQuery {
  verb: 'cancel' | 'pause' | 'resume';
  numbers: number[] | 'all';
}

/** What became of one. */
export interface SteeredRow {
  number: number;
  state?: TransferState | 'cancelled';
  path?: string;
  error?: ErrorBody;
}

/** What is to be sent, and to whom. */
export interface SendQuery {
  /** Files and folders, absolute. */
  files: string[];
  /** Names, ids or unique prefixes of ids. */
  to: string[];
  /** What the one file is called at the receivers'. */
  as?: string;
}

/**
 * What happens in a `send`. `start` is first, `end` last; each peer that was named ends in one `done` or `error`. `to` is
 * the peer as it was named.
 */
export type SendEvent =
  | { event: 'start'; number: number; name: string; files: number; bytes: number }
  /** `asked`: a person there is asked. */
  | { event: 'asked' | 'accepted'; to: string; peer: PeerName }
  | { event: 'progress'; to: string; peer: PeerName; bytes: number; size: number }
  | { event: 'done'; to: string; peer: PeerName; bytes: number; seconds: number }
  /** `peer` is left out where nobody is here by that name. */
  | { event: 'error'; to: string; peer?: PeerName; error: ErrorBody }
  | { event: 'warning'; message: string }
  | { event: 'end'; done: number; failed: number };

/** Something that somebody wants to send here, or did. */
export interface InboxRow {
  number: number;
  /** When it was offered. */
  time: number;
  from: PeerName;
  /** The name of the file or folder. */
  name: string;
  folder: boolean;
  files: number;
  bytes: number;
  state: 'waiting' | 'receiving' | 'received' | 'refused' | 'failed';
  /** Bytes that are here and verified. */
  received: number;
  /** Where it lies, absolute: once it is received. */
  path?: string;
  error?: ErrorBody;
}

export interface AnswerQuery {
  verb: 'accept' | 'refuse';
  numbers: number[] | 'all';
}

/** What became of one. */
export interface AnsweredRow {
  number: number;
  name?: string;
  from?: PeerName;
  error?: ErrorBody;
}

/** Who and what came and went while peers and trackers were asked. */
export interface RefreshReport {
  came: PeerName[];
  left: PeerName[];
  /** Files that are offered now and were not, that are others than they were, and that are offered no more. */
  added: FileRow[];
  changed: FileRow[];
  removed: FileRow[];
  /** Of all: the lists are the first of many. */
  peers: { came: number; left: number };
  files: { added: number; changed: number; removed: number };
}

/** Why somebody is not registered any more. `lease`: nothing came from it for too long; `crowded`: room was needed. */
export type Departure = 'left' | 'broken' | 'lease' | 'replaced' | 'crowded';

/** A peer as the tracker's own status tells of it. */
export interface RegisteredRow extends PeerName {
  /** Where it can be reached, as the tracker tried; else where it was seen. */
  addresses: string[];
  /** Whether the tracker could connect to it. */
  reachable: boolean;
  since: number;
  files: number;
  bytes: number;
}

/** What a tracker says of its registry. */
export interface TrackerReport {
  /** The first of them. */
  registered: RegisteredRow[];
  /** Registered in all, and what they offer, this tracker's own among it. */
  peers: number;
  offers: number;
  /** Answered a second, lately. */
  lookups: number;
  /** Where the registry is kept, without a password: "memory", or the store's URL. */
  store: string;
}

/** A tracker that this peer registers with, or would. */
export interface TrackerRow {
  /** Who answers there, where that is known. */
  id?: PeerId;
  name?: string;
  address: string;
  registered: boolean;
  /** Since when, where it is registered. */
  since?: number;
  /** What is registered there, as it said last. */
  peers: number;
  offers: number;
  /** Why it is not registered there. */
  error?: ErrorBody;
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
  /** Set where it only serves, and fetches nothing. */
  seedOnly?: true;
  /** Bytes a second that it sends and fetches at most now, null for as much as goes; left out where its settings name no limit. */
  limits?: { up: number | null; down: number | null };
  /** Left out where it is no tracker. */
  tracker?: TrackerReport;
  /** Trackers that it knows, registered with or not; left out where none. */
  trackers?: TrackerRow[];
  /** Hosts of --join that are not reached now, and why; left out where none. */
  unjoined?: { address: string; error: ErrorBody }[];
}

/** Something that `doctor` looked at. `bad`: something does not work; `warn`: something works less well than it could. */
export interface Finding {
  level: 'ok' | 'warn' | 'bad';
  /** What it is about: "network", "clock", "port", "send", "firewall", "multicast", "join", "tracker", "reachable", "peers", "groups". */
  topic: string;
  /** What it comes from, a stable word, where something is not well: "firewall", "isolation", "snooping", "vpn", "nobody"... */
  cause?: string;
  message: string;
  /** What mends it. */
  advice?: string;
  /** The command that does so, or tells more, as it is typed in a shell. */
  command?: string;
}

/** What went over a network card since the peer started, in datagrams. */
export interface InterfaceRow {
  name: string;
  /** Own IP addresses, link-local ones of IPv6 with their zone. */
  addresses: string[];
  sent: number;
  /** Of what was sent to everyone, what came back to this machine. */
  echoed: number;
  /** From others in the card's networks, by how it was addressed. */
  heardMulticast: number;
  heardBroadcast: number;
  heardUnicast: number;
  /** Other peers in its networks. */
  peers: number;
}

export interface DoctorReport {
  findings: Finding[];
  /** The card of this machine alone at the end: of it, what other programs here said. */
  interfaces: InterfaceRow[];
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
  /** What it says, in words: of registering and looking up, and why a request failed. */
  words?: string;
  /** Bytes of the payload, or of the whole message where it has none. */
  size: number;
}

/** A path that is being typed. */
export interface BelowQuery {
  /** What is there of it: whole segments, and the beginning of the next. */
  prefix: string;
  /** Only these peers' files: names, ids or unique prefixes of ids. */
  from?: string[];
}

/** What it may go on with, to the end of its next segment. */
export interface BelowRow {
  path: string;
  folder: boolean;
}

/** What the commands speak to: a one-shot peer of their own, or a running peer over its control socket. */
export interface Api {
  /** Files of the network. @throws HearsayError `ambiguous` where a name in `from` is borne by two, `no-peer` where all are away */
  list(query: ListQuery): Promise<Listing>;
  /** The same piece by piece, as fast as it is taken; leaving it early ends it. */
  listing(query: ListQuery, signal: AbortSignal): AsyncIterable<ListingPart>;
  /** First `added` for each file that is there, then each change, until the signal. */
  follow(query: ListQuery, signal: AbortSignal): AsyncIterable<FollowEvent>;
  /** Who holds which chunks of what a WHAT means, files that are being received too. @throws as `get` */
  sources(what: string, from?: string[]): Promise<SourcesRow[]>;
  peers(): Promise<PeerRow[]>;
  /**
   * Forgets a peer that was here, and to whom names are tied. @param peer its name, its id or a unique prefix of its id
   * @throws HearsayError `not-found`, `ambiguous`
   */
  forget(peer: string): Promise<ForgottenRow>;
  /** What completes a path, of what is known already; the first of many. @throws as `list` */
  below(query: BelowQuery): Promise<BelowRow[]>;
  /** Fetches. Errors of single files are events; what stops everything is thrown. */
  get(query: GetQuery, signal: AbortSignal): AsyncIterable<GetEvent>;
  status(): Promise<StatusReport>;
  /** Shares more, now and at every start. A row for each path, in their order; errors are in the rows. */
  add(query: AddQuery): Promise<AddedRow[]>;
  /** Shares no more; what others are fetching of it ends. A row for each word, in their order; errors are in the rows. */
  remove(query: RemoveQuery): Promise<RemovedRow[]>;
  /** Who fetched what from this peer, the newest last; what lies long back is not among it. */
  served(): Promise<ServedRow[]>;
  /** Looks at what finding and reaching others rests on; takes some seconds where somebody does not answer. */
  doctor(): Promise<DoctorReport>;
  /** Holds, lets go on or ends transfers that it was asked for. A row for each number; errors are in the rows. */
  steer(query: SteerQuery): Promise<SteeredRow[]>;
  /** Sends; ends when every receiver has it or has not taken it. The signal takes it back. @throws HearsayError `not-running` of a one-shot, `no-such-path` */
  send(query: SendQuery, signal: AbortSignal): AsyncIterable<SendEvent>;
  /** What others want to send here, and sent, the newest last; what lies long back is not among it. */
  inbox(): Promise<InboxRow[]>;
  /** Takes what others want to send, or does not. A row for each number; errors are in the rows. */
  answer(query: AnswerQuery): Promise<AnsweredRow[]>;
  /** What happens from now on, until the signal. */
  events(signal: AbortSignal): AsyncIterable<ShareEvent>;
  /** Asks peers and trackers now. */
  refresh(): Promise<RefreshReport>;
  /** Every message from now on, until the signal. */
  trace(signal: AbortSignal): AsyncIterable<TraceRecord>;
}
