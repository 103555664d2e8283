/**
 * Shares a folder on which a disk is mounted, in a mount namespace of its own, and takes the disk away and back. Prints what
 * was seen, a JSON line for each step. Run by share-mount.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Catalogue, type CatalogueChange } from '../../lib/share/catalogue.js';
import { HashStore } from '../../lib/share/store.js';

// An empty folder.
const root = process.argv[2];
// Nothing that is mounted from now on is seen outside, and all of it ends with this process.
execFileSync('mount', ['--make-rprivate', '/']);
execFileSync('mount', ['-t', 'tmpfs', 'none', root]);
const [disk, other, path, state] = ['disk', 'other', 'share', 'state'].map((name) => join(root, name));
for (const folder of [disk, other, path, state]) mkdirSync(folder);
for (const folder of [disk, other]) execFileSync('mount', ['-t', 'tmpfs', 'none', folder]);
const attach = (from: string) => execFileSync('mount', ['--bind', from, path]);
const detach = () => execFileSync('umount', [path]);
const put = (file: string, text: string) => {
  writeFileSync(file, text);
  utimesSync(file, 1e9, 1e9);
};
mkdirSync(join(disk, 'in'));
put(join(disk, 'a'), 'a');
put(join(disk, 'in/b'), 'bb');
put(join(other, 'c'), 'ccc');
// What lies under the disk is not what is shared.
put(join(path, 'beneath'), 'beneath');
attach(disk);

const offers = new Map<string, CatalogueChange>();
const away: (string | undefined)[] = [];
const seen = new Set<string>();
let hashed = 0;
let wake = () => {};
const until = async (test: () => boolean) => {
  while (!test()) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
};
const { store } = await HashStore.open(state);
const catalogue = new Catalogue({
  shares: [{ path, name: 's' }],
  store,
  // Looks between a disk's going and its being noticed.
  rescanMs: 20,
  onChanges: (changes) => {
    for (const change of changes) {
      seen.add(`${change.kind} ${change.path}`);
      if (change.kind === 'removed') offers.delete(change.path);
      else offers.set(change.path, change);
    }
    wake();
  },
  onHashed: () => {
    hashed++;
    wake();
  },
  onWarning: () => {},
  onAway: (_share, why) => {
    away.push(why);
    wake();
  },
});
const say = (step: string) => {
  console.log(
    JSON.stringify({ step, offers: [...offers.keys()].sort(), away, hashed, state: catalogue.shares()[0].away }),
  );
};
await catalogue.start();
await catalogue.scanned;
await catalogue.idle();
say('mounted');
detach();
await until(() => offers.size === 0 && away.length === 1);
say('gone');
attach(disk);
await until(() => offers.size === 2);
await catalogue.idle();
say('back');
detach();
await until(() => offers.size === 0 && away.length === 3);
attach(other);
await until(() => offers.size === 1);
await catalogue.idle();
say('another');
console.log(JSON.stringify({ seen: [...seen].sort() }));
await catalogue.stop();
await store.close();
