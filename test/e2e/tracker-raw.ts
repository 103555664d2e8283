/**
 * A client of a tracker that speaks the protocol by hand: registers, looks things up and follows, offers what it is told to,
 * and lets it be pulled.
 * Owns its connections. Always true: its head is the signed state of its offers. Called by tests.
 */
import type { ExecutionContext } from 'ava';
import { Own } from '../../lib/gossip/own.js';
import { verifySignature } from '../../lib/net/keys.js';
import type { Offer } from '../../lib/offer.js';
import { answerPull } from '../../lib/shelf/answers.js';
import { readHead } from '../../lib/wire/head.js';
import type { Message, MessageOf } from '../../lib/wire/table.js';
import { until } from './lan.js';
import { RawPeer, type Talk } from './raw.js';

type Answer = MessageOf<'Z'> | MessageOf<'E'>;

/** All pages of an answer, or all that was told of changes, put together. */
export interface Told {
  /** The code of a refusal. */
  code: string;
  peers: { id: string; name: string; addresses: string[] }[];
  /** "NAME: path" or "NAME: path (kind)" of each offer, in their order. */
  offers: string[];
  have: MessageOf<'f'>['have'];
  gone: string[];
  resets: number;
  pages: number;
  last: boolean;
}

export class RawClient extends RawPeer {
  readonly #own: Own;
  #number = 0;
  /** The port that its head names, where it is not the one that it listens on. */
  says: number | undefined;
  /** Whether it answers pulls and pings. */
  answers = true;
  talk!: Talk;

  constructor(t: ExecutionContext, name: string, files: Omit<Offer, 'version'>[] = []) {
    super(t, name, false);
    const { id, key } = this.identity;
    const settings = { id, key, name, port: 0, epoch: 1, passive: false, tracker: false };
    this.#own = new Own(settings, { sign: (statement) => this.identity.sign(statement), verify: verifySignature });
    // Where it listens is known later, if it does.
    Object.defineProperty(settings, 'port', { get: () => this.says ?? this.port });
    if (files.length > 0) this.change(files);
    this.onTalk = (talk) => {
      talk.onMessage = (message) => this.#answer(talk, message);
    };
  }

  override head(differs: Parameters<RawPeer['head']>[0] = {}): { head: Buffer; sig: Uint8Array } {
    if (Object.keys(differs).length > 0) return super.head(differs);
    const { head, sig } = this.#own.head();
    return { head: Buffer.from(head), sig };
  }

  #answer(talk: Talk, message: Message): void {
    if (!this.answers) return;
    if (message.type === 'p' && !message.answer) talk.send({ ...message, answer: true });
    if (message.type !== 'P') return;
    for (const page of answerPull(this.#own.shelf, this.#own.head(), message)) talk.send(page);
  }

  /** Offers change; who is connected has to be told. */
  change(files: Omit<Offer, 'version'>[]): void {
    this.#own.change(files);
    this.#own.forget();
  }

  /** Tells its newest head, as a heartbeat does. */
  beat(): void {
    this.talk.send(this.#own.beat());
  }

  /** Connects to a tracker. @param from an address of this machine */
  async connect(port: number, from?: string): Promise<this> {
    this.talk = await this.dial(port, from);
    return this;
  }

  /** Registers, or says so again. */
  async join(addresses: string[] = []): Promise<Answer> {
    const number = ++this.#number;
    this.talk.send({ type: 'J', number, addresses });
    return this.#answered(number);
  }

  async #answered(number: number): Promise<Answer> {
    const found = () =>
      this.talk.received.find((m): m is Answer => (m.type === 'Z' || m.type === 'E') && m.number === number);
    await until(() => found() || this.talk.closed, `${this.name} is answered`);
    const answer = found();
    if (!answer) throw new Error('the connection was closed');
    return answer;
  }

  /** Asks another to dial it. @returns the code */
  async summon(peer: string, addresses: string[] = []): Promise<string> {
    const number = ++this.#number;
    this.talk.send({ type: 'c', number, peer, from: { ...this.head(), addresses } });
    const answer = await this.#answered(number);
    return answer.type === 'E' ? answer.code : 'Z';
  }

  /** Looks something up, and follows it where that is wanted. @returns its number, by which `told` finds what came */
  ask(kind: number, text: string, follow = false): number {
    const number = ++this.#number;
    this.talk.send({ type: 'l', number, kind, text, follow });
    return number;
  }

  async lookup(kind: number, text: string): Promise<Told> {
    const number = this.ask(kind, text);
    await until(() => this.told(number).last || this.told(number).code !== '', `${text} is answered`);
    return this.told(number);
  }

  /** What came for a lookup so far. @param from pages before it are left out */
  told(number: number, from = 0): Told {
    const told: Told = { code: '', peers: [], offers: [], have: [], gone: [], resets: 0, pages: 0, last: false };
    const names = new Map<string, string>();
    for (const message of this.talk.received) {
      if (message.type === 'E' && message.number === number) told.code = message.code;
      if (message.type !== 'f' || message.number !== number) continue;
      const heads = message.peers.map(({ head, addresses }) => ({ ...readHead(head), addresses }));
      for (const { id, name } of heads) names.set(id, name);
      if (told.pages++ < from) continue;
      told.peers.push(...heads.map(({ id, name, addresses }) => ({ id, name, addresses })));
      for (const { peer, offers } of message.offers) {
        for (const { path, kind } of offers) {
          const what = kind === 'file' ? path : `${path} (${kind})`;
          told.offers.push(`${names.get(peer) ?? 'somebody'}: ${what}`);
        }
      }
      told.have.push(...message.have);
      told.gone.push(...message.gone.map((id) => names.get(id) ?? 'somebody'));
      told.resets += message.reset ? 1 : 0;
      told.last = message.last;
    }
    return told;
  }
}
