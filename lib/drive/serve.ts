/**
 * The serving side: answers requests for files on every link.
 *
 * Owns the transfers that others opened on us, and for each link its Upload, which decides what is sent next. Always
 * true: one pump a link at most, so that links share disk and network by taking turns; a transfer that ends is closed
 * once, with one event; no payload is read before the limit on what is sent lets it through. Called by the peer's switch with what
 * arrives.
 */
import type { TransferRow } from '../api.js';
import { CHUNK_BUFFERS } from '../buffers.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import { Latest } from '../latest.js';
import {
  BLOCK,
  ITEMS_QUEUED_MAX,
  LOOKED_MAX,
  MANIFEST_PAGE,
  NAMES_MAX,
  SMALL_BATCH_MAX,
  TRANSFERS_PER_CONNECTION_MAX,
} from '../limits.js';
import type { Link } from '../net/link.js';
import { chunkCount, chunkLength, chunkSizeOf } from '../transfer/content.js';
import { SMALL_WEIGHT, Upload } from '../transfer/upload.js';
import type { Message, MessageOf } from '../wire/table.js';
import { Alarm } from './alarm.js';
import { ChunkCache, type HeldChunk } from './cache.js';
import { Gate } from './gate.js';
import { type Guided, Guides } from './guides.js';
import { Limiter } from './limiter.js';
import type { Found, Shelf } from './offered.js';
import { Outlet } from './outlet.js';
import { Rate } from './rate.js';
import { Swarms } from './swarm.js';

/** Requests that this side answers. */
export type Asked = Extract<Message, { type: 'G' | 'R' | 'A' | 'B' | 's' | 'X' | 'S' }>;

export interface ServeEvents {
  begun(link: Link, path: string): void;
  completed(link: Link, path: string, bytes: number): void;
  failed(link: Link, path: string, bytes: number, why: string): void;
}

interface Transfer {
  kind: 'file';
  number: number;
  /** The manifest is sent at the beginning and not kept. */
  found: Omit<Found, 'manifest'>;
  hashed: boolean;
  /** What the chunks of it are cached under, and by which name that is found. */
  key: string;
  keyName: string;
  perChunk: number;
  blocks: number;
  started: boolean;
  sent: number;
  acked: number;
  rate: Rate;
  leave: (() => void) | undefined;
  /** Where it is guided to what others do not get of us. */
  guided: Guided | undefined;
  /** Hashes of chunks served before there is an id. */
  hashes: Map<number, Buffer>;
}

interface Batch {
  kind: 'small';
  number: number;
  files: MessageOf<'S'>['files'];
  /** Characters of their names. */
  names: number;
  /** What was sent and is not acknowledged yet: where it really is, and bytes. */
  sent: Map<number, { path: string; size: number }>;
}

interface Client {
  link: Link;
  upload: Upload;
  transfers: Map<number, Transfer | Batch>;
  /** Requests whose file is to be opened, one after another; one that is cancelled is taken out. */
  opening: Set<number>;
  opened: Promise<void>;
  /** Characters of the names of small files that are asked for. */
  names: number;
  /** When a chunk was last looked at again because this one says that it is wrong. */
  lookedAt: number;
  pumping: boolean;
  /** Its way through the limit on what is sent. */
  outlet: Outlet;
  /** Rings when something is to be sent again; too early where it was acknowledged meanwhile. */
  alarm: Alarm;
}

/** A file that is found to be wrong is read whole again at most so often, ms. */
const LOOK_AGAIN_MS = 5000;
/** A chunk that is said to be wrong is read again at most so often for one who says so, ms. */
const LOOK_MS = 1000;
/** It is looked for what is late at most so often, ms. */
const LATE_MS = 50;

let keys = 0;

export class Server {
  readonly #shelf: Shelf;
  readonly #events: ServeEvents;
  readonly #limiter: Limiter;
  readonly #clients = new Map<Link, Client>();
  readonly #cache = new ChunkCache();
  readonly #swarms = new Swarms();
  readonly #gate = new Gate<Client>();
  readonly #guides = new Guides(Math.random);
  /** When a file was last looked at again, by its path. */
  readonly #looked = new Latest<string, number>(LOOKED_MAX);
  /** Keys of the cache, by content id or by path and time. */
  readonly #keys = new Map<string, { key: string; users: number }>();

