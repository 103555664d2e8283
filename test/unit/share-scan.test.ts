import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { Rules } from '../../lib/share/ignore.js';
import { Scan, type ScanJob } from '../../lib/share/scan.js';
import { folder, write } from './share-help.js';

function scan(root: string, more: Partial<ScanJob> = {}) {
  const found: string[] = [];
  const links: string[] = [];
  const warnings: string[] = [];
  const job = { name: 's', root, paths: ['s'], taken: [], never: [], ...more };
  new Scan(job, {
    found: ({ path, kind }) => found.push(kind === 'folder' ? `${path}/` : path),
    link: (path, target) => links.push(`${path} -> ${target}`),
    warn: (message) => warnings.push(message),
  }).run();
  return { found, links, warnings, files: found.filter((path) => !path.endsWith('/')).sort() };
}

const onUnix = process.platform === 'win32' ? test.skip : test;

test('finds files and folders, a folder after what is in it', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/b/c.txt': 'c', 'a/d.txt': '', 'e.txt': 'e' });
  await mkdir(join(root, 'empty'));
  t.deepEqual(scan(root).found, ['s/a/b/c.txt', 's/a/b/', 's/a/d.txt', 's/a/', 's/e.txt', 's/empty/', 's/']);
});

test('looks at single paths, and at nothing twice', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/b/c.txt': 'c', 'a/d.txt': '', 'e.txt': 'e' });
  t.deepEqual(scan(root, { paths: ['s/a/d.txt', 's/gone', 's/gone/too', 's/e.txt/no'] }).found, ['s/a/d.txt']);
  t.deepEqual(scan(root, { paths: ['s/a/b/c.txt', 's/a', 's/a/b'] }).files, ['s/a/b/c.txt', 's/a/d.txt']);
});

test('a root that is a file, or is not there', async (t) => {
  const root = await folder(t);
  await write(root, { '.hidden file': 'named by hand, so shared' });
  t.deepEqual(scan(join(root, '.hidden file')).found, ['s']);
  t.throws(() => scan(join(root, 'no')), { code: 'ENOENT' });
});

onUnix('hostile but legal names are found as they are', async (t) => {
  const root = await folder(t);
  const names = [
    'new\nline',
    'emoji 🐈‍⬛',
    'rtl \u202egnp.exe',
    'x'.repeat(255),
    '-rf',
    ' leading and trailing ',
    'caf\u00e9',
    'cafe\u0301',
    '100%25',
    'CON',
    'back\\slash',
    'co:lon',
    '*?"<>|',
    'replacement \ufffd',
  ];
  await write(root, Object.fromEntries(names.map((name) => [name, name])));
  t.deepEqual(scan(root).files, names.map((name) => `s/${name}`).sort());
  t.deepEqual(scan(root).warnings, []);
});

(process.platform === 'linux' ? test : test.skip)('names that are not UTF-8 are left out with a warning', async (t) => {
  const root = await folder(t);
  const bad = (name: string) => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
  await writeFile(bad('caf\xe9'), 'latin 1');
  await mkdir(bad('d\xff'));
  await write(root, { 'caf\ufffd': 'honestly so called', 'd/ok': '' });
  const { files, warnings } = scan(root);
  t.deepEqual(files, ['s/caf\ufffd', 's/d/ok']);
  t.is(warnings.filter((warning) => warning.includes('not UTF-8')).length, 2);
});

onUnix('neither dotfiles, nor sockets, pipes and devices', async (t) => {
  const root = await folder(t);
  await write(root, { '.secret': '', '.git/config': '', 'a/.hearsay-0123456789abcdef.part': '', 'a/ok': '' });
  execFileSync('mkfifo', [join(root, 'pipe')]);
  const server = createServer().listen(join(root, 'socket'));
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { files, warnings } = scan(root);
  t.deepEqual(files, ['s/a/ok']);
  t.deepEqual(warnings, []);
  t.deepEqual(
    scan(root, { paths: ['s/.git', 's/.git/config', 's/a/.hearsay-0123456789abcdef.part', 's/pipe'] }).found,
    [],
  );
});

