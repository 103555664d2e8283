/**
 * What somebody who may write to the destination puts in the way of what lands there, before, and between check and use.
 * Each case plants a thing, lands a file, and looks what came of it: nothing is ever made, changed or removed outside.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { asHearsayError } from '../../lib/errors.js';
import { blake3 } from '../../lib/hash.js';
import { Partial as Unfinished } from '../../lib/share/partial.js';
import { hiddenNames, isTemporary } from '../../lib/share/partial-names.js';
import { writeSmall } from '../../lib/share/partial-small.js';
import { discardPartial, findPartials, sweep } from '../../lib/share/partial-sweep.js';
import { Place, type PlaceOptions } from '../../lib/share/place.js';
import { descriptorsOpen, descriptorsWork } from '../../lib/share/place-descriptors.js';
import { Folder, type Moment } from '../../lib/share/place-folder.js';
import { foldersBelow } from '../../lib/share/place-walk.js';

const DONE = { mtime: 1_600_000_000_001, executable: false, overwrite: false, sync: false };
const PRECIOUS = 'precious, and longer than a record of sixteen bytes';
const CHUNK = 1024;
const CONTENT = Buffer.alloc(2 * CHUNK + 5, 'ours');
const NAMES = hiddenNames('x');

/** By descriptor where that works here, and by path as on the systems where it does not. */
const WAYS: [way: string, options: PlaceOptions][] = [['by path', { byDescriptor: false }]];
if (descriptorsWork()) WAYS.unshift(['by descriptor', {}]);

/** A destination `in` beside a folder `outside` that must stay as it is. */
class Scene {
  readonly base: string;
  readonly inside: string;
  readonly outside: string;
  readonly precious: string;
  /** Another folder outside, with an empty folder `b`. */
  readonly other: string;

  constructor(base: string) {
    this.base = base;
    this.inside = path.join(base, 'in');
    this.outside = path.join(base, 'outside');
    this.precious = path.join(this.outside, 'precious');
    fs.mkdirSync(this.inside);
    fs.mkdirSync(this.outside);
    this.other = path.join(base, 'other');
    fs.mkdirSync(path.join(this.other, 'b'), { recursive: true });
    fs.writeFileSync(this.precious, PRECIOUS);
    fs.utimesSync(this.precious, 1, 1);
  }

  static async make(t: ExecutionContext): Promise<Scene> {
    const base = await realpath(await mkdtemp(path.join(os.tmpdir(), 'hearsay-links-')));
    t.teardown(() => rm(base, { recursive: true, force: true }));
    return new Scene(base);
  }

  at(...names: string[]): string {
    return path.join(this.inside, ...names);
  }

  /** Nothing outside was made, changed or touched. */
  assertUntouched(t: ExecutionContext, what: string): void {
    t.deepEqual(fs.readdirSync(this.outside), ['precious'], `${what}: outside`);
    t.deepEqual(fs.readdirSync(this.other, { recursive: true }), ['b'], `${what}: other`);
    t.is(fs.readFileSync(this.precious, 'utf8'), PRECIOUS, `${what}: precious`);
    t.is(fs.statSync(this.precious).mtimeMs, 1000, `${what}: precious's time`);
  }

  /** Everything below a folder of the scene but the folders. */
  files(root: string): string[] {
    const all = fs.readdirSync(root, { recursive: true, withFileTypes: true });
    return all.filter((e) => !e.isDirectory()).map((e) => path.relative(root, path.join(e.parentPath, e.name)));
  }

  /** The names of hidden files in the destination. */
  hidden(): string[] {
    const files = this.files(this.inside).filter((file) => fs.lstatSync(this.at(file)).isFile());
    const names = files.map((file) => path.basename(file));
    return names.filter((name) => name.startsWith('.hearsay-')).sort();
  }
}

