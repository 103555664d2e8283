/** What a command runs in, as values that are handed in, so that commands run in tests without a process or a network. */
import type { Readable } from 'node:stream';
import type { HearsayError } from '../errors.js';
import type { Session, Wanted as WantedWith } from '../session.js';
import type { Flags } from '../share/settings.js';

/** Standard output or standard error. */
export interface Sink {
  readonly isTTY: boolean;
  /** Columns of the terminal; 80 where there is none. */
  readonly columns: number;
  /** Lines of the terminal; 24 where there is none. */
  readonly rows: number;
  /** The reader has gone (`hearsay ls | head`); writing does nothing any more. */
  readonly closed: boolean;
  /** Why it closed, where that is not the reader's doing: a full disk under a file. */
  readonly fault: HearsayError | undefined;
  /** Resolves when more may be written. Never rejects. */
  write(data: string | Uint8Array): Promise<void>;
  /** Tells that the terminal has another size; returns what stops the telling. */
  onResize(handler: () => void): () => void;
}

/** Standard input. */
export type Source = Readable & { readonly isTTY?: boolean };

export interface Io {
  /** Opened when it is first looked at, so that a command that reads nothing leaves it alone. */
  readonly stdin: Source;
  stdout: Sink;
  stderr: Sink;
  env: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative paths of the command line are relative to it. */
  cwd: string;
  /** The program's version. */
  version: string;
  /** Milliseconds since 1970. */
  now(): number;
  /** Tells of Ctrl-C, and of being asked to end otherwise; returns what stops the telling. */
  onSignal(handler: (why?: 'interrupt' | 'end') => void): () => void;
  /** Tells of SIGHUP instead, which else is as Ctrl-C; returns what stops the telling. */
  onHangup(handler: () => void): () => void;
  /** Tells that the process goes on after it was stopped (Ctrl-Z); returns what stops the telling. */
  onContinue(handler: () => void): () => void;
  /** Whether what is typed at the terminal is for this process: it is not for one that was started with `&`. */
  isForeground(): Promise<boolean>;
  /** Set where a person types meanwhile, so that no progress is drawn. */
  readonly behind?: boolean;
}

export type { Session } from '../session.js';

/** What a command asks for, with the options of the command line. */
export type Wanted = WantedWith<Flags>;

/** @throws HearsayError `not-running` and all that starting a peer throws */
export type Connect = (wanted: Wanted) => Promise<Session>;
