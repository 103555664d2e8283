/** libtorrent by its Python binding: one seeds what others fetch, from it and from each other; no DHT, no trackers. */
import { join } from 'node:path';
import type { LabProcess } from '../../lab/process.js';
import { cpuOf, MemoryWatch } from '../usage.js';
import { cpuOfAll, each, endAll, PATIENCE, type Tool } from './tool.js';

const PYTHON = '/usr/bin/python3';
const PORT = 6881;

/** Make: TORRENT PATH. Seed: TORRENT FOLDER. Fetch: TORRENT FOLDER ADDRESS...; it stays until its standard input ends. */
const SCRIPT = `
import os, sys, time
import libtorrent as lt
role, torrent, path, *peers = sys.argv[1:]
if role == 'make':
    files = lt.file_storage()
    lt.add_files(files, path)
    made = lt.create_torrent(files, flags=lt.create_torrent.v1_only)
    lt.set_piece_hashes(made, os.path.dirname(path))
    open(torrent, 'wb').write(lt.bencode(made.generate()))
    sys.exit()
session = lt.session({
    'listen_interfaces': '0.0.0.0:${PORT}', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False,
    'enable_natpmp': False, 'enable_incoming_utp': False, 'enable_outgoing_utp': False,
    'allow_multiple_connections_per_ip': True, 'unchoke_slots_limit': -1, 'alert_mask': 0,
})
print('ready', flush=True)
if role == 'fetch':
    sys.stdin.readline()
params = {'ti': lt.torrent_info(torrent), 'save_path': path}
flags = lt.torrent_flags.default_flags & ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused
params['flags'] = flags | (lt.torrent_flags.seed_mode if role == 'seed' else 0)
handle = session.add_torrent(params)
for peer in peers:
    handle.connect_peer((peer, ${PORT}))
while not handle.status().is_seeding:
    time.sleep(0.01)
if role == 'fetch':
    handle.flush_cache()
print('has all', flush=True)
sys.stdin.read()
`;

export const libtorrent: Tool = {
  name: 'libtorrent',
  needs: { [PYTHON]: 'python3-libtorrent' },
  check: { command: [PYTHON, '-c', 'import libtorrent'], pack: 'python3-libtorrent' },
  async open(sources, what, receivers) {
    const torrent = join(sources[0].folder, 'bench.torrent');
    const path = what.file === undefined ? what.folder : join(what.folder, what.file);
    const made = await sources[0].run([PYTHON, '-c', SCRIPT, 'make', torrent, path], PATIENCE);
    if (made.code !== 0) throw new Error(`no torrent was made: ${made.stderr.join('\n')}`);
    const seeds: LabProcess[] = [];
    for (const source of sources) {
      const seed = source.exec([PYTHON, '-c', SCRIPT, 'seed', torrent, join(path, '..')]);
      seeds.push(seed);
      await seed.waitFor(/has all/, 60_000, 'stdout');
    }
    return {
      cpu: () => cpuOfAll(seeds),
      async fetch(all) {
        const started = all.map(({ host, into }) => {
          const others = receivers.filter((other) => other !== host);
          const peers = [...sources, ...others].map(({ address }) => address);
          return host.exec([PYTHON, '-c', SCRIPT, 'fetch', torrent, into, ...peers]);
        });
        try {
          await Promise.all(started.map((one) => one.waitFor(/ready/, 20_000, 'stdout')));
          const before = started.map(({ pid }) => cpuOf(pid));
          const took = await each(all, async (_receiver, i) => {
            const memory = new MemoryWatch(started[i].pid);
            try {
              const began = performance.now();
              started[i].type('go');
              await started[i].waitFor(/has all/, PATIENCE, 'stdout');
              return { began, ended: performance.now(), cpu: 0, peak: memory.end() };
            } finally {
              memory.end();
            }
          });
          // Until the last has all, the others go on giving.
          return took.map((one, i) => ({ ...one, cpu: cpuOf(started[i].pid) - before[i] }));
        } finally {
          for (const one of started) one.endInput();
          await endAll(started);
        }
      },
      close: () => endAll(seeds),
    };
  },
};
