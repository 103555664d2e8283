/**
 * One who speaks the protocol and lies: nothing that it says of others changes what anybody knows of them.
 * That nothing came of a lie is seen after something true that was said later has arrived.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { readFile, rm } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import type { Endpoint } from '../../lib/endpoint.js';
import type { Offer } from '../../lib/offer.js';
import { Shelf } from '../../lib/shelf/shelf.js';
import { decode, encode } from '../../lib/wire/codec.js';
import { type Head, headStatement, leaveStatement, packHead, readHead } from '../../lib/wire/head.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { is, Lan, type LanPeer, until, write } from './lan.js';
import { RawPeer } from './raw.js';

/** A datagram that was heard on the group. */
interface Heard {
  data: Buffer;
  message: Message;
  from: Endpoint;
}

/** Hears and says anything on the group, by datagram. */
class Voice {
  readonly heard: Heard[] = [];
  onHeard: (heard: Heard) => void = () => {};
  readonly #mouth: Socket;
  readonly #group: Endpoint;

  private constructor(group: Endpoint, mouth: Socket) {
    this.#group = group;
    this.#mouth = mouth;
  }

  static async open(t: ExecutionContext, lan: Lan): Promise<Voice> {
    const [host, port] = lan.group.split(':');
    const ears = createSocket({ type: 'udp4', reuseAddr: true });
    const mouth = createSocket('udp4');
    t.teardown(() => {
      ears.close();
      mouth.close();
    });
    await new Promise<void>((resolve) => ears.bind(Number(port), host, resolve));
    ears.addMembership(host, '127.0.0.1');
    await new Promise<void>((resolve) => mouth.bind(0, '127.0.0.1', resolve));
    mouth.setMulticastInterface('127.0.0.1');
    const voice = new Voice({ host, port: Number(port) }, mouth);
    for (const socket of [ears, mouth]) {
      socket.on('message', (data, { address, port: sent }) => {
        if (sent === mouth.address().port) return;
        const heard = { data, message: decode(data, 'udp'), from: { host: address, port: sent } };
        voice.heard.push(heard);
        voice.onHeard(heard);
      });
    }
    return voice;
  }

