/** `hearsay man`: the manual. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Context, Perform } from './context.js';
import { type Manual, manualOf, plainText, roff } from './manual.js';

export function manCommand(perform: Perform): Command {
  return new Command('man')
    .summary('the manual')
    .description(
      'Show the manual: all commands and options on one page. Into a file or a pipe it goes as the source for man(1).',
    )
    .usage('[options]')
    .addHelpText('after', '\nExamples:\n  hearsay man\n  hearsay man > ~/.local/share/man/man1/hearsay.1')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => {
        const { io, out } = context;
        const manual = manualOf(command.parent as Command, io.version);
        if (!io.stdout.isTTY) await out.line(roff(manual).trimEnd());
        else if (!(await shown(context, manual))) await out.lines(plainText(manual, Math.min(io.stdout.columns, 100)));
      }),
    );
}

/** Has man(1) show it; false where there is none. It takes a file everywhere, and a pipe not everywhere. */
async function shown({ io }: Context, manual: Manual): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-man-'));
  try {
    const file = join(folder, 'hearsay.1');
    await writeFile(file, roff(manual));
    return await new Promise<boolean>((resolve) => {
      const child = spawn('man', [file], { stdio: 'inherit', env: io.env as NodeJS.ProcessEnv });
      child.once('error', () => resolve(false));
      child.once('close', (status) => resolve(status === 0));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
