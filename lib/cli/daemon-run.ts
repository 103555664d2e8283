/** `hearsay daemon run`: the daemon itself, as `daemon start` and the system's services start it. */
import { Command } from 'commander';
import type { ShareEvent } from '../api.js';
import type { Log } from '../daemon/logger.js';
import { asHearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context, Perform } from './context.js';
import { DaemonLog } from './daemon-log.js';
import type { Session } from './io.js';
import { addSharing, type SharingOptions, sharingFlags } from './sharing.js';
import { eventLine } from './told.js';

interface Options extends SharingOptions {
  service?: boolean;
}

export function daemonRunCommand(perform: Perform): Command {
  return addSharing(new Command('run'))
    .summary('be the daemon, in the foreground: for the system that starts it')
    .description(
      'Be the daemon itself, without going to the background: what `daemon start` and the services of the system run. SIGTERM and SIGINT end it, SIGHUP has it read its config file again. What it tells goes to its log; ready, warnings and errors also to standard output and standard error.',
    )
    .usage('[options] [PATH...]')
    .option('--service', "say that one of the system's services runs it: `daemon restart` then asks that")
    .action((paths: string[], options: Options, command: Command) =>
      perform(command, (context) => daemonRun(context, paths, options)),
    );
}

/** Tells whoever started the process by `daemon start`. */
type Tell = Awaited<ReturnType<typeof import('../daemon/launch.js')['launched']>>;

async function daemonRun(context: Context, paths: string[], options: Options): Promise<void> {
  const { io, common } = context;
  const { launched } = await import('../daemon/launch.js');
  const tell = launched();
  let log: Log | undefined;
  try {
    const { loadSettings } = await import('../share/settings.js');
    const { openLog } = await import('../daemon/logger.js');
    const flags = sharingFlags(io.cwd, paths, options);
    const { state } = await loadSettings({
      flags: { ...common.flags, ...flags },
      env: io.env,
      configFile: common.configFile,
    });
    log = openLog(state, { verbose: common.verbose });
    await live(context, { flags, service: options.service ?? false, log, tell });
  } catch (thrown) {
    const error = asHearsayError(thrown);
    log?.write('fatal', printable(error.message), { code: error.code });
    await log?.flush();
    if (!tell) throw error;
    const { code, message } = error;
    await tell({ error: { code, message } });
    context.failed(code);
  }
}

interface Life {
  flags: ReturnType<typeof sharingFlags>;
  service: boolean;
  log: Log;
  tell: Tell;
}

/** From its start to its goodbye. */
async function live(context: Context, { flags, service, log, tell }: Life): Promise<void> {
  const { io, out } = context;
  const { notifySystemd } = await import('../daemon/notify.js');
  const { onFault } = await import('../daemon/faults.js');
  const book = new DaemonLog(log, context.common.verbose);
  const offFault = onFault((error) => {
    const { stack, message } = error instanceof Error ? error : new Error(String(error));
    log.write('fatal', printable(message), { stack });
  });
  let ready: Extract<ShareEvent, { event: 'ready' }> | undefined;
  const warnings: string[] = [];
  // What goes on is for the log, which is bounded; of those who run it, systemd's journal is too, and a person at a terminal.
  const echoes = !tell && (!service || io.env.JOURNAL_STREAM !== undefined);
  const warn = (message: string) => {
    if (echoes) out.warn(message);
    else if (!ready || session === undefined) warnings.push(message);
  };
  const onEvent = (event: ShareEvent) => {
    book.tell(event);
    if (event.event === 'ready') ready = event;
    if (event.event === 'warning') warn(event.message);
  };
  const onWarning = (message: string) => onEvent({ event: 'warning', message });
  let stop = (_why: string) => {};
  const asked = new Promise<string>((resolve) => {
    stop = resolve;
  });
  let session: Session | undefined;
  let reloading: Promise<void> = Promise.resolve();
  const offHangup = io.onHangup(() => {
    reloading = reloading.then(() => reload(session, log, onWarning));
  });
  log.write('info', `hearsay ${io.version} starts`);
  try {
    session = await context.session('daemon', {
      flags,
      service,
      onEvent,
      onWarning,
      onStop: () => stop('asked to'),
    });
    if (!ready) throw new Error('a peer that started did not tell that it is ready');
    const line = eventLine(ready, out.style, false) ?? '';
    if (tell) await tell({ ready, warnings: warnings.splice(0) });
    else if (out.manner.json) await out.data(ready);
    else await out.line(line);
    await notifySystemd('READY=1', `STATUS=${line}`);
    const why = await Promise.race([asked, context.interrupted().then(() => 'by a signal')]);
    log.write('info', `ends, ${why}`);
    void notifySystemd('STOPPING=1');
    await context.close();
    book.end();
    log.write('info', 'goodbye');
  } finally {
    offHangup();
    offFault();
    book.end();
    await log.flush();
  }
}

/** Has the peer read its settings again, and tells what came of it. Never rejects. */
async function reload(session: Session | undefined, log: Log, warn: (message: string) => void): Promise<void> {
  const { notifySystemd } = await import('../daemon/notify.js');
  if (!session?.reload) return;
  await notifySystemd('RELOADING=1');
  try {
    const messages = await session.reload();
    log.write('info', 'read the settings again');
    for (const message of messages) warn(message);
  } catch (thrown) {
    warn(`the settings were not read again: ${asHearsayError(thrown).message}`);
  }
  await notifySystemd('READY=1');
}