/** Things to plant; each returns false where this system, or this user, has them not. */
const THINGS: Record<string, (scene: Scene, at: string) => boolean | Promise<boolean>> = {
  'a link to a file': (scene, at) => done(fs.symlinkSync(scene.precious, at)),
  'a link to a folder': (scene, at) => done(fs.symlinkSync(scene.outside, at, 'junction')),
  'a link to nothing': (scene, at) => done(fs.symlinkSync(path.join(scene.outside, 'made'), at)),
  'a link to itself': (_, at) => done(fs.symlinkSync(path.basename(at), at)),
  'a link with ..': (_, at) => done(fs.symlinkSync('../outside', at)),
  'a hard link': (scene, at) => done(fs.linkSync(scene.precious, at)),
  'a pipe': (_, at) => process.platform !== 'win32' && done(execFileSync('mkfifo', [at])),
  'a socket': async (_, at) => {
    if (process.platform === 'win32') return false;
    const server = net.createServer().listen(at);
    await once(server, 'listening');
    // The name goes with the server, unless it is moved away for a moment.
    fs.renameSync(at, `${at}~`);
    server.close();
    fs.renameSync(`${at}~`, at);
    return true;
  },
  'a device': (_, at) => {
    try {
      return done(execFileSync('mknod', [at, 'c', '1', '3'], { stdio: 'ignore' }));
    } catch {
      return false;
    }
  },
  'a folder': (_, at) => done(fs.mkdirSync(path.join(at, 'sub'), { recursive: true })),
  'a file': (_, at) => done(fs.writeFileSync(at, 'theirs')),
};

function done(_: unknown): true {
  return true;
}

type Thing = keyof typeof THINGS;
const ALL = Object.keys(THINGS);

type Way = 'small' | 'large';

/** Lands `path` below the destination. Returns 'landed', or the code of what went wrong. */
async function landing(place: Place, at: string, way: Way, overwrite: boolean): Promise<string> {
  try {
    const spot = await place.spot(at);
    if (way === 'small') {
      await writeSmall({ ...spot, ...DONE, data: CONTENT, overwrite });
    } else {
      const size = CONTENT.length;
      const partial = await Unfinished.open({ ...spot, path: at, size, id: null, chunkSize: CHUNK });
      try {
        const hashes = [0, 1, 2].map((i) => blake3(CONTENT.subarray(i * CHUNK, (i + 1) * CHUNK)));
        await partial.verify(Buffer.concat(hashes));
        for (const i of [0, 1, 2]) await partial.write(i, CONTENT.subarray(i * CHUNK, (i + 1) * CHUNK));
        await partial.finish({ ...DONE, overwrite });
      } finally {
        await partial.discard();
      }
    }
    return 'landed';
  } catch (error) {
    return asHearsayError(error).code;
  }
}

/** What is planted before: kind by place, and what becomes of `a/x`, without and with `--overwrite`. */
const BEFORE: [where: string, things: Thing[], ways: Way[], expected: (thing: Thing) => [string, string]][] = [
  ['a', ALL.filter((t) => t !== 'a folder'), ['small', 'large'], () => ['in-the-way', 'in-the-way']],
  ['a/x', ALL.filter((t) => t !== 'a folder'), ['small', 'large'], () => ['exists', 'landed']],
  ['a/x', ['a folder'], ['small', 'large'], () => ['in-the-way', 'in-the-way']],
  // Hidden names can be told from the final one, so they can be taken beforehand.
  [`a/${NAMES.part}`, ALL.filter((t) => t !== 'a folder'), ['large'], () => ['landed', 'landed']],
  [`a/${NAMES.part}`, ['a folder'], ['large'], () => ['in-the-way', 'in-the-way']],
  [`a/${NAMES.journal}`, ALL.filter((t) => t !== 'a folder'), ['large'], () => ['landed', 'landed']],
  [`a/${NAMES.journal}`, ['a folder'], ['large'], () => ['in-the-way', 'in-the-way']],
  [`a/${NAMES.journal}.tmp`, ALL.filter((t) => t !== 'a folder'), ['large'], () => ['landed', 'landed']],
  [`a/${NAMES.journal}.tmp`, ['a folder'], ['large'], () => ['in-the-way', 'in-the-way']],
  // A file in the lock's place may be a lock that is being written; an old one that is no lock is a dead one's.
  [`a/${NAMES.lock}`, ['a file'], ['large'], () => ['busy', 'busy']],
  [`a/${NAMES.lock}`, ['a hard link'], ['large'], () => ['landed', 'landed']],
  [
    `a/${NAMES.lock}`,
    ALL.filter((t) => t !== 'a file' && t !== 'a hard link'),
    ['large'],
    () => ['in-the-way', 'in-the-way'],
  ],
];

