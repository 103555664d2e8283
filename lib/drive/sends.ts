/**
 * What this peer sends: a parcel, offered to each of its receivers, who serve each other.
 *
 * Owns the sends under way. Always true: what is missing is named before anyone is asked; each receiver that was named ends in
 * one `done` or `error`, and `end` comes last; a parcel is offered until all its receivers are done with it, and no longer.
 * Called by the peer.
 */
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorBody, PeerName, SendEvent, SendQuery } from '../api.js';
import type { Random } from '../clock.js';
import { formatEndpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { keyPart, type PeerId } from '../ids.js';
import { PARCEL_ITEMS_MAX, SEND_TO_MAX, SENDS_MAX, SWARM_TOLD_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Link } from '../net/link.js';
import type { Known } from '../share/known.js';
import { resolveShare } from '../share/resolve.js';
import { onePeer } from '../shelf/query.js';
import { parcelName, titleOf } from '../transfer/parcel.js';
import type { Neighbour } from '../wire/table.js';
import { Delivery, type DeliveryParts } from './delivery.js';
import type { Registered, Registration, Steering } from './jobs.js';
import type { Parcel, Parcels, Sent } from './parcels.js';
import { keepSecret } from './shares.js';
import { Stream } from './stream.js';

export interface SendsOptions extends DeliveryParts {
  /** This peer's own. */
  id: PeerId;
  /** The state folder, which is never sent. */
  state: string;
  parcels: Parcels;
  known: Known;
  /** Of cryptographic quality. */
  random: Random;
  /** Who is here, this peer among them. */
  peers(): Promise<PeerName[]>;
  nameOf(peer: PeerId): PeerName;
  /** Why nobody else is here, where that is so. */
  whyNobody(): string;
  register(about: Registration, steering: Steering): Registered;
}

/** Ids of the contents are waited for so long before anyone is asked, ms: who has it already can say so at once. */
const HASH_MS = 1000;

/** Characters of an id from which on a word may be meant to be the beginning of one. */
const PREFIX_MIN = 6;

const body = ({ code, message }: HearsayError) => ({ code, message });

/** Who is meant, and by which words. */
interface Receiver {
  peer: PeerName;
  words: string[];
}

export class Sends {
  readonly #options: SendsOptions;
  readonly #running = new Map<AbortController, Promise<void>>();
  #stopped = false;

  constructor(options: SendsOptions) {
    this.#options = options;
  }

  /** Sends; the events say what becomes of it. What is wrong with what is to be sent is thrown by the iteration. */
  send(query: SendQuery, signal: AbortSignal): AsyncIterable<SendEvent> {
    const abort = new AbortController();
    const withdraw = () => abort.abort();
    const out = new Stream<SendEvent>(withdraw);
    if (signal.aborted) withdraw();
    signal.addEventListener('abort', withdraw);
    if (this.#running.size >= SENDS_MAX) {
      out.fail(new HearsayError('limit', `${SENDS_MAX} sends are under way: wait for one of them`));
      return out;
    }
    const run = this.#run(query, abort, out)
      .catch((thrown) => out.fail(asHearsayError(thrown)))
      .finally(() => {
        signal.removeEventListener('abort', withdraw);
        this.#running.delete(abort);
        out.end();
      });
    this.#running.set(abort, run);
    return out;
  }

  /** Ends all that is under way; nothing is taken back, so that receivers go on among themselves where they can. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const abort of this.#running.keys()) abort.abort();
    await Promise.all(this.#running.values());
  }

  async #run(query: SendQuery, abort: AbortController, out: Stream<SendEvent>): Promise<void> {
    const { parcels, random, register } = this.#options;
    const sent = await this.#look(query);
    const { receivers, failed } = await this.#receivers(query.to);
    const ids = receivers.map(({ peer }) => peer.id);
    const parcel = await parcels.add(parcelName(Date.now(), random), sent, ids);
    try {
      const items = parcels.items(parcel);
      const unread = items.find((item) => !item.folder && item.files === 0);
      if (unread) throw new HearsayError('not-readable', `${printable(unread.name)} cannot be read`);
      const files = items.reduce((sum, item) => sum + item.files, 0);
      const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
      const name = titleOf(sent.map((one) => one.name));
      const about: Registration = {
        direction: 'out',
        path: name,
        size: bytes * receivers.length,
        what: query.files,
        to: query.to.join(', '),
        files,
        peers: receivers.map(({ peer }) => peer),
      };
      const registered = register(about, { cancel: () => abort.abort() });
      out.push({ event: 'start', number: registered.number, name, files, bytes });
      for (const error of failed) out.push(error);
      registered.running();
      const sending = new Sending(this.#options, { parcel, receivers, bytes, registered, out });
      await Promise.race([parcels.hash(parcel), delay(HASH_MS, undefined, { ref: false })]);
      await sending.run(abort.signal, () => !this.#stopped);
      const { done, failures } = sending;
      const bad = failed.length + failures;
      if (bad === 0) registered.update({ done: files });
      const [why = sending.why] = failed.map(({ error }) => error);
      const some = { code: 'failed', message: `${bad} of ${bad + done} have not taken it` } as const;
      registered.end(bad > 0 && bad + done > 1 ? some : why);
      out.push({ event: 'end', done, failed: bad });
    } finally {
      // What is ending is not told as taken away: who receives it goes on with the others.
      if (!this.#stopped) await parcels.end(parcel);
    }
  }

  /** What is to be sent, and what it is called. @throws HearsayError `no-such-path`, `not-readable`, `usage`, `conflict` */
  async #look({ files, as }: SendQuery): Promise<Sent[]> {
    if (files.length === 0) throw new HearsayError('usage', 'nothing is to be sent');
    if (files.length > PARCEL_ITEMS_MAX) {
      throw new HearsayError('limit', `over ${PARCEL_ITEMS_MAX} files at a time: put them into a folder`);
    }
    if (as !== undefined && files.length !== 1) {
      throw new HearsayError('usage', `--as names one FILE, and there are ${files.length}`);
    }
    const missing: string[] = [];
    const sent = new Map<string, Sent>();
    for (const file of files) {
      try {
        // A link counts as what it points to: it was named.
        await stat(file);
      } catch {
        missing.push(file);
        continue;
      }
      const { path, name } = await resolveShare({ path: file, as }, '/');
      await keepSecret({ path, name }, this.#options.state);
      const other = sent.get(name);
      if (other && other.path !== path) {
        const both = `${printable(other.path)} and ${printable(path)}`;
        throw new HearsayError('conflict', `${both} would both be called ${printable(name)} there: send one at a time`);
      }
      sent.set(name, { path, name, folder: (await stat(path)).isDirectory() });
    }
    if (missing.length > 0) {
      const which = missing.map(printable).join(', ');
      throw new HearsayError('no-such-path', `there is no ${which}`);
    }
    return [...sent.values()];
  }

  /** Who is meant; those who are not here, or are not clear, are told of and the others go on. */
  async #receivers(to: readonly string[]) {
    if (to.length === 0) throw new HearsayError('usage', 'nobody is named to send it to');
    if (to.length > SEND_TO_MAX) throw new HearsayError('limit', `over ${SEND_TO_MAX} receivers at a time`);
    const peers = await this.#options.peers();
    const receivers = new Map<string, Receiver>();
    const failed: Extract<SendEvent, { event: 'error' }>[] = [];
    for (const word of new Set(to)) {
      try {
        // Only what a name needs: more is known of it, and none of that is for the events.
        const { id, name } = this.#meant(word, peers);
        const peer = { id, name };
        const known = receivers.get(keyPart(peer.id));
        if (known) known.words.push(word);
        else receivers.set(keyPart(peer.id), { peer, words: [word] });
      } catch (thrown) {
        failed.push({ event: 'error', to: word, error: body(asHearsayError(thrown)) });
      }
    }
    return { receivers: [...receivers.values()], failed };
  }

  /**
   * The peer that a word means. A name stands for the key that was first seen with it here.
   * @throws HearsayError `no-peer`, `ambiguous`, `usage` for this peer itself
   */
  #meant(word: string, peers: readonly PeerName[]): PeerName {
    const { id, known, whyNobody } = this.#options;
    const isNamed = ({ name }: PeerName) => name.normalize('NFC') === word.normalize('NFC');
    const tie = known.get(word);
    const tied = tie && peers.find((peer) => isNamed(peer) && keyPart(peer.id) === keyPart(tie.id));
    const found = tied ?? onePeer(word, peers);
    if (!found) {
      const alone = peers.every((peer) => peer.id === id) ? `; ${whyNobody()}` : '';
      throw new HearsayError('no-peer', `${printable(word)} is not here${alone}`);
    }
    if (found.id === id) throw new HearsayError('usage', 'that is this peer itself');
    if (tied || !isNamed(found)) return found;
    // Whoever calls himself by the beginning of another's id is not sent what is meant for that one.
    const begun = peers.find((peer) => peer.id !== found.id && peer.id.startsWith(word.toUpperCase()));
    if (begun && word.length >= PREFIX_MIN) {
      const who = `${printable(word)} is the name of ${found.id}, and the beginning of ${begun.id}`;
      throw new HearsayError('ambiguous', `${who}: name the one that is meant by its whole id`);
    }
    if (tie && keyPart(tie.id) !== keyPart(found.id)) {
      const since = new Date(tie.since).toISOString().slice(0, 10);
      const who = `${printable(word)} is ${tie.id} here since ${since}, and not ${found.id}, which is called so now`;
      throw new HearsayError('ambiguous', `${who}: where that one is meant, name it by its id`);
    }
    known.tie(word, found.id, Date.now());
    return found;
  }
}

