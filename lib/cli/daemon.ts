/** `hearsay daemon start|stop|restart|status`: a peer in the background. */
import { Command } from 'commander';
import type { ControlClient } from '../daemon/control-client.js';
import type { Launched } from '../daemon/launched.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Flags, Settings } from '../share/settings.js';
import type { Context, Perform } from './context.js';
import { endDaemon, findRunning, launchedBy, settingsOf } from './daemon-common.js';
import { restartService } from './daemon-install.js';
import { addSharing, type SharingOptions } from './sharing.js';
import { statusLines } from './status.js';
import { eventLine } from './told.js';

const USE = `
A daemon shares, and goes on with what it fetches, without a terminal. Started
once, it is there until it is stopped or the machine ends; \`install\` has the
system start it again. One state folder has one daemon; all commands ask it.

  hearsay daemon start ~/Pictures
  hearsay daemon status
  hearsay daemon logs -f`;

/** `hearsay daemon`: holds what concerns the daemon. */
export function daemonCommand(): Command {
  const daemon: Command = new Command('daemon')
    .summary('a peer in the background: start, stop, restart, status, logs, install')
    .description('Run a peer in the background.')
    .usage('COMMAND [options]')
    .helpCommand(false)
    .argument('[word...]')
    .allowUnknownOption()
    .addHelpText('after', USE)
    .action((words: string[]) => {
      const all = daemon.commands.map((command) => command.name()).join(', ');
      const what = words.length > 0 ? `there is no hearsay daemon ${words[0]}` : 'hearsay daemon what?';
      throw new HearsayError('usage', `${what} There are ${all}`.replace(/(\w) There/, '$1. There'));
    });
  return daemon;
}

export function daemonStartCommand(perform: Perform): Command {
  return addSharing(new Command('start'))
    .summary('start it, and wait until it is ready')
    .description(
      'Start a peer in the background, with the options of `share`; without a PATH it shares what the config file names, and what is added. Returns when it is ready, or says why it is not. Where one runs already, that is said, and is no failure.',
    )
    .usage('[options] [PATH...]')
    .addHelpText(
      'after',
      '\nExamples:\n  hearsay daemon start\n  hearsay daemon start ~/Pictures\n  hearsay daemon start --tracker\n  hearsay daemon start ~/Letters --for bob --secret-file ~/.hearsay-secret',
    )
    .action((paths: string[], options: SharingOptions, command: Command) =>
      perform(command, async (context) => {
        const given = launchedBy(context, paths, options);
        const settings = await settingsOf(context, given);
        // What answers there may be no peer of this folder: whether one holds it, the start shows, and `holder` then says.
        const running = await findRunning(context, settings.state).catch(() => undefined);
        if (running) return alreadyRuns(context, running, given);
        await start(context, settings, given);
      }),
    );
}

export function daemonStopCommand(perform: Perform): Command {
  return new Command('stop')
    .summary('end it, with a goodbye')
    .description(
      'Have the daemon say goodbye and finish what it is writing, and wait until it is gone; one that does not end is killed, which is said. Where none runs, that is said, and is no failure.',
    )
    .usage('[options]')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => {
        const { out } = context;
        const { state } = await settingsOf(context);
        const pid = await endDaemon(context, state);
        if (out.manner.json) return out.data(pid === undefined ? { stopped: false } : { stopped: true, pid });
        if (pid === undefined) out.note(`no daemon runs on the state folder ${printable(state)}`);
        else if (!out.manner.quiet) await out.line(`stopped (process ${pid})`);
      }),
    );
}

export function daemonRestartCommand(perform: Perform): Command {
  return addSharing(new Command('restart'))
    .summary('stop it, and start it with the options that it had')
    .description(
      'Stop the daemon and start it with the options and PATHs that it was started with; an option that is given now replaces that one, and PATHs all of those. What is secret was not kept: a secret of HEARSAY_SECRET must be in the environment again (a --secret-file is kept by its name). One that a service of the system runs is restarted by that.',
    )
    .usage('[options] [PATH...]')
    .action((paths: string[], options: SharingOptions, command: Command) =>
      perform(command, (context) => restart(context, launchedBy(context, paths, options))),
    );
}

export function daemonStatusCommand(perform: Perform): Command {
  return new Command('status')
    .summary('whether it runs, and what it does')
    .description(
      'Tell whether a peer runs on this state folder, and what it does, as `hearsay status`. Exits 5 where none runs.',
    )
    .usage('[options]')
    .action((_options: object, command: Command) =>
      perform(command, async (context) => {
        const { out, io } = context;
        const { state } = await settingsOf(context);
        const client = await findRunning(context, state);
        if (!client) {
          context.failed('not-running');
          if (out.manner.json) return out.data({ running: false });
          if (!out.manner.quiet) await out.line(`not running (state folder ${printable(state)})`);
          return;
        }
        try {
          const report = await context.within(client.status());
          const { runs } = client;
          if (out.manner.json) return out.data({ ...report, runs });
          if (!out.manner.quiet) await out.lines([...statusLines(report, out, io.now()), RUNS_WORDS[runs]]);
        } finally {
          client.close();
        }
      }),
    );
}

