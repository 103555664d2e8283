/**
 * What happens meanwhile, as lines between those that are typed: a few at a time, the rest as one.
 *
 * Owns how many lines were let through lately. Always true: at most LINES within WINDOW_MS, so that the prompt is not flooded, then one
 * that says how many there were more. Pure but for the printing, which is handed in. Called by the console.
 */
import type { Millis } from '../clock.js';
import { count } from './format.js';

/** Lines within a window, ms. */
const LINES = 10;
export const WINDOW_MS: Millis = 2000;

export class Live {
  readonly #print: (line: string) => void;
  #since: Millis = Number.NEGATIVE_INFINITY;
  #shown = 0;
  #left = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** @returns whether there is something to be said at the window's end */
  take(line: string, now: Millis): boolean {
    this.tick(now);
    if (this.#shown < LINES) {
      this.#shown++;
      this.#print(line);
    } else this.#left++;
    return this.#left > 0;
  }

  /** Says what was left out, when the window is over. */
  tick(now: Millis): void {
    if (now - this.#since < WINDOW_MS) return;
    this.#since = now;
    this.#shown = 0;
    if (this.#left > 0)
      this.#print(`${count(this.#left, 'thing')} more happened: \`peers\`, \`ls\` and \`status\` show how it is now`);
    this.#left = 0;
  }
}