  /** To everyone. */
  say(message: Message | Uint8Array): void {
    this.tell(message, this.#group);
  }

  tell(message: Message | Uint8Array, { host, port }: Endpoint): void {
    this.#mouth.send(message instanceof Uint8Array ? message : encode(message), port, host);
  }

  /** Offers that a peer said of itself, the latest last. */
  offersOf(peer: string): (Heard & { message: MessageOf<'O'> })[] {
    return this.heard.filter((one): one is Heard & { message: MessageOf<'O'> } => {
      return is(one.message, 'O') && readHead(one.message.head).id === peer;
    });
  }

  /** Answers questions as a peer that is alive does. */
  live(raw: RawPeer, head: () => Partial<Head>): void {
    const before = this.onHeard;
    this.onHeard = (heard) => {
      before(heard);
      const { message, from } = heard;
      if (!is(message, 'Q') || (message.to !== '' && message.to !== raw.id) || message.from === raw.id) return;
      this.tell({ type: 'O', ...raw.head({ ...head(), echo: message.nonce }), from: 0, offers: [] }, from);
    };
    this.say({ type: 'O', ...raw.head(head()), from: 0, offers: [] });
  }
}

/** What a peer knows of others: every offer of every live peer, and who is here. */
async function known(peer: LanPeer, ...except: string[]): Promise<string[]> {
  const offers = [...peer.peer.index]
    .filter(({ path }) => !path.startsWith('share/'))
    .map(({ peer: id, path, kind, size, id: content }) => [id, path, kind, size, content].join(' '));
  const here = (await peer.peer.peers()).map(({ id, name }) => `${id} ${name}`);
  return [...offers, ...here].filter((line) => !except.some((id) => line.startsWith(id))).sort();
}

interface Stage {
  lan: Lan;
  voice: Voice;
  victim: LanPeer;
  watcher: LanPeer;
  attacker: RawPeer;
  /** Lets the victim say something true, and waits until all know of it: what was said before has been heard then. */
  settle(...also: LanPeer[]): Promise<void>;
  /** The victim's newest words. */
  words(): MessageOf<'O'>;
  /** Every change that the watcher's index went through, the true ones left out: also one that was mended at once. */
  changes: string[];
}

async function stage(t: ExecutionContext): Promise<Stage> {
  const lan = await Lan.make(t);
  const voice = await Voice.open(t, lan);
  const victim = await lan.peer('victim', { files: { 'share/mark-0': '', 'kept/a.txt': 'a', 'kept/b.txt': 'b' } });
  const watcher = await lan.peer('watcher');
  for (const path of ['kept/a.txt', 'kept/b.txt', 'share/mark-0']) await watcher.hashed(path);
  const attacker = new RawPeer(t, 'attacker', false);
  await attacker.listen();
  let marks = 0;
  const changes: string[] = [];
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  void (async () => {
    for await (const { kind, offer } of watcher.peer.index.changes(abort.signal)) {
      if (!offer.path.startsWith('share')) changes.push(`${kind} ${offer.path}`);
    }
  })();
  return {
    changes,
    lan,
    voice,
    victim,
    watcher,
    attacker,
    settle: async (...also) => {
      const name = `share/mark-${++marks}`;
      await write(victim.root, { [name]: 'x' });
      for (const peer of [watcher, ...also]) await peer.knows(name);
    },
    words: () => voice.offersOf(victim.id).at(-1)?.message as MessageOf<'O'>,
  };
}

function added(path: string, version: number): Offer {
  return { path, kind: 'file', size: 4, mtime: 1, id: 'ab'.repeat(32), version };
}

test('offers in the name of another, by datagram and over a connection', async (t) => {
  const on = await stage(t);
  const { voice, victim, watcher, attacker } = on;
  const before = await known(watcher);
  const own = await known(victim);
  const words = on.words();
  const head = readHead(words.head);
  const forge = (differs: Partial<Head>, sig?: Uint8Array): MessageOf<'O'> => {
    const packed = packHead({ ...head, ...differs });
    const offers = [added('kept/forged.txt', (differs.version ?? head.version) as number)];
    return {
      type: 'O',
      head: packed,
      sig: sig ?? attacker.identity.sign(headStatement(packed)),
      from: head.version,
      offers,
    };
  };
  // What anybody can know of the victim, and one file more: the forged words would fit their own root.
  const shelf = new Shelf(victim.id, head.epoch);
  for (const offer of watcher.peer.index) if (offer.peer === victim.id) shelf.put(offer);
  t.deepEqual(shelf.tree.root(), Buffer.from(head.root));
  shelf.put(added('kept/forged.txt', head.version + 1));
  const next = { version: head.version + 1, count: shelf.count, files: head.files + 1, root: shelf.tree.root() };
  const forgeries: MessageOf<'O'>[] = [
    // The victim's id and key, signed by another; the victim's own signature on other words; its id with another's key.
    forge(next),
    forge(next, words.sig),
    forge({ ...next, key: attacker.identity.key }),
    forge({ ...next, root: randomBytes(32) }),
    forge({ epoch: head.epoch + 1, version: 1 }),
    // Its true words, with offers that it did not make.
    { ...words, offers: [added('kept/forged.txt', head.version)], from: head.version - 1 },
    { ...words, offers: [{ ...added('kept/a.txt', head.version), kind: 'removed' }], from: 0 },
  ];
  const talk = await attacker.dial(watcher.peer.port);
  for (const forgery of forgeries) {
    voice.say(forgery);
    talk.send(forgery);
  }
  await on.settle();
  t.deepEqual(await known(watcher, attacker.id), before);
  t.deepEqual(await known(victim, attacker.id), own);
  t.deepEqual(on.changes, []);
});

test('a relay hands on what its writer has not signed, and is believed only where it has', async (t) => {
  const on = await stage(t);
  const { voice, watcher, attacker } = on;
  // A writer that is alive, but gives its offers to nobody: they are asked of others.
  const writer = new RawPeer(t, 'writer', false);
  await writer.listen();
  const shelf = new Shelf(writer.id, 7);
  const honest = added('written/true.txt', 3);
  shelf.put(honest);
  const numbers = { epoch: 7, version: 3, count: 1, files: 1, bytes: 4, root: shelf.tree.root() };
  const head = () => ({ ...numbers, port: writer.port });
  writer.onTalk = (talk) => {
    talk.onMessage = (message) => {
      if (is(message, 'P')) talk.send({ type: 'E', number: message.number, code: 'not-found', id: null, message: '' });
    };
  };
  const said: Offer[][] = [];
  attacker.onTalk = (talk) => {
    talk.onMessage = (message) => {
      if (!is(message, 'P') || message.writer !== writer.id) return;
      const offers = said.length > 0 ? [honest] : [honest, added('written/forged.txt', 2)];
      said.push(offers);
      const { number } = message;
      talk.send({ type: 'D', number, replaced: Buffer.alloc(32, 255), offers, last: true, ...writer.head(head()) });
    };
  };
  // Only these two and the watcher are here: who else could be asked is the attacker.
  await on.victim.peer.stop();
  await until(() => watcher.told('peer').some(({ change }) => change === 'left'), 'the victim has left');
  const empty = new Shelf(attacker.id, 1).tree.root();
  voice.live(attacker, () => ({ port: attacker.port, version: 1, count: 0, files: 0, bytes: 0, root: empty }));
  voice.live(writer, head);
  await until(() => said.length === 1, 'the attacker was asked');
  t.deepEqual(
    [...watcher.peer.index].filter(({ peer }) => peer === writer.id),
    [],
  );
  // The same relay with the writer's true offers is believed: it was not for another reason that it was not before.
  await watcher.knows('written/true.txt');
  t.true(said.length >= 2);
  t.deepEqual(
    [...watcher.peer.index].filter(({ peer }) => peer === writer.id).map(({ path }) => path),
    ['written/true.txt'],
  );
});

test('a goodbye for another, and one that the other said in an earlier run', async (t) => {
  const on = await stage(t);
  const { lan, voice, victim, watcher, attacker } = on;
  const comer = await lan.peer('comer', { files: { 'c.txt': 'c' } });
  await watcher.hashed('c.txt');
  await comer.peer.stop();
  const goodbye = () => voice.heard.filter(({ message }) => is(message, 'L') && message.id === comer.id);
  await until(() => goodbye().length > 0, 'it says goodbye');
  await until(() => watcher.offers('c.txt').length === 0, 'and is gone');
  const again = await lan.peer('comer', { state: comer.file('.state'), share: [comer.file('c.txt')] });
  await watcher.hashed('c.txt', again);
  await victim.hashed('c.txt', again);
  const before = await known(watcher);
  const { epoch } = readHead(on.words().head);
  const talk = await attacker.dial(watcher.peer.port);
  for (const { data } of goodbye()) voice.say(data);
  for (const wild of [epoch, epoch + 1, 2 ** 48, Number.MAX_SAFE_INTEGER]) {
    for (const id of [victim.id, again.id]) {
      const sigs = [randomBytes(64), attacker.identity.sign(leaveStatement(id, wild)), on.words().sig];
      for (const sig of sigs) {
        voice.say({ type: 'L', id, epoch: wild, sig });
        talk.send({ type: 'L', id, epoch: wild, sig });
      }
    }
  }
  await on.settle(again);
  t.deepEqual(await known(watcher, attacker.id), before);
  t.deepEqual(
    watcher.told('peer').filter(({ change, id }) => change === 'left' && id === victim.id),
    [],
  );
});

test('everything that was ever said, said again', async (t) => {
  const on = await stage(t);
  const { voice, victim, watcher } = on;
  await write(victim.root, { 'kept/short-lived.txt': 'x' });
  await watcher.hashed('kept/short-lived.txt');
  await rm(victim.file('kept/short-lived.txt'));
  await write(victim.root, { 'kept/a.txt': 'another' });
  await until(() => watcher.offers('kept/short-lived.txt').length === 0, 'it is gone');
  await until(() => watcher.offers('kept/a.txt')[0]?.size === 7, 'the other has changed');
  await watcher.hashed('kept/a.txt');
  const before = await known(watcher);
  const { length } = on.changes;
  for (let round = 0; round < 3; round++) for (const { data } of [...voice.heard]) voice.say(data);
  for (const { data } of [...voice.heard].reverse()) voice.say(data);
  await on.settle();
  t.deepEqual(await known(watcher), before);
  t.is(on.changes.length, length);
});

test('the heartbeat of a peer that has died, to a newcomer', async (t) => {
  const on = await stage(t);
  const { lan, voice, watcher } = on;
  const doomed = await lan.peer('doomed', {
    files: { 'd.txt': 'd' },
    // It dies: nobody hears a goodbye of it.
    filter: (message, direction) => (direction === 'out' && is(message, 'L') ? undefined : message),
  });
  await watcher.hashed('d.txt');
  await until(() => voice.offersOf(doomed.id).length > 2, 'it was heard');
  await doomed.peer.stop();
  const newcomer = await lan.peer('newcomer');
  await newcomer.hashed('kept/a.txt');
  for (let round = 0; round < 10; round++) for (const { data } of voice.offersOf(doomed.id)) voice.say(data);
  await on.settle(newcomer);
  t.deepEqual(newcomer.offers('d.txt'), []);
  t.deepEqual((await newcomer.peer.peers()).map(({ name }) => name).sort(), ['newcomer', 'victim', 'watcher']);
  t.deepEqual(
    newcomer.told('peer').filter(({ id }) => id === doomed.id),
    [],
  );
});

test('a wild epoch', async (t) => {
  const on = await stage(t);
  const { voice, victim, watcher, attacker } = on;
  const before = await known(watcher);
  const stored = () => readFile(victim.file('.state/epoch.json'), 'utf8');
  const epochs = await stored();
  const head = readHead(on.words().head);
  const talk = await attacker.dial(watcher.peer.port);
  const toVictim = await attacker.dial(victim.peer.port);
  for (const epoch of [head.epoch + 1, 2 ** 31, 2 ** 48, 2 ** 48 + 1, Number.MAX_SAFE_INTEGER]) {
    for (const identity of [{}, { key: attacker.identity.key }]) {
      const packed = packHead({ ...head, ...identity, epoch, version: 1, count: 0 });
      for (const sig of [attacker.identity.sign(headStatement(packed)), on.words().sig]) {
        const forged: MessageOf<'O'> = { type: 'O', head: packed, sig, from: 0, offers: [] };
        voice.say(forged);
        talk.send(forged);
        toVictim.send(forged);
      }
    }
    // Of itself anybody may say what he likes; it is nothing to others.
    voice.say({ type: 'O', ...attacker.head({ epoch }), from: 0, offers: [] });
  }
  await on.settle();
  t.deepEqual(await known(watcher, attacker.id), before);
  t.deepEqual(on.changes, []);
  t.is(await stored(), epochs);
  t.is(readHead(on.words().head).epoch, head.epoch, 'the victim begins no new epoch');
});
