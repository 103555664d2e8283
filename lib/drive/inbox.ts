/**
 * The inbox: what others want to send here, asked for, taken or refused, and received.
 *
 * Owns the entries that are not over and what receives them, and those that are over and still serve their fellows. Always true:
 * every invitation that was heard is answered, and told how it ends; nothing is written before it is accepted, and then in the inbox
 * folder alone; what its sender takes back, or lets go of, waits no more. Called by the peer, with what arrives and what a person
 * says.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { AnsweredRow, AnswerQuery, InboxRow, PeerName, ShareEvent } from '../api.js';
import { isLoopback } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';
import { keyPart, type PeerId } from '../ids.js';
import { printable } from '../names.js';
import type { Link } from '../net/link.js';
import { isSame } from '../net/rivals.js';
import type { InboxRule } from '../share/settings.js';
import { type Entry, InboxEntries } from '../transfer/inbox.js';
import { Places } from '../transfer/jobs.js';
import { parsePath } from '../transfer/parcel.js';
import type { MessageOf } from '../wire/table.js';
import { Compared } from './compared.js';
import { Fellows } from './fellows.js';
import { InboxFolder } from './inbox-folder.js';
import { type Held, heldOf, type Line, placeIn, rowOf, verdict } from './inbox-held.js';
import type { Registered, Registration, Steering } from './jobs.js';
import { Lingering } from './lingering.js';
import { Receipt, type ReceiptParts } from './receipt.js';
import { ReceivePlaces } from './receive-places.js';

/** Large files of one parcel that are fetched at a time. */
const AT_ONCE = 3;
/** What waits for a person is given up when its sender has been away for so long, ms. */
const LOST_MS = 30_000;
/** How often the sender is told how much is here, ms; and how often it is looked what waits for too long. */
const PROGRESS_MS = 500;
const LOOK_MS = 60_000;

