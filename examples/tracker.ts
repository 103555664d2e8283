/**
 * Three peers that do not hear each other, and a tracker that tells each of the others; all in one program, which ends by
 * itself. Then the tracker goes away, and comes back: what the peers know they still know, and they register again unasked.
 *
 *   node dist/examples/tracker.js
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { Peer, type PeerOptions } from '../lib/index.js';

const NAMES = ['ada', 'bob', 'cy'];

type Say = (line: string) => void;

/** Resolves when a peer knows of `count` files of others. */
async function knows(peer: Peer, count: number): Promise<void> {
  const enough = () => [...peer.index].filter((offer) => offer.peer !== peer.id).length >= count;
  const stop = new AbortController();
  // Listening begins before the first look, so that nothing falls between.
  const changes = peer.index.changes(stop.signal);
  if (enough()) stop.abort();
  for await (const _ of changes) if (enough()) stop.abort();
}

/** Runs a tracker, and resolves once so many peers have registered with it. */
async function track(options: PeerOptions, count: number, say: Say): Promise<{ peer: Peer; full: Promise<void> }> {
  let done: () => void = () => {};
  const full = new Promise<void>((resolve) => {
    done = resolve;
  });
  const names = new Set<string>();
  const peer = await Peer.start({
    ...options,
    tracker: true,
    onEvent(event) {
      if (event.event !== 'registration' || event.change !== 'registered') return;
      say(`the tracker: ${event.name} registers, at ${event.addresses.join(', ')}`);
      if (names.add(event.name).size === count) done();
    },
  });
  return { peer, full };
}

export async function tracker(say: Say): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'hearsay-tracker-'));
  const running = new Set<Peer>();
  const stop = async (peer: Peer) => {
    running.delete(peer);
    await peer.stop();
  };
  try {
    // Without multicast, as where a router stands between them.
    const apart = (name: string): PeerOptions => ({
      multicast: false,
      state: join(root, name, 'state'),
      name,
      port: 0,
    });
    const first = await track(apart('tracker'), NAMES.length, say);
    running.add(first.peer);
    const { port } = first.peer;

    const peers: Peer[] = [];
    for (const name of NAMES) {
      const files = join(root, name, `from-${name}`);
      await mkdir(files, { recursive: true });
      await writeFile(join(files, 'note.txt'), `a few words of ${name}\n`);
      const peer = await Peer.start({ ...apart(name), share: [files], join: [`127.0.0.1:${port}`] });
      peers.push(peer);
      running.add(peer);
    }
    await first.full;

    await Promise.all(peers.map((peer) => knows(peer, 2)));
    say('each sees the files of the others');
    const [ada, bob, cy] = peers;
    const into = (name: string) => ({ to: join(root, name, 'in') + sep });
    const [note] = await ada.get('from-bob/note.txt', into('ada'));
    say(
      `ada has ${note.path} from ${note.sources.map(({ name }) => name).join(', ')}: ${await readFile(note.file, 'utf8')}`.trim(),
    );

    await stop(first.peer);
    say('the tracker is gone');
    await bob.get('from-cy/note.txt', into('bob'));
    say('bob fetches from cy all the same');

    const second = await track({ ...apart('tracker'), port }, NAMES.length, say);
    running.add(second.peer);
    await second.full;
    say('the tracker is back, and everyone has registered again');
    await cy.get('from-ada/note.txt', into('cy'));
    say('cy fetches from ada');
  } finally {
    await Promise.all([...running].map(stop));
    await rm(root, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith('tracker.js')) await tracker((line) => console.log(line));
