import { asHearsayError, type Code, HearsayError } from '../../lib/errors.js';
import type { Chance } from './chance.js';

/** Something that fuzzing found: what a program must not do. */
export class Finding extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Finding';
  }
}

/** @throws Finding where something does not hold */
export function holds(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Finding(what);
}

/**
 * The code of an error that was to be expected.
 * @param codes which may be thrown; any of ours where none is named
 * @throws Finding for every other
 */
export function expected(thrown: unknown, ...codes: Code[]): Code {
  if (!(thrown instanceof HearsayError)) {
    const { message } = asHearsayError(thrown);
    throw new Finding(`an error that is no HearsayError: ${message}`, { cause: thrown });
  }
  if (codes.length > 0 && !codes.includes(thrown.code)) {
    throw new Finding(`the code ${thrown.code} (${thrown.message}), expected ${codes.join(', ')}`, { cause: thrown });
  }
  return thrown.code;
}

/** Counts what inputs came to: how many reached each validator and handler, and with what end. */
export class Reach {
  readonly counts = new Map<string, Map<string, number>>();

  note(what: string, end: string, times = 1): void {
    let ends = this.counts.get(what);
    if (!ends) {
      ends = new Map();
      this.counts.set(what, ends);
    }
    ends.set(end, (ends.get(end) ?? 0) + times);
  }

  /** `ok` or `refused`, by whether something threw as expected. Gives what it returned. */
  try<T>(what: string, run: () => T, ...codes: Code[]): T | undefined {
    let value: T;
    try {
      value = run();
    } catch (thrown) {
      this.note(what, `refused ${expected(thrown, ...codes)}`);
      return undefined;
    }
    this.note(what, 'ok');
    return value;
  }
}

/** One thing that inputs are given to. An input is plain data (see corpus.ts), so that it can be saved and made smaller. */
export interface Target<I = unknown> {
  readonly name: string;
  /** How much of the time it gets, beside the others; 1 where not said. */
  readonly weight?: number;
  /** Makes an input. @param n the number of the case, for what is drawn for many at once */
  make(chance: Chance, seed: number, n: number): I;
  /** @throws anything: a finding */
  run(input: I, reach: Reach): void | Promise<void>;
}

/** Keeps the type of the input within the target alone. */
export function target<I>(of: Target<I>): Target {
  return of as Target;
}