onUnix('links that lead outside or nowhere are not followed', async (t) => {
  const base = await folder(t);
  const root = join(base, 'root');
  await write(base, { 'root/in.txt': '', 'root-2/near.txt': '', 'out/x.txt': '' });
  await symlink('../out/x.txt', join(root, 'file'));
  await symlink('../out', join(root, 'folder'));
  await symlink('../root-2/near.txt', join(root, 'sibling with the same beginning'));
  await symlink('/etc/passwd', join(root, 'absolute'));
  await symlink('nowhere', join(root, 'dangling'));
  await symlink('round', join(root, 'round'));
  await symlink('folder/x.txt', join(root, 'through'));
  const { files, links } = scan(root);
  t.deepEqual(files, ['s/in.txt']);
  t.deepEqual(links, []);
  t.deepEqual(scan(root, { paths: ['s/folder/x.txt', 's/folder'] }).found, []);
});

onUnix('links inside are followed, a folder once, and never in a circle', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x.txt': '', 'b/y.txt': '' });
  await symlink('a/x.txt', join(root, 'x'));
  await symlink('x', join(root, 'y'));
  await symlink('../b', join(root, 'a/to-b'));
  await symlink('../a', join(root, 'b/to-a'));
  await symlink('..', join(root, 'a/up'));
  await symlink('b', join(root, 'second-to-b'));
  const { files, links } = scan(root);
  t.deepEqual(files, ['s/a/to-b/y.txt', 's/a/x.txt', 's/b/to-a/x.txt', 's/b/y.txt', 's/x', 's/y']);
  t.deepEqual(links, ['s/a/to-b -> s/b', 's/b/to-a -> s/a', 's/x -> s/a/x.txt', 's/y -> s/a/x.txt']);
  t.deepEqual(scan(root, { paths: ['s/a/to-b/y.txt'] }).found, ['s/a/to-b/y.txt'], 'looked at by way of a link');
});

onUnix('a link cannot bring back what is hidden, ignored or never shared', async (t) => {
  const root = await folder(t);
  await write(root, {
    '.hearsayignore': 'private/\n*.key\nreal/*.tmp\n',
    '.ssh/id': '',
    'private/p.txt': '',
    'a.key': '',
    'real/r.txt': '',
    'real/r.tmp': '',
    'state/identity': '',
  });
  for (const [name, target] of Object.entries({
    id: '.ssh/id',
    ssh: '.ssh',
    p: 'private/p.txt',
    priv: 'private',
    key: 'a.key',
    linked: 'real',
    stolen: 'state/identity',
  })) {
    await symlink(target, join(root, name));
  }
  const { files } = scan(root, { never: [join(root, 'state')] });
  t.deepEqual(files, ['s/linked/r.txt', 's/real/r.txt']);
  t.deepEqual(
    scan(root, { paths: ['s/state/identity', 's/priv/p.txt', 's/linked/r.tmp'], never: [join(root, 'state')] }).found,
    [],
  );
});

test('.hearsayignore at every level', async (t) => {
  const root = await folder(t);
  await write(root, {
    '.hearsayignore': '# comment\n*.log\n/top\nbuild/\n!keep.log\n',
    'a.log': '',
    'keep.log': '',
    top: '',
    'x/top': '',
    'x/build/y': '',
    'x/.hearsayignore': '*.txt\n!b.log\n!build/\n',
    'x/a.txt': '',
    'x/b.log': '',
    'build/z': '',
  });
  t.deepEqual(scan(root).files, ['s/keep.log', 's/x/b.log', 's/x/build/y', 's/x/top']);
  t.deepEqual(scan(root, { paths: ['s/a.log', 's/build/z', 's/x/a.txt', 's/x/b.log'] }).found, ['s/x/b.log']);
});