const RUNS_WORDS: Record<ControlClient['runs'], string> = {
  foreground: 'runs in the foreground, as `hearsay share`',
  daemon: 'runs in the background; `hearsay daemon logs` tells what it did',
  service: 'run by a service of the system; `hearsay daemon logs` tells what it did',
};

async function alreadyRuns(context: Context, client: ControlClient, given: Launched): Promise<void> {
  const { out } = context;
  try {
    const { pid, runs } = client;
    const { id, name, port, private: isPrivate, shares } = await context.within(client.status());
    const self = (await context.within(client.peers())).find((peer) => peer.self);
    const ready = {
      event: 'ready' as const,
      id,
      name,
      port,
      private: isPrivate,
      shares,
      addresses: self?.addresses ?? [],
    };
    if (out.manner.json) await out.data({ ...ready, pid, runs, already: true });
    else {
      const how = runs === 'foreground' ? 'in the foreground, as `hearsay share`' : 'already';
      await out.line(`runs ${how} (process ${pid}): ${eventLine(ready, out.style, out.manner.verbose)}`);
    }
    const { state: _, ...rest } = given.flags;
    const isIdle = Object.keys(rest).length > 0 || given.configFile !== undefined;
    if (isIdle && runs === 'daemon') out.note('these options change nothing; `hearsay daemon restart` takes them over');
    else if (isIdle) out.note('these options change nothing; stop it first');
  } finally {
    client.close();
  }
}

/** Starts one and tells that it is ready. */
async function start(context: Context, { state }: Settings, given: Launched): Promise<void> {
  const { out, io, signal } = context;
  const { launch, LaunchError } = await import('../daemon/launch.js');
  const { saveLaunched } = await import('../daemon/launched.js');
  const { wordsOf } = await import('../daemon/words.js');
  const launched = { ...given, flags: { ...given.flags, state } satisfies Flags };
  try {
    const { pid, ready, warnings } = await launch(state, wordsOf(launched), io.env, signal);
    for (const message of warnings) out.warn(message);
    await saveLaunched(state, launched, io.env).catch((thrown) => {
      out.warn(`how it was started is not kept for \`restart\`: ${asHearsayError(thrown).message}`);
    });
    if (out.manner.json) await out.data({ ...ready, pid });
    else await out.line(`${eventLine(ready, out.style, out.manner.verbose)} (process ${pid})`);
  } catch (thrown) {
    if (!(thrown instanceof LaunchError)) throw thrown;
    if (thrown.code === 'state-in-use') {
      // Somebody was quicker, and may not listen yet.
      const other = await holder(context, state);
      if (other) return alreadyRuns(context, other, given);
    }
    await out.error(thrown);
    context.failed(thrown.code);
    if (!out.manner.json) for (const line of thrown.log) await out.log(`  log: ${printable(line)}`);
  }
}

/** How long whoever holds a state folder may take until it can be spoken to, ms. */
const HOLDER_MS = 10_000;

/**
 * The peer that was quicker to take a state folder; undefined where none answers.
 * @throws HearsayError what connecting throws: a peer of another version, say
 */
async function holder(context: Context, state: string): Promise<ControlClient | undefined> {
  const { setTimeout: delay } = await import('node:timers/promises');
  for (const end = performance.now() + HOLDER_MS; performance.now() < end; ) {
    const client = await findRunning(context, state);
    if (client) return client;
    await context.within(delay(100));
  }
  return undefined;
}

async function restart(context: Context, given: Launched): Promise<void> {
  const { out, io } = context;
  const { readLaunched } = await import('../daemon/launched.js');
  const { state } = await settingsOf(context, given);
  const running = await findRunning(context, state).catch((thrown) => {
    // `stop` knows what to do about one of another version.
    if (asHearsayError(thrown).code !== 'other-version') throw thrown;
    return undefined;
  });
  running?.close();
  if (running?.runs === 'service') {
    const { state: _, ...rest } = given.flags;
    if (Object.keys(rest).length > 0) {
      throw new HearsayError(
        'usage',
        'a service runs it, with options of its own: `hearsay daemon install` takes others',
      );
    }
    return restartService(context, state);
  }
  const kept = await readLaunched(state, given.flags, io.env);
  const launched: Launched = {
    flags: { ...kept?.flags, ...given.flags },
    configFile: given.configFile ?? kept?.configFile,
    verbose: given.verbose || (kept?.verbose ?? false),
  };
  // What is wrong with them is said before the one that runs is stopped.
  const settings = await settingsOf(context, launched);
  const pid = await endDaemon(context, state);
  if (pid !== undefined) out.note(`stopped (process ${pid})`);
  await start(context, { ...settings, state }, launched);
}
