/**
 * What a path on the wire may be. Pure: whether this platform's disk can hold a name is asked where files are written.
 * A path is `SHARE/relative/path`: segments joined by `/`, whatever the platform's own separator.
 */
import { PATH_DEPTH_MAX, PATH_MAX, SEGMENT_MAX } from './limits.js';

/** Why a segment is refused everywhere, or undefined when it is not. */
export function segmentFault(segment: string): string | undefined {
  if (segment === '') return 'an empty segment';
  if (segment === '.' || segment === '..') return `the segment ${segment}`;
  if (segment.includes('\0')) return 'a NUL character';
  if (segment.includes('/')) return 'a slash in a segment';
  if (Buffer.byteLength(segment) > SEGMENT_MAX) return `a segment over ${SEGMENT_MAX} bytes`;
  if (!segment.isWellFormed()) return 'not valid Unicode';
  return undefined;
}

/** Why a path is refused everywhere, or undefined when it is not: absolute, `.` and `..`, NUL, too long, not UTF-8. */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'an empty path';
  if (path.startsWith('/')) return 'an absolute path';
  if (Buffer.byteLength(path) > PATH_MAX) return `a path over ${PATH_MAX} bytes`;
  const segments = path.split('/');
  if (segments.length > PATH_DEPTH_MAX) return `more than ${PATH_DEPTH_MAX} segments`;
  for (const segment of segments) {
    const fault = segmentFault(segment);
    if (fault) return fault;
  }
  return undefined;
}

/** Whether a path may be believed to be a path at all. */
export function isSafePath(path: string): boolean {
  return pathFault(path) === undefined;
}

// Control characters (C0, DEL, C1) and the marks that turn the direction of text round.
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** Text from the network or the disk, made safe to print: control and direction characters as `\u{…}` escapes. */
export function printable(text: string): string {
  return text.toWellFormed().replace(UNPRINTABLE, (c) => {
    if (c === '\n') return '\\n';
    if (c === '\t') return '\\t';
    if (c === '\r') return '\\r';
    return `\\u{${c.charCodeAt(0).toString(16)}}`;
  });
}

/** A value as JSON on one line that is safe to print: the same value, these characters as JSON's own escapes. */
export function printableJson(value: object): string {
  return escapeJson(JSON.stringify(value));
}

/** The same for JSON that was made elsewhere: one value, without a line feed. */
export function escapeJson(json: string): string {
  return json.replace(UNPRINTABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Compares by code unit: the one order in which paths are listed, the same on every machine and in every locale. */
export function byPath(a: { path: string }, b: { path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}
