/** A share on a disk that goes away and comes back, with real mounts in a namespace of the test's own. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { folder } from './share-help.js';

const CHILD = fileURLToPath(new URL('./share-mount-child.js', import.meta.url));
const ALONE = ['--mount', '--propagation', 'private'];
const may =
  process.platform === 'linux' && spawnSync('unshare', [...ALONE, 'mount', '--make-rprivate', '/']).status === 0;

(may ? test : test.skip)('a disk that is unmounted is not read as a folder in which all was deleted', async (t) => {
  const { stdout, stderr } = spawnSync('unshare', [...ALONE, process.execPath, CHILD, await folder(t)], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  const lines = stdout.split('\n').filter((line) => line !== '');
  const said = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const why = 'no disk is mounted there';
  const both = ['s/a', 's/in/b'];
  t.deepEqual(
    said.slice(0, 4),
    [
      { step: 'mounted', offers: both, away: [], hashed: 2 },
      { step: 'gone', offers: [], away: [why], hashed: 2, state: why },
      { step: 'back', offers: both, away: [why, null], hashed: 2 },
      { step: 'another', offers: ['s/c'], away: [why, null, why, null], hashed: 3 },
    ],
    stderr,
  );
  const seen = ['file s/a', 'file s/c', 'file s/in/b', 'removed s/a', 'removed s/in/b'];
  t.deepEqual(said[4]?.seen, seen, 'neither what lies beneath nor an empty folder was ever offered');
});
