/**
 * Limits as people write them: rates, hours of the day, days of the week; and which of them hold at a time.
 *
 * Owns nothing. Always true: what is taken means one thing only ("20Mb/s" may be bits or bytes, and is refused). Called by the
 * settings, which check what is written, the commands, and the peer's Limits.
 */
import { HearsayError } from '../errors.js';

/** The least limit, bytes a second: below it one block takes longer than a receiver waits. */
export const RATE_MIN = 1000;

const UNIT = /^(\d+(?:\.\d+)?|\.\d+)\s*([kmgt]?)(i?)(bits?|b)?(\/s|ps)?$/i;
const POWERS = 'kmgt';

export const RATE_EXPECTED = 'a rate like "20MB/s", "500kB/s", "1.5MiB/s" or "80Mbit/s", at least 1kB/s, or "none"';
export const HOURS_EXPECTED = 'hours like "08:00-18:00" or "22:00-06:00"';
export const DAYS_EXPECTED = 'days like "mon-fri" or "sat,sun"';

const usage = (what: string) => new HearsayError('usage', `expected ${what}`);

/**
 * A rate in bytes a second; Infinity for none.
 * @param given a number is bytes a second
 * @throws HearsayError `usage`
 */
export function parseRate(given: string | number): number {
  const text = typeof given === 'number' ? `${given}` : given.trim();
  if (text === '0' || text.toLowerCase() === 'none') return Number.POSITIVE_INFINITY;
  const [, number, prefix, binary, unit = 'B', per] = UNIT.exec(text) ?? [];
  // A small b may mean either, unless it is as in "Mbps".
  const isVague = unit === 'b' && per?.toLowerCase() !== 'ps';
  if (number === undefined || isVague || (prefix === '' && binary !== '')) throw usage(RATE_EXPECTED);
  const scale = prefix === '' ? 1 : (binary === '' ? 1000 : 1024) ** (POWERS.indexOf(prefix.toLowerCase()) + 1);
  const rate = (Number(number) * scale) / (unit === 'B' ? 1 : 8);
  if (!(rate >= RATE_MIN && rate <= Number.MAX_SAFE_INTEGER)) throw usage(RATE_EXPECTED);
  return rate;
}

/** From when to when, minutes since midnight; `to` of the next day where it is less. @throws HearsayError `usage` */
export function parseHours(text: string): { from: number; to: number } {
  const found = /^(\d{1,2})(?::(\d\d))?\s*-\s*(\d{1,2})(?::(\d\d))?$/.exec(text.trim());
  if (!found) throw usage(HOURS_EXPECTED);
  const [from, to] = [minutesOf(found[1], found[2]), minutesOf(found[3], found[4])];
  if (from === undefined || to === undefined || from === 1440 || from === to) throw usage(HOURS_EXPECTED);
  return { from, to };
}

function minutesOf(hours: string, minutes = '00'): number | undefined {
  const all = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && all <= 1440 ? all : undefined;
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** Days of the week, 0 for Sunday. @throws HearsayError `usage` */
export function parseDays(text: string): Set<number> {
  const days = new Set<number>();
  for (const part of text.toLowerCase().split(',')) {
    const [first, last = first, more] = part.split('-').map((word) => DAYS.indexOf(word.trim()));
    if (first < 0 || last < 0 || more !== undefined) throw usage(DAYS_EXPECTED);
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return days;
}

/** Other limits at some hours. */
export interface LimitRule {
  hours: string;
  /** The days on which these hours begin; every day where it is left out. */
  days?: string | undefined;
  /** Rates; where one is left out, the general one holds. */
  up?: string | number | undefined;
  down?: string | number | undefined;
}

export interface LimitSettings {
  'limit-up': string | number;
  'limit-down': string | number;
  limit: readonly LimitRule[];
}

/** Bytes a second; Infinity for none. */
export interface Rates {
  up: number;
  down: number;
}

/**
 * The limits that hold at a time: those of the first rule whose hours it is, else the general ones.
 * @param at of which the local time counts
 */
export function ratesAt(settings: LimitSettings, at: Date): Rates {
  const rule = settings.limit.find((one) => holds(one, at));
  return {
    up: parseRate(rule?.up ?? settings['limit-up']),
    down: parseRate(rule?.down ?? settings['limit-down']),
  };
}

function holds({ hours, days }: LimitRule, at: Date): boolean {
  const { from, to } = parseHours(hours);
  const now = at.getHours() * 60 + at.getMinutes();
  const isOn = (day: number) => days === undefined || parseDays(days).has(day);
  if (from < to) return now >= from && now < to && isOn(at.getDay());
  // Past midnight it is still the evening before's.
  return (now >= from && isOn(at.getDay())) || (now < to && isOn((at.getDay() + 6) % 7));
}

/** Whether any limit is named at all. */
export function hasLimits(settings: LimitSettings): boolean {
  const all = [settings['limit-up'], settings['limit-down'], ...settings.limit.flatMap(({ up, down }) => [up, down])];
  return all.some((rate) => rate !== undefined && parseRate(rate) !== Number.POSITIVE_INFINITY);
}
