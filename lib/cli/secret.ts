import { open, unlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { asHearsayError, HearsayError, reasonOf } from '../errors.js';
import { printable } from '../names.js';
import { newSecret } from '../share/secret.js';
import type { Context, Perform } from './context.js';

const USE = `
A secret makes a group private: only peers with the same one see each other,
and nobody else on the network can read names, files, or who is there. Bring it
to each machine by a way that you trust (the file on a stick, read out over the
telephone), and give it to every command:

  hearsay secret new ~/.hearsay-secret
  hearsay share ~/Pictures --secret-file ~/.hearsay-secret

or once and for all in the config file (secret-file = "~/.hearsay-secret"), or
in the environment (HEARSAY_SECRET). It is never given on the command line
itself, where other users of the machine could read it.`;

/** `hearsay secret`: holds what concerns secrets. */
export function secretCommand(): Command {
  const secret: Command = new Command('secret')
    .summary('make a secret for a private group')
    .description('Make a secret for a private group.')
    .usage('new [FILE]')
    .helpCommand(false)
    .argument('[word...]')
    .allowUnknownOption()
    .addHelpText('after', USE)
    .action((words: string[]) => {
      const what =
        words.length > 0 ? `there is no hearsay secret ${words[0]}` : 'hearsay secret does nothing by itself';
      throw new HearsayError('usage', `${what}; hearsay secret new makes a secret`);
    });
  return secret;
}

/** `hearsay secret new [FILE]`: prints a strong secret, or writes it to a file. */
export function secretNewCommand(perform: Perform): Command {
  return new Command('new')
    .summary('a strong secret, printed or written to FILE')
    .description(
      'Print a strong secret, of characters that can be read out without mistaking one for another (capitals and dashes do not count); or write it to FILE, which only its owner can read. A FILE that exists is left alone.',
    )
    .usage('[options] [FILE]')
    .argument('[file]')
    .addHelpText('after', `${USE}\n\nExamples:\n  hearsay secret new\n  hearsay secret new ~/.hearsay-secret`)
    .action((file: string | undefined, _options: object, command: Command) =>
      perform(command, (context) => makeSecret(context, file)),
    );
}

async function makeSecret(context: Context, file: string | undefined): Promise<void> {
  const { out, io } = context;
  const secret = newSecret();
  if (file === undefined) {
    if (out.manner.json) return out.data({ secret });
    await out.line(secret);
    out.note('put it into a file on each machine, and name that with --secret-file FILE');
    return;
  }
  if (file === '') throw new HearsayError('usage', 'FILE is empty');
  const path = resolve(io.cwd, file);
  try {
    await writeFresh(path, `${secret}\n`);
  } catch (thrown) {
    const there = (thrown as NodeJS.ErrnoException).code === 'EEXIST';
    const error = asHearsayError(thrown, 'not-writable');
    const message = there ? `${path} exists, and a secret is never overwritten` : `${path}: ${reasonOf(thrown)}`;
    await out.error(new HearsayError(there ? 'exists' : error.code, message, { cause: thrown }), { advise: false });
    context.failed(there ? 'exists' : error.code);
    return;
  }
  if (out.manner.json) return out.data({ file: path });
  const shown = printable(path);
  await out.line(`wrote a new secret to ${shown}`);
  out.note(`copy it to the other machines by a way that you trust, and use it everywhere: --secret-file ${shown}`);
}

/** Writes a file that must not exist, readable by its owner only; leaves none where it cannot be written whole. */
async function writeFresh(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600);
  let whole = false;
  try {
    await handle.writeFile(text);
    await handle.sync();
    whole = true;
  } finally {
    await handle.close();
    if (!whole) await unlink(path).catch(() => {});
  }
}
