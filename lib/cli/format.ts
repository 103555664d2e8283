/** Numbers as people read them. Sizes in steps of 1,024 everywhere: B, KiB, MiB, GiB, TiB. */
import type { PeerName } from '../api.js';
import { printable } from '../names.js';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `0 B`, `999 B`, `1.0 KiB`, `27 MiB`: at least two digits, at most four. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.95 would be rounded to 1024.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** @param rate bytes a second */
export function formatRate(rate: number): string {
  return `${formatSize(rate)}/s`;
}

/** How long something took: `0.3 s`, `12 s`, `2 min 5 s`, `3 h 2 min`, `4 d 3 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
}

/** Time left as a clock that runs down: `0:07`, `12:30`, `1:02:03`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** `1 file`, `1,234 files`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

/** A peer as a person knows it: its name, safe to print, or its id where it has none. */
export function peerLabel(peer: PeerName): string {
  return printable(peer.name) || peer.id;
}

/** The first few peers by name, and how many more. */
export function peerList(peers: readonly PeerName[], shown = 2): string {
  const names = peers.slice(0, shown).map(peerLabel).join(', ');
  return peers.length > shown ? `${names} +${peers.length - shown}` : names;
}

/** Local time, `2026-03-01 14:05`, or with seconds `2026-03-01 14:05:09`. */
export function formatTime(millis: number, seconds = false): string {
  const date = new Date(millis);
  if (Number.isNaN(date.getTime())) return '?';
  const two = (value: number) => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}` +
    ` ${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ''}`
  );
}
