import { Command } from 'commander';
import type { ShareEvent } from '../api.js';
import { printableJson } from '../names.js';
import type { Context, Perform } from './context.js';
import { count } from './format.js';
import { addSharing, type SharingOptions, sharingFlags } from './sharing.js';
import { eventLine, shareLine } from './told.js';

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
  const { out, io } = context;
  out.streams = true;
  const flags = sharingFlags(io.cwd, paths, options);
  const teller = new Teller(context);
  await context.session('share', { flags, onEvent: (event) => teller.tell(event) });
  await context.interrupted();
  out.note('goodbye');
}

/** Prints what the peer tells, without ever holding it up. */
class Teller {
  readonly #context: Context;
  #waiting = 0;
  #left = 0;

  constructor(context: Context) {
    this.#context = context;
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
    const line = out.manner.json ? printableJson(event) : eventLine(event, out.style, out.manner.verbose);
    if (line === undefined) return;
    if (this.#waiting >= WAITING_MAX) {
      this.#left++;
      return;
    }
    this.#waiting++;
    void io.stdout.write(`${line}\n`).then(() => {
      this.#waiting--;
      if (this.#waiting > 0 || this.#left === 0) return;
      out.warn(`${count(this.#left, 'line')} left out, because nobody read them in time`);
      this.#left = 0;
    });
  }
}
