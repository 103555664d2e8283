/**
 * The daemon's log: levels and JSON by pino, written by a LogFile. pino's own transports would each cost a thread.
 * Owns the LogFile. Always true: a line is one JSON object that is safe to print, whatever peers call themselves.
 */
import { pino } from 'pino';
import { escapeJson } from '../names.js';
import { LogFile, type LogFileOptions } from './log-file.js';

export const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'] as const;
export type Level = (typeof LEVELS)[number];

export interface Log {
  /**
   * @param words for people, printable
   * @param data what it is about, for programs
   */
  write(level: Level, words: string, data?: object): void;
  /** Has everything on the disk, as far as that takes it. */
  flush(): Promise<void>;
}

/**
 * Begins to write the log of a state folder; nothing is written before the first line.
 * @param options.verbose whether `debug` is written too
 * @param options.bytes of a file before it is put aside
 */
export function openLog(state: string, options: { verbose: boolean } & Pick<LogFileOptions, 'bytes'>): Log {
  const { verbose, bytes } = options;
  const lost = (lines: number) =>
    `${JSON.stringify({ level: 'warn', time: Date.now(), pid: process.pid, msg: `${lines} lines before this could not be written, and are lost` })}\n`;
  const file = new LogFile(state, { lost, ...(bytes === undefined ? {} : { bytes }) });
  const logger = pino(
    {
      level: verbose ? 'debug' : 'info',
      base: { pid: process.pid },
      formatters: { level: (level) => ({ level }) },
    },
    {
      write: (line) => file.write(`${escapeJson(line.trimEnd())}\n`),
      // pino calls it after a line of level `fatal`.
      flushSync: () => file.flushSync(),
    } as { write(line: string): void },
  );
  return {
    write: (level, words, data) => logger[level](data ?? {}, words),
    flush: () => file.flush(),
  };
}
