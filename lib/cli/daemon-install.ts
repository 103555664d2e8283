/** `hearsay daemon install|uninstall`: has the system start the daemon, and start it again. */
import { homedir } from 'node:os';
import { Command } from 'commander';
import type { Service } from '../daemon/service.js';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { endDaemon, findRunning, launchedBy, settingsOf } from './daemon-common.js';
import { addSharing, type SharingOptions } from './sharing.js';

interface Options extends SharingOptions {
  print?: boolean;
}

export function daemonInstallCommand(perform: Perform): Command {
  return addSharing(new Command('install'))
    .summary('have the system start it, and start it again')
    .description(
      'Write a service of this user that runs the daemon with these options, show it, and start it: a systemd user unit, a launchd agent, or a scheduled task of Windows. It is started at login, and again when it fails. A daemon that runs already is stopped first.',
    )
    .usage('[options] [PATH...]')
    .option('--print', 'only show it')
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay daemon install ~/Pictures\n  hearsay daemon install --tracker --print',
    )
    .action((paths: string[], options: Options, command: Command) =>
      perform(command, (context) => install(context, paths, options)),
    );
}

export function daemonUninstallCommand(perform: Perform): Command {
  return new Command('uninstall')
    .summary('undo `install`')
    .description('Stop the daemon that the service runs, and take the service away. Its state folder stays.')
    .usage('[options]')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => {
        const { out } = context;
        const { state } = await settingsOf(context);
        const { removeService } = await import('../daemon/install.js');
        const { existsSync } = await import('node:fs');
        const service = await serviceFor(context, state, []);
        const isThere = existsSync(service.file);
        if (isThere) {
          // Windows would kill it, without a goodbye.
          if (process.platform === 'win32') await endDaemon(context, state);
          await removeService(service);
        }
        if (out.manner.json) return out.data({ file: service.file, removed: isThere });
        if (isThere) await out.line(`removed ${printable(service.file)}`);
        else out.note(`there is no ${printable(service.file)}: nothing to undo`);
      }),
    );
}

/** The service of a state folder, with the words of `daemon run`. */
async function serviceFor(context: Context, state: string, words: string[]): Promise<Service> {
  const { env } = context.io;
  const { serviceOf, serviceName } = await import('../daemon/service.js');
  const { daemonWords } = await import('../daemon/launch.js');
  const { works } = await import('../daemon/install.js');
  const { loadSettings } = await import('../share/settings.js');
  // The usual one, whatever the environment and the config file say of it.
  const usual = (await loadSettings({ flags: { state: '' }, configFile: undefined })).state;
  const { platform } = process;
  return serviceOf({
    platform,
    name: serviceName(state === usual ? undefined : state),
    command: daemonWords(['--service', ...words]),
    state,
    home: homedir(),
    uid: process.getuid?.() ?? -1,
    env,
    notify: platform === 'linux' && (await works('systemd-notify', '--version')),
  });
}

async function install(context: Context, paths: string[], options: Options): Promise<void> {
  const { out, io } = context;
  const given = launchedBy(context, paths, options);
  const { state } = await settingsOf(context, given);
  const launched = { ...given, flags: { ...given.flags, state } };
  const { withheldOf } = await import('../daemon/launched.js');
  const { wordsOf } = await import('../daemon/words.js');
  const [secret] = withheldOf(launched, io.env);
  if (secret === 'HEARSAY_SECRET') {
    throw new HearsayError(
      'usage',
      'a service does not have HEARSAY_SECRET, and would be in the open group: use --secret-file, or secret-file in the config file',
    );
  }
  if (secret)
    throw new HearsayError(
      'usage',
      `${secret} has a password, which is not for a service's file: put it into the config file`,
    );
  const service = await serviceFor(context, state, wordsOf(launched));
  const shown = service.text.replace('\ufeff', '');
  const { file, enable, note } = service;
  if (options.print) {
    if (out.manner.json) await out.data({ file, text: shown, commands: enable.map(({ words }) => words) });
    else await out.line(shown.trimEnd());
    return;
  }
  const { writeService, runSteps } = await import('../daemon/install.js');
  const running = await findRunning(context, state);
  running?.close();
  if (running?.runs === 'foreground') {
    throw new HearsayError(
      'state-in-use',
      `a peer runs in the foreground there (process ${running.pid}): end it first`,
    );
  }
  if (!out.manner.json) await out.line(shown.trimEnd());
  const { makeFolders } = await import('../share/folders.js');
  await makeFolders(state, 0o700);
  await writeService(service);
  out.note(`wrote ${printable(file)}`);
  for (const step of enable) {
    // Only now: where the system has no such services, the one that runs goes on.
    if (step === enable.at(-1)) await endDaemon(context, state);
    if (!step.lenient) out.note(step.words.map(printable).join(' '));
    await runSteps([step]);
  }
  await awaitReady(context, state, { file });
  out.note(note);
}

/** Has the system's service run the daemon anew. */
export async function restartService(context: Context, state: string): Promise<void> {
  const { runSteps } = await import('../daemon/install.js');
  const { file, restart } = await serviceFor(context, state, []);
  if (process.platform === 'win32') await endDaemon(context, state);
  await runSteps(restart);
  await awaitReady(context, state, { file });
}

const READY_MS = 60_000;
const LOOK_MS = 200;

/** Waits until the daemon of a service answers, and says so. @throws HearsayError `timeout` */
async function awaitReady(context: Context, state: string, more: object): Promise<void> {
  const { out } = context;
  const { connectControl } = await import('../daemon/control-client.js');
  const { setTimeout: delay } = await import('node:timers/promises');
  for (const end = performance.now() + READY_MS; ; await context.within(delay(LOOK_MS))) {
    const client = await context.within(connectControl(state)).catch(() => undefined);
    if (client) {
      const { pid } = client;
      client.close();
      if (out.manner.json) await out.data({ ...more, running: true, pid });
      else await out.line(`running (process ${pid})`);
      return;
    }
    if (performance.now() > end) {
      throw new HearsayError('timeout', `the service is not ready after ${READY_MS / 1000} s: hearsay daemon logs`);
    }
  }
}