  /** @param limiter the limit on all that is sent */
  constructor(shelf: Shelf, events: ServeEvents, limiter = new Limiter()) {
    this.#shelf = shelf;
    this.#events = events;
    this.#limiter = limiter;
  }

  /** Whether something is served over a link now. */
  busy(link: Link): boolean {
    return (this.#clients.get(link)?.transfers.size ?? 0) > 0;
  }

  /**
   * A file that is being received here has these chunks now: whoever fetches it from here is told, but for those who have them.
   * @param circle of one that is received for some only
   */
  tellHave(id: string, chunks: number[], circle?: string): void {
    for (const { link, transfers } of this.#clients.values()) {
      for (const t of transfers.values()) {
        if (t.kind !== 'file' || !t.found.have || t.found.source.id !== id || t.found.circle !== circle) continue;
        const { hasFellow } = t.found;
        // Who told of a chunk itself has no use for the news: half of them are saved.
        const news = hasFellow ? chunks.filter((chunk) => !hasFellow(link.peer, chunk)) : chunks;
        if (news.length > 0) link.send({ type: 'K', number: t.number, chunks: news });
      }
    }
  }

  /** Transfers going out, for `status`. */
  rows(nameOf: (link: Link) => string): TransferRow[] {
    const rows: TransferRow[] = [];
    for (const { link, transfers } of this.#clients.values()) {
      for (const t of transfers.values()) {
        if (t.kind !== 'file' || !t.started) continue;
        rows.push({
          direction: 'out',
          path: t.found.source.path,
          size: t.found.source.size,
          bytes: t.acked,
          rate: t.rate.value(performance.now()),
          peers: [{ id: link.peer, name: nameOf(link) }],
        });
      }
    }
    return rows;
  }

  handle(link: Link, message: Asked): void {
    let client = this.#clients.get(link);
    if (!client) {
      // Only a question begins anything; a late acknowledgement of something ended is nothing.
      if (message.type !== 'G' && message.type !== 'S') return;
      const upload = new Upload();
      const opened: Client = {
        link,
        upload,
        transfers: new Map(),
        opening: new Set(),
        opened: Promise.resolve(),
        names: 0,
        lookedAt: Number.NEGATIVE_INFINITY,
        pumping: false,
        outlet: new Outlet(this.#limiter, () => sayHeldUp(link, upload)),
        alarm: new Alarm(() => this.#late(opened)),
      };
      client = opened;
      this.#clients.set(link, client);
    }
    switch (message.type) {
      case 'G':
        this.#openSoon(client, message);
        break;
      case 'S':
        this.#openSmall(client, message);
        break;
      case 'R':
        this.#request(client, message);
        break;
      case 'A':
        this.#acked(client, message);
        break;
      case 'B':
        this.#bad(client, message).catch((thrown) => this.#refuse(link, message.number, thrown));
        break;
      case 's':
        this.#spare(client, message);
        break;
      case 'X':
        client.opening.delete(message.number);
        this.#end(client, message.number, 'the other side stopped it');
        break;
    }
  }

  linkClosed(link: Link, why: HearsayError): void {
    const client = this.#clients.get(link);
    if (!client) return;
    for (const number of [...client.transfers.keys()]) this.#end(client, number, why.message);
    client.alarm.stop();
    client.outlet.end();
    this.#gate.end(client);
    this.#clients.delete(link);
  }

  /** What is shared under these paths is shared no more: who is fetching it is told so. */
  withdraw(isGone: (path: string) => boolean): void {
    for (const client of this.#clients.values()) {
      for (const transfer of [...client.transfers.values()]) {
        // What is being received here is passed on under the path of another's share.
        if (transfer.kind !== 'file' || transfer.found.have || !isGone(transfer.found.source.path)) continue;
        const why = new HearsayError('not-found', `${transfer.found.source.path} is no more shared`);
        this.#refuse(client.link, transfer.number, why);
        this.#end(client, transfer.number, why.message);
      }
    }
  }

  stop(): void {
    for (const { alarm } of this.#clients.values()) alarm.stop();
    this.#swarms.stop();
    this.#gate.stop();
  }

  #refuse(link: Link, number: number, thrown: unknown): void {
    const error = asHearsayError(thrown, 'not-readable');
    link.send({ type: 'E', number, code: error.code, id: null, message: shorten(error.message) });
  }

  #room(client: Client, number: number): void {
    if (client.transfers.has(number) || client.opening.has(number)) {
      throw new HearsayError('bad-message', `the request ${number} is open already`);
    }
    if (client.transfers.size + client.opening.size >= TRANSFERS_PER_CONNECTION_MAX) {
      throw new HearsayError('limit', `over ${TRANSFERS_PER_CONNECTION_MAX} transfers on one connection`);
    }
  }

  /** One after another on each link: what opening needs, a manifest among it, is there once for each reader at most. */
  #openSoon(client: Client, message: MessageOf<'G'>): void {
    const { link, opening } = client;
    const { number } = message;
    try {
      this.#room(client, number);
    } catch (thrown) {
      this.#refuse(link, number, thrown);
      return;
    }
    opening.add(number);
    client.opened = client.opened
      .then(() => this.#open(client, message))
      .catch((thrown) => {
        if (opening.delete(number)) this.#refuse(link, number, thrown);
      });
  }

  async #open(client: Client, { number, id, path, first }: MessageOf<'G'>): Promise<void> {
    const { link, opening } = client;
    await link.whenWritable();
    if (!link.open || !opening.has(number)) return;
    const { manifest, ...found } = await this.#shelf.open(id, path, link.peer);
    const { source } = found;
    if (!link.open || !opening.delete(number)) return await source.close();
    const keyName = source.id ?? `${source.path}\0${source.mtime}`;
    client.transfers.set(number, {
      kind: 'file',
      number,
      found,
      hashed: manifest !== undefined,
      key: this.#key(keyName),
      keyName,
      perChunk: Math.max(1, chunkSizeOf(source.size) / BLOCK),
      blocks: Math.ceil(source.size / BLOCK),
      started: false,
      sent: 0,
      acked: 0,
      rate: new Rate(),
      leave: undefined,
      guided: undefined,
      hashes: new Map(),
    });
    const swarm = swarmOf(found);
    const transfer = client.transfers.get(number);
    // What it is to ask for it knows before it can ask.
    if (manifest && swarm && !found.have && transfer?.kind === 'file') {
      transfer.guided = this.#guides.join(swarm, source.size, link, number);
    }
    await this.#describe(client, number, { manifest, ...found }, first);
    if (manifest && swarm && client.transfers.has(number)) this.#swarms.tell(swarm, link, number);
  }

  /** Sends the manifest, a page of hashes at a time, as fast as the other side reads. */
  async #describe(client: Client, number: number, { source, manifest, have }: Found, from: number): Promise<void> {
    const { link, transfers } = client;
    const count = manifest ? chunkCount(source.size) : 0;
    const transfer = transfers.get(number);
    let first = Math.min(from, count);
    do {
      await link.whenWritable();
      if (!link.open || transfers.get(number) !== transfer) return;
      const last = Math.min(first + MANIFEST_PAGE, count);
      link.send({
        type: 'M',
        number,
        id: manifest ? source.id : null,
        size: source.size,
        mtime: source.mtime,
        executable: source.executable,
        chunk: chunkSizeOf(source.size),
        first,
        hashes: manifest?.subarray(first * 32, last * 32) ?? new Uint8Array(0),
        have: have && !have.isFull ? have.bytes : new Uint8Array(0),
      });
      first = last;
    } while (first < count);
  }

