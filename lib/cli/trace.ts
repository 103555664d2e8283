/** `--trace`: every message, a line each, to standard error, so that a learner can follow an exchange. */
import type { Api, TraceRecord } from '../api.js';
import { printable, printableJson } from '../names.js';
import type { Output } from './output.js';

/** `→ 192.168.1.7:47748 T transfer photos/cat.jpg chunk 3 262144 B tcp`; `←` is what came in. */
export function traceLine(record: TraceRecord): string {
  const { direction, over, peer, type, file, chunk, words, size } = record;
  const parts = [direction === 'out' ? '→' : '←', printable(peer), printable(type)];
  if (file !== undefined) parts.push(printable(file));
  if (chunk !== undefined) parts.push(`chunk ${chunk}`);
  if (words !== undefined) parts.push(printable(words));
  parts.push(`${size} B`, over);
  return parts.join(' ');
}

/** Prints until the signal. A session that ends before it ends the trace too. */
export async function printTrace(api: Api, out: Output, signal: AbortSignal): Promise<void> {
  try {
    for await (const record of api.trace(signal)) {
      const line = out.manner.json ? printableJson({ event: 'trace', ...record }) : traceLine(record);
      await out.log(line);
    }
  } catch {
    // The command itself meets, and tells, what ended the session.
  }
}