for (const [way, options] of WAYS) {
  for (const [where, things, kinds, expected] of BEFORE) {
    test(`${way}: planted before at ${where}: ${things.length === 1 ? things[0] : `${things.length} things`}`, async (t) => {
      for (const thing of things) {
        for (const kind of kinds) {
          for (const overwrite of [false, true]) {
            const what = `${thing} for a ${kind} file${overwrite ? ', --overwrite' : ''}`;
            const scene = await Scene.make(t);
            fs.mkdirSync(path.dirname(scene.at(where)), { recursive: true });
            if (!(await THINGS[thing](scene, scene.at(where)))) {
              t.log(`skipped: ${thing} cannot be made here`);
              continue;
            }
            const before = fs.lstatSync(scene.at(where));
            const result = await landing(new Place(scene.inside, options), 'a/x', kind, overwrite);
            t.is(result, expected(thing)[overwrite ? 1 : 0], what);
            scene.assertUntouched(t, what);
            if (result === 'landed') t.deepEqual(fs.readFileSync(scene.at('a/x')), CONTENT, what);
            // What is in the way is left as it is.
            else t.is(fs.lstatSync(scene.at(where)).mode, before.mode, what);
            // Nothing of ours stays but a whole partial, which is there for the next time.
            const kept = result !== 'landed' && where === 'a/x' && kind === 'large' ? [NAMES.journal, NAMES.part] : [];
            t.deepEqual(
              scene.hidden().filter((file) => `a/${file}` !== where),
              kept,
              what,
            );
          }
        }
      }
    });
  }
}

/** What somebody does between check and use. */
type Trick = (scene: Scene, at: string) => void;

/** The folder moves elsewhere in the destination, and a link to the outside takes its name. */
const swapFolder: Trick = (scene) => {
  fs.renameSync(scene.at('a', 'b'), scene.at('moved'));
  fs.symlinkSync(scene.outside, scene.at('a', 'b'), 'junction');
};
/** The same to the folder above it; where the link leads there is a folder of the same name. */
const swapAbove: Trick = (scene) => {
  fs.renameSync(scene.at('a'), scene.at('moved'));
  fs.symlinkSync(scene.other, scene.at('a'), 'junction');
};
/** A link, or another name of a file outside, takes the name of the file. */
const swapFile =
  (how: 'symlinkSync' | 'linkSync'): Trick =>
  (scene, at) => {
    fs.rmSync(at, { force: true });
    fs[how](scene.precious, at);
  };
/** A link takes the name that is to be made. */
const plantLink: Trick = (scene, at) => {
  fs.rmSync(at, { force: true, recursive: true });
  fs.symlinkSync(scene.outside, at, 'junction');
};