export interface InboxOptions extends ReceiptParts {
  /** This peer's own. */
  id: PeerId;
  /** The inbox folder, absolute, as it is now. */
  folder(): string;
  /** ms without anything arriving. */
  timeout(): number;
  /** Why nothing is taken at all, where that is so. */
  closed(): string | undefined;
  rule(peer: PeerName): Promise<InboxRule>;
  tell(event: ShareEvent): void;
  register(about: Registration, steering: Steering): Registered;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #entries = new InboxEntries();
  readonly #held = new Map<Entry, Held>();
  /** Those that are over and serve their fellows. */
  readonly #lingering = new Lingering((held) => this.#release(held));
  readonly #compared = new Compared();
  /** How many are received at a time. */
  readonly #places = new ReceivePlaces();
  readonly #running = new Set<Promise<void>>();
  readonly #look: NodeJS.Timeout;
  #stopped = false;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#look = setInterval(() => this.#late(), LOOK_MS).unref();
  }

  /** An invitation, or who else was invited. */
  take(link: Link, message: MessageOf<'i'> | MessageOf<'m'>): void {
    if (message.type === 'm') {
      const held = this.#of(link, message.number);
      // It is told to those who take it.
      if (held && held.entry.state !== 'waiting') held.fellows.add(message.peers, isLoopback(link.address.host));
      return;
    }
    const { number, parcel, items } = message;
    const line = { link, number };
    const known = this.#entries.known(link.peer, parcel);
    if (known) {
      this.#again(known, line);
      return;
    }
    try {
      const closed = this.#options.closed();
      if (closed !== undefined) throw new HearsayError('refused', closed);
      this.#forgetRestarted(link);
      const about = { from: link.peer, host: link.address.host, parcel, items };
      // A person who says yes to something has it, whatever else comes.
      const isSpared = (entry: Entry) => this.#held.get(entry)?.shown === true && this.#held.get(entry)?.busy === true;
      const { entry, loser } = this.#entries.offered(about, Date.now(), isSpared);
      const displaced = loser && this.#held.get(loser);
      if (displaced) this.#displace(displaced);
      const held = heldOf(entry, line, new Fellows(this.#options.id, link.peer), this.#options.folder());
      this.#held.set(entry, held);
      this.#run(() => this.#consider(held));
    } catch (thrown) {
      verdict(line, 4, 0, asHearsayError(thrown));
    }
  }

  /** Its sender takes something back, or needs it no more. */
  cancel(link: Link, number: number): void {
    const held = this.#of(link, number);
    if (!held) return;
    const { state, from } = held.entry;
    if (state !== 'waiting' && state !== 'receiving') {
      this.#release(held);
      return;
    }
    this.#unkept(held);
    this.#stop(held, new HearsayError('cancelled', `${this.#nameOf(from)} has taken it back`));
  }

  linkClosed(link: Link): void {
    for (const held of this.#held.values()) {
      if (held.line?.link !== link) continue;
      held.line = undefined;
      if (held.entry.state === 'waiting') held.timer = setTimeout(() => this.#lost(held), LOST_MS).unref();
    }
  }

  /** A peer is here no more: what it wanted to send waits no longer. */
  left({ id }: PeerName): void {
    for (const held of [...this.#held.values()]) {
      if (held.entry.from === id && held.entry.state === 'waiting') this.#lost(held);
    }
  }

  rows(): InboxRow[] {
    return this.#entries
      .all()
      .filter((entry) => this.#held.get(entry)?.shown ?? true)
      .map((entry) => rowOf(entry, this.#options.getting.nameOf(entry.from)));
  }

  /** What a person says. A row for each number; errors are in the rows. */
  async answer({ verb, numbers }: AnswerQuery): Promise<AnsweredRow[]> {
    const open = [...this.#held.values()].filter(({ entry, shown }) => shown && entry.state === 'waiting');
    const meant = numbers === 'all' ? open.map(({ entry }) => entry.number) : numbers;
    const rows: AnsweredRow[] = [];
    for (const number of new Set(meant)) {
      const entry = this.#entries.get(number);
      const row: AnsweredRow = { number };
      rows.push(row);
      try {
        const held = entry && this.#held.get(entry);
        if (!entry || (held && !held.shown)) throw new HearsayError('not-found', `nothing has the number ${number}`);
        Object.assign(row, { name: entry.name, from: this.#options.getting.nameOf(entry.from) });
        if (!held || entry.state !== 'waiting' || held.busy) {
          throw new HearsayError('failed', `${printable(entry.name)} does not wait for an answer`);
        }
        if (verb === 'accept') await this.#accept(held);
        else this.#refuse(held, new HearsayError('refused', 'it is not wanted'));
      } catch (thrown) {
        const { code, message } = asHearsayError(thrown);
        row.error = { code, message };
      }
    }
    return rows;
  }

  /** What a person calls what is received under a path. */
  titleOf(path: string): string | undefined {
    const at = parsePath(path);
    const held = at && [...this.#held.values()].find(({ entry }) => entry.parcel === at.parcel);
    const name = at && held?.entry.items[at.item]?.name;
    return name === undefined || at?.rest === '' ? name : `${name}/${at?.rest}`;
  }

  /** Whether a connection is kept although nothing comes over it now: somebody here is asked about what it brought. */
  needs(link: Link): boolean {
    for (const { line, entry } of this.#held.values()) {
      if (line?.link === link && (entry.state === 'waiting' || entry.state === 'receiving')) return true;
    }
    return false;
  }

  /** Ends all; what is under way is kept, and goes on when it is sent again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#look);
    for (const held of [...this.#held.values()]) {
      if (held.entry.state === 'receiving') held.abort.abort();
      else this.#release(held);
    }
    await Promise.all(this.#running);
    for (const held of [...this.#held.values()]) this.#release(held);
  }

  #of(link: Link, number: number): Held | undefined {
    for (const held of this.#held.values()) if (held.line?.link === link && held.line.number === number) return held;
    return undefined;
  }

  #nameOf(peer: PeerId): string {
    return printable(this.#options.getting.nameOf(peer).name);
  }

  #run(work: () => Promise<void>): void {
    const run: Promise<void> = work().finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** What was offered before is offered over another connection: its sender is told how it stands. */
  #again(entry: Entry, line: Line): void {
    const held = this.#held.get(entry);
    const { state, received, error } = entry;
    if (held) {
      clearTimeout(held.timer);
      held.line = line;
      // Of what is looked at now it is told soon.
      if (held.busy && state === 'waiting') return;
    }
    if (state === 'waiting') verdict(line, 0, 0);
    else if (state === 'receiving') {
      verdict(line, 1, 0);
      verdict(line, 2, received);
    } else if (state === 'received') verdict(line, 3, entry.bytes);
    else verdict(line, 4, received, error);
  }

  /** What is to become of something that was offered. */
  async #consider(held: Held): Promise<void> {
    const { entry } = held;
    // So that nothing is answered before the invitation has been taken in.
    await turn();
    try {
      const rule = await this.#options.rule(this.#options.getting.nameOf(entry.from));
      if (rule === 'refuse') {
        this.#untaken(entry, 'a rule here refuses it');
        throw new HearsayError('refused', 'it takes nothing from you');
      }
      await this.#place(held).check(entry, this.#entries.awaited, () => this.#ids(held));
      this.#mayGoOn(held);
      if (rule === 'accept') return this.#begin(held);
      held.busy = false;
      held.shown = true;
      verdict(held.line, 0, 0);
      this.#tell(entry);
    } catch (thrown) {
      // No person has seen it: it is as if it had never come.
      if (entry.state === 'waiting') this.#end(held, 'refused', held.why ?? asHearsayError(thrown));
    }
  }

  /** Nobody was asked, and who wonders why nothing came can still find it. How often that may be is bounded with `#unkept`. */
  #untaken({ from, name }: Entry, why: string): void {
    const message = `${this.#nameOf(from)} wanted to send ${printable(name)}, and was refused: ${why}`;
    this.#options.tell({ event: 'warning', message });
  }

  #mayGoOn({ why, entry, abort }: Held): void {
    if (why) throw why;
    if (this.#stopped || abort.signal.aborted || entry.state !== 'waiting') {
      throw new HearsayError('cancelled', 'this peer is stopping');
    }
  }

  #place({ folder }: Held): InboxFolder {
    return new InboxFolder(folder, this.#compared);
  }

  /** What the files of it are, by the word of its sender, who may have to read them first. */
  #ids(held: Held): Promise<(string | null)[]> {
    return this.#receipt(held).ids(held.abort.signal);
  }

  /** A person has said yes. @throws HearsayError where it cannot be had, and then it is over */
  async #accept(held: Held): Promise<void> {
    held.busy = true;
    const folder = this.#options.folder();
    if (held.folder !== folder) {
      // It lands where things land now.
      held.folder = folder;
      held.receipt = undefined;
    }
    try {
      await this.#place(held).check(held.entry, this.#entries.awaited, () => this.#ids(held));
      this.#mayGoOn(held);
      this.#begin(held);
    } catch (thrown) {
      const error = held.why ?? asHearsayError(thrown);
      if (held.entry.state === 'waiting') this.#end(held, 'refused', error);
      throw error;
    }
  }

  #refuse(held: Held, error: HearsayError): void {
    this.#end(held, 'refused', error);
  }

  #begin(held: Held): void {
    const { entry } = held;
    const { getting, register } = this.#options;
    const about: Registration = {
      direction: 'in',
      path: entry.name,
      size: entry.bytes,
      to: held.folder,
      files: entry.files,
      peers: [getting.nameOf(entry.from)],
    };
    const share = getting.openShareAt(held.folder);
    if (share !== undefined) {
      const where = `${printable(entry.name)} lands in ${printable(share)}`;
      this.#options.tell({ event: 'warning', message: `${where}, which is shared: others can read it there too` });
    }
    const cancel = () => this.#stop(held, new HearsayError('cancelled', 'it was ended there'));
    held.registered = register(about, { cancel });
    entry.state = 'receiving';
    held.busy = false;
    held.shown = true;
    verdict(held.line, 1, 0);
    this.#tell(entry);
    this.#run(() => this.#receive(held));
  }

  #receipt(held: Held): Receipt {
    const { entry, fellows } = held;
    const places = new Places(AT_ONCE);
    held.receipt ??= new Receipt(this.#options, {
      entry,
      fellows,
      folder: held.folder,
      timeout: this.#options.timeout(),
      place: (signal) => placeIn(places, signal),
      progress: (bytes) => this.#progress(held, bytes),
    });
    return held.receipt;
  }

  async #receive(held: Held): Promise<void> {
    const { entry, abort, registered } = held;
    const receipt = this.#receipt(held);
    let leave: (() => void) | undefined;
    try {
      leave = await this.#places.take(entry.from, abort.signal);
      registered?.running();
      const unstored = await receipt.run(abort.signal);
      this.#end(held, 'received', undefined, unstored);
      if (unstored !== '') this.#options.tell({ event: 'warning', message: `${printable(entry.name)}: ${unstored}` });
    } catch (thrown) {
      // What is given up is not gone on with.
      if (held.why) await receipt.discard();
      else if (!this.#stopped) this.#unkept(held);
      const stopping = this.#stopped ? new HearsayError('no-peer', 'it has left') : undefined;
      this.#end(held, 'failed', held.why ?? stopping ?? asHearsayError(thrown));
    } finally {
      leave?.();
    }
  }

  #progress(held: Held, bytes: number): void {
    const { entry, registered } = held;
    entry.received = bytes;
    registered?.update({ bytes });
    const now = performance.now();
    if (now - held.told < PROGRESS_MS) return;
    held.told = now;
    verdict(held.line, 2, bytes);
  }

  /** It is ended from here. */
  #stop(held: Held, why: HearsayError): void {
    held.why ??= why;
    if (held.entry.state === 'waiting' && !held.busy) this.#end(held, 'failed', why);
    else held.abort.abort();
  }

  /** Its sender did not keep to it, which counts where a person had to hear of it. */
  #unkept({ entry, shown }: Held): void {
    if (shown) this.#entries.unkept(entry, Date.now());
  }

  /** Others want to send too. */
  #displace(held: Held): void {
    this.#unkept(held);
    held.why = new HearsayError('limit', 'others want to send something too');
    held.abort.abort();
    this.#end(held, 'refused', held.why);
  }

  /** What a process offered that has ended since waits no more once another with its key is here. */
  #forgetRestarted({ peer, instance }: Link): void {
    for (const held of [...this.#held.values()]) {
      const isLost = held.line === undefined && !isSame(held.instance, instance);
      if (isLost && keyPart(held.entry.from) === keyPart(peer)) this.#lost(held);
    }
  }

  #lost(held: Held): void {
    if (held.entry.state === 'waiting') {
      this.#unkept(held);
      this.#stop(held, new HearsayError('no-peer', `${this.#nameOf(held.entry.from)} is gone`));
    }
  }

  /** What nobody has answered for a day. */
  #late(): void {
    for (const entry of this.#entries.late(Date.now())) {
      const held = this.#held.get(entry);
      if (held && !held.busy) this.#end(held, 'refused', new HearsayError('timeout', 'nobody there has answered'));
    }
  }

  /** It is over. @param more what its sender should know of what was received */
  #end(held: Held, state: 'received' | 'refused' | 'failed', error?: HearsayError, more = ''): void {
    const { entry, line, shown, registered } = held;
    clearTimeout(held.timer);
    const path = state === 'received' ? this.#place(held).pathOf(entry) : undefined;
    if (state === 'received') entry.received = entry.bytes;
    this.#entries.ended(entry, state, { ...(path === undefined ? {} : { path }), ...(error ? { error } : {}) });
    if (state === 'received') registered?.update({ done: entry.files });
    if (state === 'received') verdict(line, 3, entry.bytes, new HearsayError('failed', more));
    else verdict(line, 4, entry.received, error);
    registered?.end(error && { code: error.code, message: error.message });
    if (shown) this.#tell(entry);
    else this.#entries.forget(entry);
    // Those who receive it too may still need it.
    if (state !== 'received' || held.fellows.size === 0 || this.#stopped) this.#release(held);
    else this.#lingering.add(held);
  }

  /** Nothing of it is held any more. */
  #release(held: Held): void {
    clearTimeout(held.timer);
    held.receipt?.end();
    this.#lingering.delete(held);
    this.#held.delete(held.entry);
    held.entry.items = [];
  }

  #tell(entry: Entry): void {
    this.#options.tell({ event: 'inbox', row: rowOf(entry, this.#options.getting.nameOf(entry.from)) });
  }
}
