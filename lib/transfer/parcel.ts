/**
 * What a parcel is called, and the paths of what is in it: a parcel is what one `send` offers to its receivers.
 *
 * Owns nothing. Always true: item N of a parcel is at the path `PARCEL.N`, what is in an item that is a folder below it.
 * Called by who sends and who receives.
 */
import { ulid } from 'ulid';
import type { Millis, Random } from '../clock.js';

const NAME = /^send-[0-9A-HJKMNP-TV-Z]{26}$/;
const PATH = /^(send-[0-9A-HJKMNP-TV-Z]{26})\.(0|[1-9][0-9]{0,2})(?:\/(.+))?$/s;

/** A place in a parcel. */
export interface ParcelPath {
  parcel: string;
  item: number;
  /** Below the item, where that is a folder; empty where it is the item itself. */
  rest: string;
}

/** A name that nobody else gives and nobody guesses. @param random of cryptographic quality */
export function parcelName(now: Millis, random: Random): string {
  return `send-${ulid(now, random)}`;
}

export function isParcelName(text: string): boolean {
  return NAME.test(text);
}

/** Where an item is on the wire. */
export function itemPath(parcel: string, item: number): string {
  return `${parcel}.${item}`;
}

/** What of which parcel a path on the wire is; undefined where it is of none. */
export function parsePath(path: string): ParcelPath | undefined {
  const match = PATH.exec(path);
  return match ? { parcel: match[1], item: Number(match[2]), rest: match[3] ?? '' } : undefined;
}

/** What a person calls several things: the first, and how many more. */
export function titleOf(names: readonly string[]): string {
  const [first = '', ...more] = names;
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}