/** Trick by moment. `only` tells which act of that moment is meant, by the name that it is about. */
const BETWEEN: [what: string, moment: Moment, only: (name: string) => boolean, trick: Trick, ways: Way[]][] = [
  ['the folder, before one is made in it', 'make', (n) => n === 'b', swapAbove, ['small', 'large']],
  ['the folder just made, for a link that leads out', 'enter', (n) => n === 'b', swapFolder, ['small', 'large']],
  ['the folder above the one just made', 'enter', (n) => n === 'b', swapAbove, ['small', 'large']],
  ['the folder, before a temporary file', 'create', isTemporary, swapFolder, ['small']],
  ['the folder, before the lock', 'create', (n) => n === NAMES.lock, swapFolder, ['large']],
  ['the folder, before the partial', 'create', (n) => n === NAMES.part, swapFolder, ['large']],
  ['the folder, before the journal', 'create', (n) => n === `${NAMES.journal}.tmp`, swapFolder, ['large']],
  ['the folder, before the journal is renamed', 'land', (n) => n === NAMES.journal, swapFolder, ['large']],
  ['the folder, before the journal is opened', 'open', (n) => n === NAMES.journal, swapFolder, ['large']],
  ['the folder, before the lock is looked at', 'open', (n) => n === NAMES.lock, swapFolder, ['large']],
  ['the folder, before the final name', 'land', (n) => n === 'x', swapFolder, ['small', 'large']],
  ['the folder above, before a temporary file', 'create', isTemporary, swapAbove, ['small']],
  ['the folder above, before the final name', 'land', (n) => n === 'x', swapAbove, ['small', 'large']],
  ['the folder, before the hidden file goes', 'remove', isTemporary, swapFolder, ['small']],
  ['the journal, for a link', 'open', (n) => n === NAMES.journal, swapFile('symlinkSync'), ['large']],
  ['the journal, for a hard link', 'open', (n) => n === NAMES.journal, swapFile('linkSync'), ['large']],
  ['the temporary file, for a link', 'create', isTemporary, plantLink, ['small']],
  ['the partial, for a link', 'create', (n) => n === NAMES.part, plantLink, ['large']],
  ['the final name, for a link', 'land', (n) => n === 'x', plantLink, ['small', 'large']],
  ['the final name, for a hard link', 'land', (n) => n === 'x', swapFile('linkSync'), ['small', 'large']],
];