onUnix('an ignore file that cannot be read keeps its folder back', async (t) => {
  const root = await folder(t);
  await write(root, { 'a/x': '', 'b/y': '', 'b/.hearsayignore': `${'#'.repeat(300_000)}\nx` });
  await mkdir(join(root, 'a/.hearsayignore'));
  const { files, warnings } = scan(root);
  t.deepEqual(files, []);
  t.is(warnings.length, 2);
});

const git = spawnSync('git', ['--version']).status === 0 && process.platform !== 'win32' ? test : test.skip;
git('the rules are those of git', async (t) => {
  const root = await folder(t);
  const rules: Record<string, string> = {
    '': '*.o\n/only-top\nd1/\n!d1/keep\n**/deep\na b\n\\#hash\n\\!bang\nfoo/*\nx/**/z\n[ab].c\ntrail \nesc\\ \n',
    sub: '!*.o\n/tied\nin/ner\n\\#sub\n*.d/\n!foo/\n',
    'sub/[odd] *name': 'x.txt\n/y.txt\n!z.o\n',
  };
  const folders = ['', 'sub/', 'sub/[odd] *name/', 'sub/in/', 'd1/', 'foo/', 'sub/foo/', 'x/', 'x/y/', 'sub/q.d/'];
  const names = [
    'a.o',
    'only-top',
    'keep',
    'deep',
    'a b',
    '#hash',
    '!bang',
    'tied',
    'ner',
    '#sub',
    'x.txt',
    'y.txt',
  ].concat(['z.o', 'z', 'a.c', 'c.c', 'trail', 'esc ', 'r']);
  const paths = folders.flatMap((one) => names.map((name) => one + name));
  await write(root, Object.fromEntries(paths.map((path) => [path, ''])));
  for (const [where, text] of Object.entries(rules)) {
    await write(root, { [join(where, '.gitignore')]: text, [join(where, '.hearsayignore')]: text });
  }
  execFileSync('git', ['init', '-q'], { cwd: root });
  const shown = execFileSync('git', ['ls-files', '-z', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  const expected = shown.split('\0').filter((path) => path !== '' && !/(^|\/)\.(git|hearsay)ignore$/.test(path));
  t.true(expected.length > 50 && expected.length < paths.length);
  t.deepEqual(scan(root).files, expected.map((path) => `s/${path}`).sort());
});

test('rules that say nothing cost nothing', (t) => {
  t.is(Rules.none.with('a', '\n# nothing\n   \n'), Rules.none);
});

const asRoot = process.getuid?.() === 0 && process.platform === 'linux' ? test : test.skip;
asRoot('what may not be read is left out with a warning (as another user)', async (t) => {
  const root = await folder(t);
  await write(root, { 'open/x': '', 'shut/y': '', secret: '', ok: '' });
  await chmod(root, 0o755);
  await chmod(join(root, 'shut'), 0o700);
  await chmod(join(root, 'secret'), 0o600);
  const program = `
    import { Scan } from ${JSON.stringify(new URL('../../lib/share/scan.js', import.meta.url).href)};
    const files = [], warnings = [];
    const job = { name: 's', root: process.argv[1], paths: ['s'], taken: [], never: [] };
    const found = ({ path, kind }) => kind !== 'folder' && files.push(path);
    new Scan(job, { found, link() {}, warn: (message) => warnings.push(message) }).run();
    console.log(JSON.stringify({ files: files.sort(), warnings }));`;
  const args = ['--input-type=module', '-e', program, root];
  const child = spawnSync(process.execPath, args, { uid: 65534, gid: 65534, encoding: 'utf8' });
  const result: { files: string[]; warnings: string[] } = JSON.parse(child.stdout);
  t.deepEqual(result.files, ['s/ok', 's/open/x']);
  t.is(result.warnings.filter((warning) => warning.includes('permission denied')).length, 2);
});
