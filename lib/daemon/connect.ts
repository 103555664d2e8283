/** What a command speaks to: the peer that runs on its state folder, or one of its own. */
import { HearsayError } from '../errors.js';
import type { Session, Wanted as WantedWith } from '../session.js';
import { type Flags, loadSettings } from '../share/settings.js';
import { connectControl } from './control-client.js';

type Wanted = WantedWith<Flags>;

/** Flags that only a peer of one's own would heed. */
const OWN: (keyof Flags)[] = ['name', 'port', 'join', 'multicast', 'interface', 'wait', 'limit-up'];

/**
 * Finds or starts what a command speaks to.
 * @throws HearsayError `not-running`, `usage`, `config`, and what starting a peer throws
 */
export async function connect(wanted: Wanted): Promise<Session> {
  const { mode, flags, env, configFile } = wanted;
  const settings = await loadSettings({ flags, env, configFile });
  // A peer is much to load, and who asks one that runs has no need of it.
  const own = () => import('./own.js');
  if (mode === 'share' || mode === 'daemon' || mode === 'console') return (await own()).lasting(wanted, settings);
  const client = await connectControl(settings.state);
  if (client) {
    const idle = OWN.filter((key) => flags[key] !== undefined).map((key) => `--${key}`);
    if (idle.length > 0) {
      wanted.onWarning(`the running peer answers, so ${idle.join(', ')} changes nothing; --state DIR for a peer apart`);
    }
    if (settings.secret) {
      const { private: isPrivate } = await client.status();
      const { isOfOther } = await import('../drive/open.js');
      const other = isPrivate && (await isOfOther(settings.state, settings.secret.text));
      const which = other ? 'has another secret: it shows its own group' : 'has no secret: it shows the open group';
      if (!isPrivate || other) {
        wanted.onWarning(`the running peer answers, which ${which}; --state DIR for a peer apart`);
      }
    }
    const { timeout } = settings;
    return { api: client, running: true, timeout, unreached: () => new Map(), close: async () => client.close() };
  }
  if (mode === 'running') throw new HearsayError('not-running', `no peer runs on the state folder ${settings.state}`);
  return (await own()).oneShot(wanted, settings);
}