for (const [way, options] of WAYS) {
  for (const [what, moment, only, trick, kinds] of BETWEEN) {
    test(`${way}: exchanged between check and use: ${what}`, async (t) => {
      for (const kind of kinds) {
        for (const overwrite of [false, true]) {
          const scene = await Scene.make(t);
          let tricked = 0;
          const place = new Place(scene.inside, {
            ...options,
            between: (now, at) => {
              if (now !== moment || tricked > 0 || !only(path.basename(at))) return;
              tricked++;
              trick(scene, at);
            },
          });
          fs.mkdirSync(scene.at('a'));
          const result = await landing(place, 'a/b/x', kind, overwrite);
          // What is renamed over another leaves no hidden name to be removed.
          t.is(tricked, moment === 'remove' && overwrite ? 0 : 1, `${kind}: the moment came`);
          scene.assertUntouched(t, `${kind}, ${result}`);
          t.true(['landed', 'in-the-way', 'exists', 'busy'].includes(result), `${kind}: ${result}`);
          const found = scene.files(scene.inside).filter((file) => path.basename(file) === 'x');
          if (result === 'landed') {
            t.is(found.length, 1);
            t.deepEqual(fs.readFileSync(scene.at(found[0])), CONTENT);
          }
          // By path what lies in a folder that was moved is not found again; it is swept from there some day.
          if (way === 'by descriptor' && kind === 'small') t.deepEqual(scene.hidden(), []);
        }
      }
    });
  }

  test(`${way}: an earlier partial is exchanged for another file between look and opening`, async (t) => {
    for (const how of ['symlinkSync', 'linkSync'] as const) {
      const scene = await Scene.make(t);
      const spot = await new Place(scene.inside, options).spot('x');
      const size = CONTENT.length;
      const opened = { path: 'x', size, id: null, chunkSize: CHUNK };
      const first = await Unfinished.open({ ...spot, ...opened });
      await first.write(0, CONTENT.subarray(0, CHUNK));
      await first.keep();
      let tricked = 0;
      const between = (moment: Moment, at: string) => {
        if (moment !== 'open' || path.basename(at) !== NAMES.part || tricked++ > 0) return;
        swapFile(how)(scene, at);
      };
      const result = await landing(new Place(scene.inside, { ...options, between }), 'x', 'large', false);
      t.is(tricked, 1);
      t.true(result === (how === 'linkSync' ? 'landed' : 'in-the-way'), `${how}: ${result}`);
      scene.assertUntouched(t, how);
    }
  });

  test(`${way}: sweeping and discarding remove nothing elsewhere`, async (t) => {
    for (const act of [
      async (folder: Folder) => void (await sweep(folder, Date.now() + 1e12)),
      async (folder: Folder) => void (await discardPartial(folder, 'x')),
    ]) {
      const scene = await Scene.make(t);
      fs.mkdirSync(scene.at('a'));
      const theirs = [NAMES.part, NAMES.journal, '.hearsay-0-0.tmp'];
      for (const name of theirs) {
        fs.writeFileSync(path.join(scene.outside, name), 'theirs');
        fs.writeFileSync(scene.at('a', name), 'ours');
      }
      let tricked = 0;
      const place = new Place(scene.inside, {
        ...options,
        between: (moment) => {
          if (moment !== 'remove' || tricked++ > 0) return;
          fs.renameSync(scene.at('a'), scene.at('moved'));
          fs.symlinkSync(scene.outside, scene.at('a'), 'junction');
        },
      });
      const spot = await place.spot('a/x');
      await act(spot.folder).catch((error) => t.is(asHearsayError(error).code, 'in-the-way'));
      t.true(tricked > 0);
      // By path nothing can be done in the folder any more; the one removal under way is of the hidden file's own name.
      const left = theirs.filter((name) => fs.existsSync(path.join(scene.outside, name)));
      if (way === 'by descriptor') t.deepEqual(left, theirs);
      else t.true(left.length >= 2, `${left}`);
      t.is(fs.readFileSync(scene.precious, 'utf8'), PRECIOUS);
    }
  });

  test(`${way}: a walk goes through no link`, async (t) => {
    const scene = await Scene.make(t);
    fs.mkdirSync(scene.at('a', 'b'), { recursive: true });
    fs.symlinkSync(scene.outside, scene.at('link'), 'junction');
    fs.symlinkSync('..', scene.at('a', 'up'), 'junction');
    const root = await new Place(scene.inside, options).existing();
    const seen: string[] = [];
    for await (const folder of foldersBelow(root as Folder, { folders: 100, depth: 10 })) seen.push(folder.path);
    t.deepEqual(seen, [scene.inside, scene.at('a'), scene.at('a', 'b')]);
    const few: string[] = [];
    for await (const folder of foldersBelow(root as Folder, { folders: 2, depth: 10 })) few.push(folder.path);
    t.is(few.length, 2);
  });
}

test('a journal that names another file is not believed', async (t) => {
  const scene = await Scene.make(t);
  const folder = Folder.root(scene.inside);
  const partial = await Unfinished.open({ folder, name: 'y', path: 'y', size: 10, id: null, chunkSize: CHUNK });
  await partial.write(0, Buffer.alloc(10));
  await partial.keep();
  const other = hiddenNames('y');
  for (const kind of ['part', 'journal'] as const) fs.renameSync(scene.at(other[kind]), scene.at(NAMES[kind]));
  t.deepEqual(
    (await findPartials(folder)).map(({ name }) => name),
    [''],
  );
});

test('no name leads out of a folder that is held, whoever asks', (t) => {
  const held = Folder.root(os.tmpdir()).hold();
  for (const name of ['', '.', '..', '../x', 'a/b', '/etc', 'a\0b']) {
    t.throws(() => held.at(name), { code: 'bad-name' }, name);
  }
  held.release();
  held.release();
});

/**
 * Exchanges a folder for a link to the outside and back as fast as it can, both at once (renameat2 with
 * RENAME_EXCHANGE, which Node has not), and says how often in the end. Arguments: the call's number, inside, outside.
 */
