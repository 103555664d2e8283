/** The console at a real terminal, among peers of a LAN. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { share } from './commands.js';
import { tmuxTest } from './lab-test.js';
import { Tmux } from './tmux.js';

const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));
/** How long anything may take, ms. */
const MOST = 20_000;

tmuxTest(
  'at the console: lists peers, one of them offline, fetches by number, sends, sees what happens, quits',
  3,
  async (t, lab) => {
    const [one, two, three] = lab.hosts;
    const album = join(two.folder, 'album');
    await mkdir(album);
    await writeFile(join(album, 'holiday.jpg'), 'a holiday');
    await writeFile(join(album, 'big.bin'), Buffer.alloc(3_000_000, 7));
    await writeFile(join(one.folder, 'note.txt'), 'from alice');
    const bob = await share(two, [album, '--name', 'bob', '--inbox', 'accept']);
    const state = one.state();
    const env = { HEARSAY_STATE: state, LANG: 'C.UTF-8' };
    const terminal = await Tmux.open(
      one,
      [process.execPath, PROGRAM, 'console', '--name', 'alice', '--inbox-folder', 'inbox'],
      { env },
    );
    t.teardown(() => terminal.close());

    const opened = await terminal.until(/^hearsay>/, MOST);
    t.regex(opened.join('\n'), /^alice [0-9A-Z]{26} on port 47748\n1 other peer: bob\n`help` lists/);
    await terminal.enter('peers');
    await terminal.until(/^bob +[0-9A-Z]{26}/, MOST);

    await terminal.enter('ls bob carol');
    const listed = await terminal.until(/carol is not here/, MOST);
    t.true(listed.some((line) => /^bob: 2 files, 2\.9 MiB$/.test(line)));
    t.true(listed.some((line) => /^ {4}2 +9 B {2}album\/holiday\.jpg/.test(line)));

    // Tab completes, and while a line is being typed a peer comes, of which it is told above.
    await terminal.type('get 1-2 -o in/ --from b');
    await terminal.press('Tab');
    await terminal.until(/^hearsay> get 1-2 -o in\/ --from bob$/, MOST);
    await writeFile(join(three.folder, 'song.mp3'), 'a song');
    const carol = await share(three, [join(three.folder, 'song.mp3'), '--name', 'carol']);
    const told = await terminal.until(/^carol: song\.mp3 is new$/, MOST);
    t.true(told.some((line) => /^carol is here \([0-9A-Z]{26}\)$/.test(line)));
    t.is(told.at(-1), 'hearsay> get 1-2 -o in/ --from bob', 'what is being typed stands as it was');
    await terminal.press('Enter');
    await terminal.until(/^got album\/holiday\.jpg/, MOST);
    await terminal.until(/^got album\/big\.bin/, MOST);
    t.is(await readFile(join(one.folder, 'in', 'holiday.jpg'), 'utf8'), 'a holiday');

    await terminal.enter('send note.txt --to bob');
    await terminal.until(/^bob: received note\.txt/, MOST);

    // Somebody sends something here: it is told of, and taken.
    await writeFile(join(two.folder, 'letter.txt'), 'dear alice');
    const sending = two.hearsay(['send', 'letter.txt', '--to', 'alice']);
    await terminal.until(/^bob wants to send letter\.txt \(10 B\): accept 1, or refuse 1$/, MOST);
    await terminal.enter('accept 1');
    await terminal.until(/^received letter\.txt \(10 B\) from bob/, MOST);
    t.is((await sending.waitForExit(MOST)).code, 0, sending.tail());

    carol.process.kill('SIGINT');
    await terminal.until(/^carol has left/, MOST);
    await terminal.enter('refresh');
    await terminal.until(/^nothing has changed: 1 other peer, 2 offers$/, MOST);
    await terminal.enter('frobnicate');
    await terminal.until(/there is no command frobnicate/, MOST);
    await terminal.enter('quit');
    await terminal.until(/^goodbye$/, MOST);
    t.is(await terminal.ended(MOST), 0);
    t.log((await terminal.lines()).join('\n'));
    await bob.until((event) => event.event === 'peer' && event.change === 'left' && event.name === 'alice', MOST);
    t.pass();
  },
);
