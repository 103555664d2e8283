/** What a command speaks to, and how it asks for it: the commands' side and the peers' side both know only this. */
import type { Api, ShareEvent } from './api.js';
import type { HearsayError } from './errors.js';

/** What a command asks for when it wants something to speak to. `Flags`: what was given on the command line. */
export interface Wanted<Flags> {
  /**
   * `share`: start a long-lived peer; `daemon`, `console`: the same, which may have nothing to share yet; `any`: the running
   * one, else a one-shot of our own; `running`: the running one.
   */
  mode: 'share' | 'daemon' | 'console' | 'any' | 'running';
  /** Of a daemon: whether the system's own services started it. */
  service?: boolean;
  /** Of a daemon: called when a command asks it to end. */
  onStop?(): void;
  /** Whether a one-shot is to keep up with what changes. */
  follow?: boolean;
  /** Whether a one-shot is to listen where a long-lived peer would. */
  listens?: boolean;
  /** Whether a one-shot keeps its first messages for the trace. */
  trace?: boolean;
  flags: Flags;
  configFile?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** What a long-lived peer tells; `ready` is first, and comes when commands reach it too. */
  onEvent?(event: ShareEvent): void;
  /** Something that the user should know and that does not stop the command. */
  onWarning(message: string): void;
}

export interface Session {
  api: Api;
  /** Whether a running peer answers, not one of our own. */
  running: boolean;
  /** Seconds without anything arriving after which a transfer is given up. */
  timeout: number;
  /** Why hosts named by --join could not be reached until now, by host. */
  unreached(): ReadonlyMap<string, HearsayError>;
  /**
   * Of a long-lived peer of our own: reads the settings again, see Peer.reload; resolves to what could not be done, and what
   * needs a restart, in words for people. @throws HearsayError `config`
   */
  reload?(): Promise<string[]>;
  /** Says goodbye and lets go of everything. */
  close(): Promise<void>;
}
