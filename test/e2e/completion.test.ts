/** Completion as people have it: real shells on a terminal, a real daemon, and what the program is then given. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { works } from '../../lib/daemon/install.js';
import { socketPath, writeCard } from '../../lib/daemon/place.js';
import { COMPLETION_MS, HANDSHAKE_MS } from '../../lib/limits.js';
import { FakeIo, type } from '../unit/cli-fake.js';
import { Home, PROGRAM } from './daemon-child.js';
import { Lan, until, write } from './lan.js';
import { Terminal } from './terminal.js';

const HARD = 'it\'s $5 "x"!.txt';
const TAB = '\t';

/** What a terminal is sent when a line is about to be read: that pasted text is to be marked. */
const READS = '\x1b[?2004h';

/** How each shell is made to complete. */
const SHELLS: Record<string, { words: string[]; rc: string; text: string }> = {
  bash: {
    words: ['bash', '--noprofile', '--rcfile', '.bashrc', '-i'],
    rc: '.bashrc',
    text: 'source <(hearsay completion bash)\n',
  },
  zsh: {
    words: ['zsh', '-i'],
    rc: '.zshrc',
    text: 'autoload -Uz compinit\ncompinit -u -d zcompdump\nsource <(hearsay completion zsh)\n',
  },
  fish: {
    words: ['fish', '-i'],
    rc: join('fish', 'config.fish'),
    text: 'hearsay completion fish | source\n',
  },
};

/** A daemon that shares hard names, beside a peer with one; and a program `hearsay` that notes what it is given. */
async function scene(t: ExecutionContext): Promise<{ home: Home; env: Record<string, string>; given: string }> {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  const bob = await lan.peer('bob the 2nd', { files: { 'his/b.txt': 'b' } });
  await write(home.cwd, {
    [join('files', 'my photos', HARD)]: 'a',
    [join('files', 'sub', 'deep', 'a:b=c.txt')]: 'b',
    [join('files', 'sub', 'deep', 'bad\tname')]: 'c',
    [join('files', 'sub', 'deep', 'bad\x1b[31m')]: 'c',
    'local file.txt': 'd',
  });
  await home.start('files', '--name', 'ada');
  const known = async () => (await home.type('peers', '--json')).out.includes('bob the 2nd');
  await bob.knows(`files/my photos/${HARD}`);
  for (let tries = 0; !(await known()) && tries < 20; tries++);
  const bin = join(home.cwd, 'bin');
  await mkdir(bin);
  const given = join(home.cwd, 'given');
  await writeFile(given, '');
  const node = JSON.stringify(process.execPath);
  await writeFile(
    join(bin, 'hearsay'),
    `#!/bin/sh
case "$1" in completion | __complete) exec ${node} ${JSON.stringify(PROGRAM)} "$@" ;; esac
printf '%s\\0' "$@" >>${JSON.stringify(given)}
printf '\\n' >>${JSON.stringify(given)}
`,
  );
  await chmod(join(bin, 'hearsay'), 0o755);
  const env = {
    // Hundreds of short runs of the same few files: their coverage would take longer than they do.
    NODE_V8_COVERAGE: '',
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    HOME: home.cwd,
    ZDOTDIR: home.cwd,
    XDG_CONFIG_HOME: home.cwd,
    XDG_DATA_HOME: home.cwd,
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '',
    HEARSAY_STATE: home.state,
    TERM: 'xterm',
    LANG: 'C.UTF-8',
  };
  return { home, env, given };
}

/** What is typed, and the words that the program is then given. */
const TYPED: [string, string[]][] = [
  [`hearsay sta${TAB}`, ['status']],
  [`hearsay daemon sto${TAB}`, ['daemon', 'stop']],
  [`hearsay get --overw${TAB}x`, ['get', '--overwrite', 'x']],
  [`hearsay get fil${TAB}my${TAB}it${TAB}`, ['get', `files/my photos/${HARD}`]],
  [`hearsay get "files/my${TAB}it${TAB}`, ['get', `files/my photos/${HARD}`]],
  [`hearsay get 'files/my${TAB}it${TAB}`, ['get', `files/my photos/${HARD}`]],
  [`hearsay ls files/sub/d${TAB}a${TAB}`, ['ls', 'files/sub/deep/a:b=c.txt']],
  [`hearsay find files/sub/deep/a:b${TAB}`, ['find', 'files/sub/deep/a:b=c.txt']],
  [`hearsay ls --from bo${TAB}`, ['ls', '--from', 'bob the 2nd']],
  [`hearsay ls --from=bo${TAB}`, ['ls', '--from=bob the 2nd']],
  [`hearsay get 'bob the 2nd:h${TAB}b${TAB}`, ['get', 'bob the 2nd:his/b.txt']],
  [`hearsay add lo${TAB}`, ['add', 'local file.txt']],
  // What could not be typed is not there, and no file of this machine stands in.
  [`hearsay get files/sub/deep/ba${TAB}`, ['get', 'files/sub/deep/ba']],
  [`hearsay get loc${TAB}`, ['get', 'loc']],
];

for (const [shell, { words, rc, text }] of Object.entries(SHELLS)) {
  test(`${shell} completes commands, options, paths, peers and files, and quotes them`, async (t) => {
    const isThere = (await works(shell, '--version')) && (await works('script', '--version'));
    if (process.platform !== 'linux' || !isThere) {
      t.log(`skipped: no ${shell} here that completes, or no script(1) of Linux to make a terminal`);
      return t.pass();
    }
    const { home, env, given } = await scene(t);
    await write(home.cwd, { [rc]: text });
    const terminal = new Terminal(t, words, { env, cwd: home.cwd });
    const expected: string[][] = [];
    let shown = 0;
    for (const [typed, argv] of TYPED) {
      await until(() => terminal.shown.includes(READS, shown), `${shell} reads a line: ${terminal.shown}`);
      shown = terminal.shown.length;
      terminal.type(`${typed}\r`);
      expected.push(argv);
      const lines = async () => (await readFile(given, 'utf8')).split('\n').slice(0, -1);
      let seen = await lines();
      await until(() => {
        void lines().then((now) => {
          seen = now;
        });
        return seen.length === expected.length;
      }, `${shell} runs ${typed}: ${terminal.shown}`);
      t.deepEqual(seen.at(-1)?.split('\0').slice(0, -1), argv, `${shell}: ${typed}`);
    }
    t.false(terminal.shown.includes('bad\x1b'), 'no name colours the terminal');
  });
}

test('a peer that does not answer is not waited for, and nothing is said of it', async (t) => {
  const lan = await Lan.make(t);
  const state = await lan.fresh('state');
  const path = await socketPath(state);
  const calls: string[] = [];
  const server = createServer((socket) => {
    calls.push('called');
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  await writeCard(state, { path, token: 'a'.repeat(64) });
  const io = new FakeIo();
  io.env = { HEARSAY_STATE: state };
  const begun = performance.now();
  t.like(await type(['__complete', 'zsh', '--', 'get', ''], { io }), { out: 'words\n', err: '', status: 0 });
  const took = performance.now() - begun;
  t.deepEqual(calls, ['called']);
  t.true(took >= COMPLETION_MS && took < HANDSHAKE_MS, `${took} ms`);
});
