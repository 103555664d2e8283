/** uftp: one sender, multicast to all receivers at once, at a rate that is told it: the link's. */
import { join } from 'node:path';
import { cpuOf, MemoryWatch } from '../usage.js';
import { endAll, type Took, type Tool, timed } from './tool.js';

/** Of the link's rate, what is left for payload and headers of its own. */
const OF_RATE = 0.93;
/** As much buffer as a receiver may need at 1 Gbit/s, bytes. */
const BUFFER = 8 * 2 ** 20;

export const uftp: Tool = {
  name: 'uftp (multicast)',
  needs: { uftp: 'uftp', uftpd: 'uftp' },
  isFor: ({ files, sources, isStaggered }) => files === 1 && sources === 1 && !isStaggered,
  async open([source], { folder, file = '' }, _receivers, rate) {
    let spent = 0;
    const kbit = rate === undefined ? -1 : Math.floor(rate * 1000 * OF_RATE);
    return {
      cpu: () => spent,
      async fetch(all) {
        const daemons = all.map(({ host, into }) =>
          host.exec(['uftpd', '-d', '-q', '-t', '-I', 'eth0', '-B', `${BUFFER}`, '-D', into]),
        );
        const memories = daemons.map(({ pid }) => new MemoryWatch(pid));
        try {
          await Promise.all(daemons.map((one) => one.waitFor(/./, 20_000)));
          const ids = all.map(({ host }) => host.address).join(',');
          const how = ['-q', '-R', `${kbit}`, '-I', 'eth0', '-B', `${BUFFER}`, '-b', '1444', '-H', ids];
          const sent = await timed(source, ['uftp', ...how, join(folder, file)]);
          spent += sent.cpu;
          return daemons.map(
            ({ pid }, i): Took => ({ began: sent.began, ended: sent.ended, cpu: cpuOf(pid), peak: memories[i].end() }),
          );
        } finally {
          for (const memory of memories) memory.end();
          await endAll(daemons);
        }
      },
      close: async () => {},
    };
  },
};
