/** What a command runs in, as values that are handed in, so that commands run in tests without a process or a network. */
import type { Api, ShareEvent } from '../api.js';
import type { HearsayError } from '../errors.js';
import type { Flags } from '../share/settings.js';

/** Standard output or standard error. */
export interface Sink {
  readonly isTTY: boolean;
  /** Columns of the terminal; 80 where there is none. */
  readonly columns: number;
  /** The reader has gone (`hearsay ls | head`); writing does nothing any more. */
  readonly closed: boolean;
  /** Why it closed, where that is not the reader's doing: a full disk under a file. */
  readonly fault: HearsayError | undefined;
  /** Resolves when more may be written. Never rejects. */
  write(data: string | Uint8Array): Promise<void>;
}

export interface Io {
  stdout: Sink;
  stderr: Sink;
  env: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative paths of the command line are relative to it. */
  cwd: string;
  /** The program's version. */
  version: string;
  /** Milliseconds since 1970. */
  now(): number;
  /** Tells of Ctrl-C and of being asked to end; returns what stops the telling. */
  onSignal(handler: () => void): () => void;
}

/** What a command asks for when it wants something to speak to. */
export interface Wanted {
  /**
   * `share`: start a long-lived peer; `any`: the running one, else a one-shot of our own; `running`: the running one.
   */
  mode: 'share' | 'any' | 'running';
  /** Whether a one-shot is to keep up with what changes. */
  follow?: boolean;
  /** Whether a one-shot keeps its first messages for the trace. */
  trace?: boolean;
  /** What was given on the command line. */
  flags: Flags;
  configFile?: string | undefined;
  env: Io['env'];
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
  /** Says goodbye and lets go of everything. */
  close(): Promise<void>;
}

/** @throws HearsayError `not-running` and all that starting a peer throws */
export type Connect = (wanted: Wanted) => Promise<Session>;
