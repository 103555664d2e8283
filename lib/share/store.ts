/**
 * The hashes of files, remembered across restarts, under <state>/hashes.
 * Owns the database there and its lock, which is what makes a state folder serve one long-lived peer. Always true: what
 * it gives was put under the same device, inode, size, mtime and ctime, and is as it was put, or it gives nothing.
 * Called by the catalogue; opened and closed by the peer.
 */
import { access, chmod, constants, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { asHearsayError, HearsayError } from '../errors.js';
import { blake3 } from '../hash.js';
import { HASH_ENTRIES_MAX } from '../limits.js';
import { makeFolders } from './folders.js';
import { type Signature, signatureBytes } from './signature.js';

/** What is known of a content: its id, and BLAKE3 of each chunk, 32 bytes each. */
export interface Remembered {
  id: string;
  hashes: Buffer;
}

type Level = ClassicLevel<Buffer, Buffer>;

const DAY = 86_400_000;
/** A value: the day it was last used (uint16 since 1970), a check over all else, the id, the hashes. */
const CHECK_AT = 2;
const CHECK_BYTES = 4;
const ID_AT = CHECK_AT + CHECK_BYTES;
const HASHES_AT = ID_AT + 32;

/** Days after which an entry that is used has its day written anew: few writes for what is used daily. */
const TOUCH_DAYS = 7;
/** Days unused after which an entry is dropped. */
const KEEP_DAYS = 180;
/** What was put is written after so many milliseconds or entries, whichever is first. */
const WRITE_MS = 100;
const WRITE_ENTRIES = 512;
/** Deletions in one batch while pruning. */
const PRUNE_BATCH = 1000;

function check(key: Buffer, body: Uint8Array): Buffer {
  return blake3(Buffer.concat([key, body])).subarray(0, CHECK_BYTES);
}

export interface StoreOptions {
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Entries kept; beyond it those unused for longest go when it is opened. */
  entriesMax?: number;
}

export class HashStore {
  readonly #level: Level;
  readonly #folder: string;
  readonly #now: () => number;
  #pending = new Map<Signature, Buffer | undefined>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Resolves when what is too old or too much is gone. */
  readonly pruned: Promise<void>;
  #closed = false;
  /** Set when it turned out to be damaged while in use: nothing is read any more, and it is set aside at the end. */
  #damaged = false;
  /** Called when something goes wrong with it later on; the store then forgets rather than fails. */
  onTrouble: (trouble: HearsayError) => void = () => undefined;

  private constructor(level: Level, folder: string, options: StoreOptions) {
    this.#level = level;
    this.#folder = folder;
    this.#now = options.now ?? Date.now;
    this.pruned = this.#prune(options.entriesMax ?? HASH_ENTRIES_MAX).catch((thrown) => this.#trouble(thrown));
  }

  /**
   * Opens the store of a state folder and holds its lock until it is closed.
   * @param state the state folder, made where it is missing
   * @returns the store, and `state-damaged` where what was there had to be set aside
   * @throws HearsayError `state-in-use` where another one holds it, here or in another process; `not-writable`,
   *   `disk-full`
   */
  static async open(state: string, options: StoreOptions = {}): Promise<{ store: HashStore; warning?: HearsayError }> {
    const folder = join(state, 'hashes');
    try {
      await makeFolders(state, 0o700);
      await access(state, constants.W_OK);
    } catch (thrown) {
      throw asHearsayError(thrown, 'not-writable');
    }
    try {
      return { store: new HashStore(await openLevel(folder), folder, options) };
    } catch (thrown) {
      const cause = thrown as { cause?: { code?: string; message?: string } };
      if (cause.cause?.code === 'LEVEL_LOCKED') {
        throw new HearsayError('state-in-use', `another hearsay is using ${state}`, { cause: thrown });
      }
      const aside = await setAside(folder, (options.now ?? Date.now)());
      const level = await openLevel(folder).catch(async (again) => {
        // Not damage, then: a full disk, perhaps. What was there goes back to its place.
        await rm(folder, { recursive: true, force: true });
        await rename(aside, folder);
        throw levelError(again.cause ?? again);
      });
      const why = cause.cause?.message ?? String(thrown);
      const warning = new HearsayError('state-damaged', `the remembered hashes were damaged, now ${aside} (${why})`);
      return { store: new HashStore(level, folder, options), warning };
    }
  }

  /** What is remembered under each signature, in the same order. Never fails: trouble is nothing remembered. */
  async getMany(signatures: Signature[]): Promise<(Remembered | undefined)[]> {
    if (this.#damaged || this.#closed || signatures.length === 0) return signatures.map(() => undefined);
    try {
      const keys = signatures.map(signatureBytes);
      const values = await this.#level.getMany(keys);
      const today = this.#today();
      return values.map((stored, i) => {
        // What is not yet written counts as written.
        const value = this.#pending.has(signatures[i]) ? this.#pending.get(signatures[i]) : stored;
        if (!value || value.length < HASHES_AT) return undefined;
        const body = value.subarray(ID_AT);
        if (!check(keys[i], body).equals(value.subarray(CHECK_AT, ID_AT))) return undefined;
        if (today - value.readUInt16BE(0) >= TOUCH_DAYS && !this.#pending.has(signatures[i])) {
          this.#put(signatures[i], this.#stamp(value));
        }
        return { id: body.toString('hex', 0, 32), hashes: body.subarray(32) };
      });
    } catch (thrown) {
      this.#trouble(thrown);
      return signatures.map(() => undefined);
    }
  }

  /** Remembers; written a little later, together with others. */
  put(signature: Signature, remembered: { id: string; hashes: Uint8Array }): void {
    const body = Buffer.concat([Buffer.from(remembered.id, 'hex'), remembered.hashes]);
    const value = Buffer.concat([Buffer.alloc(CHECK_AT), check(signatureBytes(signature), body), body]);
    this.#put(signature, this.#stamp(value));
  }

  forget(signature: Signature): void {
    this.#put(signature, undefined);
  }

  /** Writes what is pending and gives up the lock. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.pruned;
    await this.#write();
    await this.#level.close();
    if (this.#damaged) await setAside(this.#folder, this.#now());
  }

  #today(): number {
    return Math.floor(this.#now() / DAY) & 0xffff;
  }

  #stamp(value: Buffer): Buffer {
    const copy = Buffer.from(value);
    copy.writeUInt16BE(this.#today(), 0);
    return copy;
  }

  #put(signature: Signature, value: Buffer | undefined): void {
    if (this.#closed || this.#damaged) return;
    this.#pending.set(signature, value);
    if (this.#pending.size >= WRITE_ENTRIES) void this.#write();
    else this.#timer ??= setTimeout(() => void this.#write(), WRITE_MS);
  }

  #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // One after another, so that a later word on a file is written later; what is on its way is still found by getMany.
    this.#writing = this.#writing.then(async () => {
      const batch = [...this.#pending];
      if (batch.length === 0 || this.#damaged) return;
      const operations = batch.map(([signature, value]) => {
        const key = signatureBytes(signature);
        return value ? { type: 'put' as const, key, value } : { type: 'del' as const, key };
      });
      try {
        await this.#level.batch(operations);
      } catch (thrown) {
        this.#trouble(thrown);
      }
      for (const [signature, value] of batch) {
        if (this.#pending.get(signature) === value) this.#pending.delete(signature);
      }
    });
    return this.#writing;
  }

  #trouble(thrown: unknown): void {
    if (this.#damaged || this.#closed) return;
    const damaged = (thrown as { code?: string }).code === 'LEVEL_CORRUPTION';
    this.#damaged ||= damaged;
    if (damaged) this.#pending.clear();
    const code = damaged ? 'state-damaged' : levelError(thrown).code;
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    this.onTrouble(new HearsayError(code, `hashes are not remembered: ${text}`, { cause: thrown }));
  }

  /** Drops what was not used for long, and of too many those unused for longest. Runs beside all else. */
  async #prune(entriesMax: number): Promise<void> {
    const today = this.#today();
    const ages = new Map<number, number>();
    let entries = 0;
    for await (const value of this.#level.values()) {
      if (this.#closed) return;
      const age = ageOf(value, today);
      ages.set(age, (ages.get(age) ?? 0) + 1);
      entries++;
    }
    // All that are older than `cut`, and of those as old as that only so many as are too many.
    let excess = entries - entriesMax;
    let cut = KEEP_DAYS;
    let partly = 0;
    for (const [age, count] of [...ages].sort(([a], [b]) => b - a)) {
      if (age < KEEP_DAYS) {
        if (excess <= 0) break;
        cut = age;
        partly = excess;
      }
      excess -= count;
    }
    if (partly === 0 && ![...ages.keys()].some((age) => age >= cut)) return;
    let keys: Buffer[] = [];
    const drop = async () => {
      await this.#level.batch(keys.map((key) => ({ type: 'del' as const, key })));
      keys = [];
    };
    for await (const [key, value] of this.#level.iterator()) {
      if (this.#closed) return;
      const age = ageOf(value, today);
      if (age > cut || (age === cut && (cut === KEEP_DAYS || partly-- > 0))) keys.push(key);
      if (keys.length >= PRUNE_BATCH) await drop();
    }
    await drop();
  }
}

/** Days since a value was last used; what is too short to be one is as old as can be. */
function ageOf(value: Buffer, today: number): number {
  return value.length < HASHES_AT ? 0xffff : (today - value.readUInt16BE(0)) & 0xffff;
}

async function openLevel(folder: string): Promise<Level> {
  const level: Level = new ClassicLevel(folder, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  try {
    // The files in it are as open as the umask lets them, and who could write here would say what is in ours.
    await makeFolders(folder, 0o700).catch(() => {});
    await chmod(folder, 0o700).catch(() => {});
    await level.open();
  } catch (thrown) {
    await level.close();
    throw thrown;
  }
  return level;
}

/** An error of the database by what the system said, which it passes on as text alone. */
function levelError(thrown: unknown): HearsayError {
  const error = asHearsayError(thrown, 'not-writable');
  const isFull = /No space left on device|Disk quota exceeded|not enough space on the disk/i.test(error.message);
  return isFull ? new HearsayError('disk-full', error.message, { cause: thrown }) : error;
}

/** Renames what is damaged; returns where it is now. */
async function setAside(folder: string, now: number): Promise<string> {
  const aside = `${folder}.damaged-${now}`;
  try {
    await rename(folder, aside);
  } catch (thrown) {
    throw asHearsayError(thrown, 'not-writable');
  }
  return aside;
}
