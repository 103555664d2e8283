import { Command } from 'commander';
import type { ShareEvent } from '../api.js';
import { printableJson } from '../names.js';
import type { Flags } from '../share/settings.js';
import type { Context, Perform } from './context.js';
import { count } from './format.js';
import { Gathered } from './gathered.js';
import { fitted } from './output.js';
import { Questions } from './questions.js';
import { addSharing, type SharingOptions, sharingFlags } from './sharing.js';
import { eventLine, isReceipt, shareLine } from './told.js';

/** Lines waiting for a reader that is slow; beyond it they are counted, not kept. */
const WAITING_MAX = 10_000;

/** `hearsay share PATH...`: a peer in the foreground. */
export function shareCommand(perform: Perform): Command {
  return addSharing(new Command('share'))
    .summary('share files and folders until Ctrl-C')
    .description(
      'Run a peer in the foreground that shares files and folders, read-only, with everyone on this network, or with a secret only with those who have the same one. Files whose names begin with a dot, and what a .hearsayignore names, are not shared.',
    )
    .usage('[options] PATH...')
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay share ~/Pictures\n  hearsay share report.pdf music\n  hearsay share . --as project\n  hearsay share ~/Letters --for bob\n  hearsay share --tracker\n  hearsay share ~/Pictures --join HOST',
    )
    .action((paths: string[], options: SharingOptions, command: Command) =>
      perform(command, (context) => share(context, paths, options)),
    );
}

async function share(context: Context, paths: string[], options: SharingOptions): Promise<void> {
  context.out.streams = true;
  await serve(context, sharingFlags(context.io.cwd, paths, options));
}

/** Is a peer that shares, and tells of it, until Ctrl-C. */
export async function serve(context: Context, flags: Flags): Promise<void> {
  const { out, io } = context;
  const teller = new Teller(context);
  const { api } = await context.session('share', { flags, onEvent: (event) => teller.tell(event) });
  const questions = Questions.fits(context)
    ? new Questions({ io, out, answer: (query) => api.answer(query) })
    : undefined;
  try {
    await questions?.start();
    teller.questions = questions;
    await context.interrupted();
  } finally {
    questions?.close();
  }
  out.note('goodbye');
}

/** Prints what the peer tells, without ever holding it up. */
class Teller {
  /** What asks whether something is to be received, where somebody can answer. */
  questions: Questions | undefined;
  readonly #context: Context;
  readonly #served: Gathered;
  #waiting = 0;
  #left = 0;

  constructor(context: Context) {
    this.#context = context;
    this.#served = new Gathered(context.io.stdout);
  }

  tell(event: ShareEvent): void {
    const { out, io } = this.#context;
    if (out.manner.quiet && event.event !== 'ready') return;
    if (event.event === 'warning' && !out.manner.json) {
      out.warn(event.message);
      return;
    }
    if (event.event === 'share' && event.change === 'away' && !out.manner.json) {
      out.warn(shareLine(event));
      return;
    }
    if (event.event === 'transfer' && isReceipt(event.row) && !out.manner.json) return;
    if (event.event === 'inbox' && this.questions?.tell(event.row)) return;
    const line = out.manner.json ? printableJson(event) : eventLine(event, out.style, out.manner.verbose);
    if (line === undefined) return;
    if (this.#waiting >= WAITING_MAX) {
      this.#left++;
      return;
    }
    this.#waiting++;
    const text = out.manner.json ? line : fitted(line, io.stdout);
    if (event.event !== 'serving') void this.#served.flush();
    const written = event.event === 'serving' ? this.#served.add(text) : io.stdout.write(`${text}\n`);
    void written.then(() => {
      this.#waiting--;
      if (this.#waiting > 0 || this.#left === 0) return;
      out.warn(`${count(this.#left, 'line')} left out, because nobody read them in time`);
      this.#left = 0;
    });
  }
}