const SWAPPER = `
  use strict; use Time::HiRes 'time';
  my ($number, $inside, $outside) = @ARGV;
  symlink($outside, "$inside/link") or die;
  $| = 1;
  print "going ";
  my ($a, $link) = ("$inside/a", "$inside/link");
  my $swaps = 0;
  my $end = time + 20;
  vec(my $in = '', 0, 1) = 1;
  while (time < $end && !select(my $ready = $in, undef, undef, 0)) {
    for (1 .. 50) {
      syscall($number + 0, -100, $a, -100, $link, 2) == 0 or die "exchange: $!";
      $swaps++;
      for (my $i = int(rand(1500)); $i > 0; $i--) {}
    }
  }
  print $swaps;
`;
const RENAMEAT2: Partial<Record<string, string>> = { x64: '316', arm64: '276' };

test('while a folder is exchanged for a link as fast as can be, nothing lands outside', async (t) => {
  if (!descriptorsWork()) return t.pass('by path there is a window: see place-folder.ts');
  const number = RENAMEAT2[process.arch];
  const scene = await Scene.make(t);
  fs.mkdirSync(scene.at('a'));
  const child = spawn('perl', ['-e', SWAPPER, `${number}`, scene.inside, scene.outside], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const closed = once(child, 'close');
  if (number === undefined || (await once(child, 'spawn').catch(() => undefined)) === undefined) {
    return t.pass('needs perl to make the call');
  }
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  await once(child.stdout, 'data');
  const results = new Map<string, number>();
  const place = new Place(scene.inside);
  const began = Date.now();
  // As long as it takes for some hundreds to land, but a second at least; by count and by time there is an end.
  const goesOn = () => Date.now() - began < ((results.get('landed') ?? 0) < 500 ? 10_000 : 1000);
  for (let i = 0; i < 100_000 && goesOn(); i++) {
    // Into the folder itself, into one that must be made in it, and large ones.
    const at = i % 3 === 0 ? `a/s${i}/x${i}` : `a/x${i}`;
    const result = await landing(place, at, i % 10 === 0 ? 'large' : 'small', i % 2 === 0);
    results.set(result, (results.get(result) ?? 0) + 1);
    // On a busy machine the other process must have its turn to take the link away again.
    if (result !== 'landed') await new Promise(setImmediate);
  }
  child.stdin.end();
  await closed;
  const swaps = Number(said.replace('going ', ''));
  t.log(`${swaps} exchanges; ${[...results].map(([code, count]) => `${count} ${code}`).join(', ')}`);
  scene.assertUntouched(t, 'after the race');
  t.true(swaps > 50, `${swaps} exchanges`);
  t.true((results.get('landed') ?? 0) > 5, 'some landed');
  for (const code of results.keys()) t.true(['landed', 'in-the-way', 'busy', 'exists'].includes(code), code);
});

test.serial('descriptors of folders are bounded, and given back whatever happens', async (t) => {
  if (!descriptorsWork()) return t.pass('none are used here');
  const scene = await Scene.make(t);
  const place = new Place(scene.inside);
  const used = descriptorsOpen().used;
  for (let i = 0; i < 400; i++) {
    const at = `f${i}/x`;
    t.is(await landing(place, at, i % 20 === 0 ? 'large' : 'small', false), 'landed');
    t.is(await landing(place, at, i % 20 === 0 ? 'large' : 'small', false), 'exists');
    await t.throwsAsync(place.spot(`${at}/y`));
  }
  // Other tests of this file may hold one or two.
  t.true(descriptorsOpen().used <= used + 4, `${descriptorsOpen().used} in use`);
  t.true(descriptorsOpen().open <= 160, `${descriptorsOpen().open} open`);
  // Folders that were closed since are found again, and known to be the same.
  for (let i = 0; i < 400; i += 7) t.is(await landing(place, `f${i}/z`, 'small', false), 'landed');
});