  #key(name: string): string {
    const known = this.#keys.get(name);
    if (known) {
      known.users++;
      return known.key;
    }
    const key = `${++keys}`;
    this.#keys.set(name, { key, users: 1 });
    return key;
  }

  #openSmall(client: Client, { number, files }: MessageOf<'S'>): void {
    const known = client.transfers.get(number);
    if (!known) {
      const names = files.reduce((sum, { path }) => sum + path.length, 0);
      try {
        this.#room(client, number);
        if (client.names + names > NAMES_MAX) throw new HearsayError('limit', 'too many small files asked for at once');
      } catch (thrown) {
        this.#refuse(client.link, number, thrown);
        return;
      }
      client.transfers.set(number, { kind: 'small', number, files, names, sent: new Map() });
      client.names += names;
    } else if (known.kind !== 'small') return;
    // Asked again means the files that were asked for, whatever is said now.
    client.upload.request(number, (known?.files ?? files).keys(), SMALL_WEIGHT);
    this.#pump(client);
  }

  #request(client: Client, { number, block, count }: MessageOf<'R'>): void {
    const transfer = client.transfers.get(number);
    if (transfer?.kind !== 'file') return;
    if (count === 0) {
      this.#finish(client, transfer).catch((thrown) => this.#refuse(client.link, number, thrown));
      return;
    }
    if (count > ITEMS_QUEUED_MAX || block + count > transfer.blocks) {
      this.#refuse(client.link, number, new HearsayError('bad-message', 'blocks beyond the end of the file'));
      this.#end(client, number, 'blocks beyond the end of the file were asked for');
      return;
    }
    const swarm = swarmOf(transfer.found);
    // Who only asks what there is receives nothing yet, and others are not sent to it.
    if (transfer.hashed && swarm) transfer.leave ??= this.#swarms.join(swarm, client.link, number);
    client.upload.request(
      number,
      Array.from({ length: count }, (_, i) => block + i),
    );
    const { guided, perChunk } = transfer;
    guided?.asked(Math.floor(block / perChunk), Math.floor((block + count - 1) / perChunk));
    this.#pump(client);
  }

  /** The receiver wants nothing more: tell it the id of the whole. */
  async #finish(client: Client, transfer: Transfer): Promise<void> {
    const id = await this.#shelf.idOf(transfer.found.source);
    client.link.send({ type: 'E', number: transfer.number, code: '', id, message: '' });
  }

  #acked(client: Client, { number, done }: MessageOf<'A'>): void {
    const transfer = client.transfers.get(number);
    if (!transfer) return;
    const now = performance.now();
    // What was not sent, or was acknowledged before, counts for nothing.
    const isFile = transfer.kind === 'file';
    const fresh = isFile ? [...new Set(done)].filter((index) => client.upload.isUnacked(number, index)) : [];
    client.upload.acked(number, done, now);
    if (transfer.kind === 'file') {
      if (done.length === 0) {
        this.#end(client, number, undefined);
        return;
      }
      const bytes = fresh.reduce(
        (sum, b) => sum + Math.max(0, Math.min(BLOCK, transfer.found.source.size - b * BLOCK)),
        0,
      );
      this.#gate.acked(client, fresh.length);
      transfer.acked = Math.min(transfer.found.source.size, transfer.acked + bytes);
      transfer.rate.add(bytes, now);
      const { guided, perChunk, blocks } = transfer;
      // The last block of a chunk is asked for last.
      for (const b of guided ? fresh : []) {
        if (b === blocks - 1 || b % perChunk === perChunk - 1) guided?.arrived(Math.floor(b / perChunk));
      }
    } else {
      for (const place of done) {
        const sent = transfer.sent.get(place);
        if (!sent) continue;
        transfer.sent.delete(place);
        this.#events.completed(client.link, sent.path, sent.size);
      }
      if (done.length === 0) this.#end(client, number, undefined);
    }
    this.#pump(client);
  }

  #spare(client: Client, { number, chunks }: MessageOf<'s'>): void {
    const transfer = client.transfers.get(number);
    if (transfer?.kind === 'file') transfer.guided?.spare(chunks);
  }

  /** A chunk did not fit at the receiver: look again whether the file is what we say it is. */
  async #bad(client: Client, { number, chunk }: MessageOf<'B'>): Promise<void> {
    const transfer = client.transfers.get(number);
    // What is being received here was verified as it came; and of what was not sent nothing can be said.
    if (transfer?.kind !== 'file' || transfer.found.have || !transfer.started) return;
    const now = performance.now();
    if (now - client.lookedAt < LOOK_MS) return;
    client.lookedAt = now;
    const { path } = transfer.found.source;
    if (await this.#fits(client, transfer, chunk)) return;
    this.#cache.forget(transfer.key);
    if (!this.#mayLook(path)) return;
    const state = await this.#shelf.recheck(path);
    if (state === 'same' || client.transfers.get(number) !== transfer) return;
    this.#refuse(client.link, number, new HearsayError(state === 'gone' ? 'not-found' : 'changed', `${path} ${state}`));
    this.#end(client, number, `the file is ${state}`);
  }

  /** Whether a chunk on the disk is what its hash says: as much work as to send it, whoever asks. */
  async #fits(client: Client, transfer: Transfer, chunk: number): Promise<boolean> {
    const { id, path, size } = transfer.found.source;
    if (chunk >= chunkCount(size)) return true;
    let again: Found;
    try {
      again = await this.#shelf.open(id, path, client.link.peer);
    } catch {
      return false;
    }
    try {
      const hash = again.manifest?.subarray(chunk * 32, chunk * 32 + 32) ?? transfer.hashes.get(chunk);
      return !hash || blake3(await again.source.readChunk(chunk)).equals(hash);
    } catch {
      return false;
    } finally {
      await again.source.close();
    }
  }

  /** Looking again means to read a whole file, so not as often as anybody likes. */
  #mayLook(path: string): boolean {
    const now = performance.now();
    if (now - (this.#looked.get(path) ?? Number.NEGATIVE_INFINITY) < LOOK_AGAIN_MS) return false;
    this.#looked.set(path, now);
    return true;
  }

  /** Ends a transfer; `why` undefined means that it arrived. */
  #end(client: Client, number: number, why: string | undefined): void {
    client.upload.drop(number);
    const transfer = client.transfers.get(number);
    client.transfers.delete(number);
    if (transfer?.kind === 'small') {
      client.names -= transfer.names;
      if (why === undefined) return;
      for (const { path } of transfer.sent.values()) this.#events.failed(client.link, path, 0, why);
    }
    if (transfer?.kind !== 'file') return;
    transfer.leave?.();
    transfer.guided?.leave();
    const slot = this.#keys.get(transfer.keyName);
    if (slot && --slot.users === 0) {
      this.#keys.delete(transfer.keyName);
      this.#cache.forget(slot.key);
    }
    const { source } = transfer.found;
    if (transfer.started && why === undefined) this.#events.completed(client.link, source.path, transfer.acked);
    else if (transfer.started) this.#events.failed(client.link, source.path, transfer.acked, why ?? '');
    source.close().catch(() => {});
  }

  /** Sends what is wanted, as long as the other side takes it. */
  #pump(client: Client): void {
    this.#watch(client);
    if (client.pumping) return;
    client.pumping = true;
    this.#run(client).finally(() => {
      client.pumping = false;
      // Something may have been asked for when the last turn was over already.
      if (client.link.open && client.upload.ready) this.#pump(client);
      else this.#watch(client);
    });
  }

  async #run(client: Client): Promise<void> {
    const { link, upload, outlet } = client;
    for (let turn = 1; link.open && upload.ready; turn++) {
      await link.whenWritable();
      if (!outlet.isFree) await outlet.pass(this.#ahead(client));
      const isBlock = client.transfers.get(upload.peek()?.number ?? 0)?.kind === 'file';
      if (isBlock) await this.#gate.pass(client);
      const item = link.open ? upload.next(performance.now()) : undefined;
      const transfer = item && client.transfers.get(item.number);
      outlet.settle(transfer ? await this.#sendItem(client, transfer, item.index) : 0);
      if (isBlock && transfer?.kind !== 'file') this.#gate.giveBack(client);
      if (!item) break;
      // Other links and timers have their turn although reading from the cache never waits.
      if (turn % 4 === 0 || transfer?.kind === 'small') await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** @returns bytes */
  async #sendItem(client: Client, transfer: Transfer | Batch, index: number): Promise<number> {
    try {
      if (transfer.kind === 'small') return await this.#sendSmall(client, transfer, index);
      return await this.#sendBlock(client, transfer, index);
    } catch (thrown) {
      // Without its file, a transfer is over; others on the link go on.
      this.#refuse(client.link, transfer.number, thrown);
      this.#end(client, transfer.number, asHearsayError(thrown).message);
      return 0;
    }
  }

  /** Bytes that are sent next, as far as that is known before they are read: at most, and hardly ever less. */
  #ahead(client: Client): number {
    const item = client.upload.peek();
    const transfer = item && client.transfers.get(item.number);
    if (!item || transfer?.kind !== 'file') return BLOCK;
    return Math.max(0, Math.min(BLOCK, transfer.found.source.size - item.index * BLOCK));
  }

  #read(transfer: Transfer, chunk: number): Promise<HeldChunk> {
    const { source } = transfer.found;
    return this.#cache.read(transfer.key, source, chunk, chunkLength(source.size, chunk));
  }

  async #sendBlock(client: Client, transfer: Transfer, block: number): Promise<number> {
    const { found, perChunk } = transfer;
    const chunk = Math.floor(block / perChunk);
    if (found.have && !found.have.has(chunk)) throw new HearsayError('not-found', `chunk ${chunk} is not here`);
    if (!transfer.started) {
      transfer.started = true;
      this.#events.begun(client.link, found.source.path);
    }
    const held = await this.#read(transfer, chunk);
    const { data } = held;
    // While this chunk goes out, the disk reads the next.
    const ahead = client.upload.peek();
    if (ahead?.number === transfer.number) {
      const next = Math.floor(ahead.index / perChunk);
      if (next !== chunk && (!found.have || found.have.has(next))) {
        this.#read(transfer, next).then(
          ({ release }) => release(),
          () => {},
        );
      }
    }
    const at = (block - chunk * perChunk) * BLOCK;
    const isLast = at + BLOCK >= data.length;
    let hash: Buffer = NONE;
    if (!transfer.hashed && isLast) {
      hash = transfer.hashes.get(chunk) ?? blake3(data);
      transfer.hashes.set(chunk, hash);
      found.source.noteHash?.(chunk, hash);
    }
    const part = data.subarray(at, Math.min(at + BLOCK, data.length));
    const { length } = part;
    transfer.sent += length;
    client.link.send({ type: 'T', number: transfer.number, block, hash, data: part });
    held.release();
    return length;
  }

  /** One frame with as many of the files asked for as fit, or two where the last does not. @returns bytes of theirs */
  async #sendSmall(client: Client, batch: Batch, place: number): Promise<number> {
    const { link, upload } = client;
    const buffer = CHUNK_BUFFERS.take(BLOCK);
    let files: MessageOf<'U'>['files'] = [];
    let filled = 0;
    let bytes = 0;
    const send = () => {
      link.send({ type: 'U', number: batch.number, files, data: buffer.subarray(0, filled) });
      files = [];
      filled = 0;
    };
    try {
      for (let next: number | undefined = place; next !== undefined; ) {
        const { id, path } = batch.files[next];
        try {
          const read = this.#shelf.readSmall(id, path, link.peer, buffer.subarray(filled));
          const small = read instanceof Promise ? await read : read;
          const { length } = small.data;
          const isIn = small.data.buffer === buffer.buffer;
          if (!isIn && filled + length > BLOCK) send();
          if (!isIn) small.data.copy(buffer, filled);
          files.push({ place: next, code: '', size: length, ...pick(small) });
          filled += length;
          bytes += length;
          batch.sent.set(next, { path: small.path, size: length });
        } catch (thrown) {
          const { code } = asHearsayError(thrown, 'not-readable');
          files.push({ place: next, code, id: null, size: 0, mtime: 0, executable: false });
        }
        // Until it is nearly full: a file's size is known only when it is read.
        const isOpen = bytes < FRAME_FILL && files.length < SMALL_BATCH_MAX;
        next = isOpen ? upload.nextOf(batch.number, performance.now())?.index : undefined;
      }
      send();
    } finally {
      CHUNK_BUFFERS.give(buffer);
    }
    return bytes;
  }

  /** Sees to it that unacknowledged things are sent again in time. */
  #watch({ upload, link, alarm }: Client): void {
    const at = upload.deadline();
    if (at !== undefined && link.open) alarm.set(Math.max(at, performance.now() + LATE_MS));
  }

  #late(client: Client): void {
    const { link, upload } = client;
    // What has not left this machine yet cannot have been acknowledged.
    const lost = link.queued > 0 ? [] : upload.expire(performance.now());
    for (const number of lost) {
      this.#refuse(link, number, new HearsayError('timeout', 'nothing was acknowledged'));
      this.#end(client, number, 'nothing was acknowledged');
    }
    this.#pump(client);
  }
}

/** By which name those who receive something are told of each other; undefined where they are not. */
function swarmOf({ source, aside, circle }: Omit<Found, 'manifest'>): string | undefined {
  return circle ?? (aside || source.id === null ? undefined : source.id);
}

const NONE = Buffer.alloc(0);
/** Bytes in a bundle beyond which no further file joins: one more of a usual size still fits in a block. */
const FRAME_FILL = BLOCK - (16 << 10);

/** Tells the other side that what it asked for comes, and is held up here: it is no silence. */
function sayHeldUp(link: Link, upload: Upload): void {
  for (const number of upload.waiting) link.send({ type: 'K', number, chunks: [] });
}

function pick({ id, mtime, executable }: { id: string; mtime: number; executable: boolean }) {
  return { id, mtime, executable };
}

function shorten(text: string): string {
  const clean = text.toWellFormed();
  return Buffer.byteLength(clean) <= 512 ? clean : clean.slice(0, 120);
}