interface SendingOf {
  parcel: Parcel;
  receivers: readonly Receiver[];
  bytes: number;
  registered: Registered;
  out: Stream<SendEvent>;
}

/** One parcel on its way to its receivers, each of which is told of the others that take it too. */
class Sending {
  readonly #options: SendsOptions;
  readonly #of: SendingOf;
  readonly #deliveries = new Map<PeerId, Delivery>();
  /** Those who take it, by the connections over which they said so last. */
  readonly #members = new Map<PeerId, Link>();
  readonly #received = new Map<PeerId, number>();
  done = 0;
  failures = 0;
  /** Why one of them has not taken it. */
  why: ErrorBody | undefined;

  constructor(options: SendsOptions, of: SendingOf) {
    this.#options = options;
    this.#of = of;
  }

  /** @param isBack whether what is ended is taken back */
  async run(signal: AbortSignal, isBack: () => boolean): Promise<void> {
    const { parcel, receivers } = this.#of;
    const items = () => this.#options.parcels.items(parcel);
    const runs = receivers.map((receiver) => {
      const delivery = new Delivery(this.#options, receiver.peer.id, parcel.name, items, this.#events(receiver));
      this.#deliveries.set(receiver.peer.id, delivery);
      return delivery.run();
    });
    const withdraw = () => {
      for (const delivery of this.#deliveries.values()) {
        if (isBack()) delivery.withdraw(new HearsayError('interrupted', 'it was taken back'));
        else delivery.leave(new HearsayError('interrupted', 'this peer is stopping'));
      }
    };
    if (signal.aborted) withdraw();
    signal.addEventListener('abort', withdraw);
    await Promise.all(runs);
    signal.removeEventListener('abort', withdraw);
    if (isBack()) for (const delivery of this.#deliveries.values()) delivery.release();
  }

  #events({ peer, words }: Receiver) {
    const { out, bytes: size } = this.#of;
    let began = performance.now();
    let last = '';
    const tell = (make: (to: string) => SendEvent, droppable = false) => {
      for (const word of words) out.push(make(word), droppable);
    };
    /** Once, although it is said again over another connection. */
    const once = (event: 'asked' | 'accepted') => {
      if (last === event || (last === 'accepted' && event === 'asked')) return;
      last = event;
      began = performance.now();
      tell((to) => ({ event, to, peer }));
    };
    return {
      asked: () => once('asked'),
      accepted: (link: Link) => {
        once('accepted');
        this.#joined(link);
      },
      progress: (bytes: number) => {
        this.#count(peer.id, bytes);
        tell((to) => ({ event: 'progress', to, peer, bytes: Math.min(bytes, size), size }), true);
      },
      done: (message: string) => {
        this.done += words.length;
        this.#count(peer.id, size);
        const seconds = Math.round(performance.now() - began) / 1000;
        if (message !== '') out.push({ event: 'warning', message: `${printable(peer.name)}: ${message}` });
        tell((to) => ({ event: 'done', to, peer, bytes: size, seconds }));
      },
      failed: (error: HearsayError) => {
        this.failures += words.length;
        this.why = body(error);
        this.#members.delete(peer.id);
        tell((to) => ({ event: 'error', to, peer, error: body(error) }));
      },
    };
  }

  #count(peer: PeerId, bytes: number): void {
    this.#received.set(peer, Math.min(bytes, this.#of.bytes));
    const sum = [...this.#received.values()].reduce((all, one) => all + one, 0);
    this.#of.registered.update({ bytes: sum });
  }

  /** One takes it: it is told of the others, and they of it. */
  #joined(link: Link): void {
    // Said again over the same connection, it is no news to anyone.
    if (this.#members.get(link.peer) === link) return;
    const others = [...this.#members].filter(([id]) => id !== link.peer);
    this.#members.set(link.peer, link);
    this.#tell(
      link.peer,
      others.map(([, other]) => other),
    );
    for (const [id] of others) this.#tell(id, [link]);
  }

  /** Who cannot be dialled finds the others by itself. */
  #tell(to: PeerId, links: readonly Link[]): void {
    const open = this.#deliveries.get(to)?.open;
    // One that is done may still give to the others.
    if (!open?.link.open) return;
    const peers: Neighbour[] = links
      .filter(({ head }) => head.port > 0)
      // Where one is passed on by another, nothing listens at what is seen of it.
      .map(({ packedHead: head, sig, address, tunnelled }) => ({
        head,
        sig,
        addresses: tunnelled ? [] : [formatEndpoint(address)],
      }));
    for (let at = 0; at < peers.length; at += SWARM_TOLD_MAX) {
      open.link.send({ type: 'm', number: open.number, peers: peers.slice(at, at + SWARM_TOLD_MAX) });
    }
  }
}
