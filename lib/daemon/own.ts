/** A peer of a command's own: one that lasts, or a one-shot. */
import type { ShareEvent } from '../api.js';
import { hasAdded } from '../drive/open.js';
import { HearsayError } from '../errors.js';
import { Peer, type PeerOptions } from '../peer.js';
import type { Session, Wanted as WantedWith } from '../session.js';
import { type Flags, loadSettings, type Settings } from '../share/settings.js';
import { beBrief } from './brief.js';
import { type Control, serveControl } from './control.js';

type Wanted = WantedWith<Flags>;

/** A peer that asks, and is gone after the command. @throws what starting a peer throws */
export async function oneShot(wanted: Wanted, settings: Settings): Promise<Session> {
  beBrief();
  const peer = await Peer.start({
    ...common(wanted, settings),
    passive: true,
    follow: wanted.follow ?? false,
    listens: wanted.listens ?? false,
    trace: wanted.trace ?? false,
    onEvent: (event) => event.event === 'warning' && wanted.onWarning(event.message),
  });
  for (const message of settings.secret?.warnings ?? []) wanted.onWarning(message);
  return ownSession(peer, settings, () => peer.stop());
}

function ownSession(peer: Peer, { timeout }: Settings, close: () => Promise<void>): Session {
  return { api: peer, running: false, timeout, unreached: () => peer.unjoined, close };
}

function common({ flags, configFile }: Wanted, settings: Settings): PeerOptions {
  const { state, name, port, join, multicast, group, interface: interfaces, wait, timeout, rescan } = settings;
  const own: PeerOptions = { state, name, join, multicast, group, interfaces, wait, timeout, rescan };
  if (port !== undefined) own.port = port;
  // What the config file says of them it says by the hour, to the peer itself.
  const { 'limit-up': limitUp, 'limit-down': limitDown } = flags;
  if (limitUp !== undefined) own.limitUp = limitUp;
  if (limitDown !== undefined) own.limitDown = limitDown;
  if (settings.secret) own.secret = settings.secret.text;
  if (configFile !== undefined) own.config = configFile;
  return own;
}

/** A long-lived peer, which the commands of this machine reach. @throws HearsayError `usage`, and what starting a peer throws */
export async function lasting(wanted: Wanted, settings: Settings): Promise<Session> {
  const { share: shares, sharesGiven, tracker, 'tracker-store': trackerStore, relay } = settings;
  if (wanted.flags['tracker-store'] && !tracker) {
    throw new HearsayError('usage', '--tracker-store says where a tracker keeps its registry: add --tracker');
  }
  // A tracker has something to do without files of its own.
  const isIdle = shares.length === 0 && !tracker && wanted.mode === 'share';
  if (isIdle && !(await hasAdded(settings.state, wanted.onWarning))) {
    throw new HearsayError('usage', 'share what? For example: hearsay share ~/Pictures');
  }
  // `ready` is a promise to scripts: what they run next must find the control socket too.
  const early: ShareEvent[] = [];
  let tell = (event: ShareEvent): void => void early.push(event);
  const peer = await Peer.start({
    ...common(wanted, settings),
    // Those of the config file are read by the peer, which knows then whose they are.
    ...(sharesGiven ? { share: shares } : {}),
    seedOnly: settings['seed-only'],
    inbox: settings.inbox,
    inboxRules: settings['inbox-rules'],
    inboxFolder: settings['inbox-folder'],
    tracker,
    trackerStore,
    ...(relay === 'tracker' ? {} : { relay }),
    trace: wanted.trace ?? false,
    onEvent: (event) => tell(event),
  });
  let control: Control | undefined;
  try {
    const { service, onStop } = wanted;
    const daemon = { runs: service ? ('service' as const) : ('daemon' as const), ...(onStop ? { onStop } : {}) };
    control = await serveControl({ state: settings.state, api: peer, ...(wanted.mode === 'daemon' ? daemon : {}) });
  } catch (error) {
    // A daemon that no command reaches could not be asked to end.
    if (wanted.mode === 'daemon' || !(error instanceof HearsayError) || error.code === 'state-in-use') {
      await peer.stop();
      throw error;
    }
    wanted.onWarning(`commands on this machine cannot reach this peer: ${error.message}`);
  }
  for (const message of settings.secret?.warnings ?? []) tell({ event: 'warning', message });
  tell = (event) => wanted.onEvent?.(event);
  for (const event of early) tell(event);
  const close = async () => {
    await control?.close();
    await peer.stop();
  };
  const { flags, env, configFile } = wanted;
  const reload = async () => {
    const { restart, errors } = await peer.reload(await loadSettings({ flags, env, configFile }));
    const differ = restart.length > 0 ? [`${restart.join(', ')}: what is set now holds after a restart`] : [];
    return [...errors.map(({ message }) => `not shared: ${message}`), ...differ];
  };
  return { ...ownSession(peer, settings, close), reload };
}
