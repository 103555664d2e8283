/**
 * Many receivers of one file on a virtual clock: the shipped Download of each, and an Upload for each pair, over equal links that
 * carry whole blocks in turn. Nothing is lost; who knows whom is drawn by lot, from a seed.
 *
 * Owns the clock and all peers, and the guide of the source. Always true: a peer's link carries one block at a time in each direction, and its receivers take
 * turns; the same seed has the same run. Called by simulate.ts.
 */
import { type Millis, type Random, seeded } from '../../lib/clock.js';
import { BLOCK, SOURCES_MAX } from '../../lib/limits.js';
import { chunkSizeOf } from '../../lib/transfer/content.js';
import { Download, type DownloadEffect, type DownloadEvent } from '../../lib/transfer/download.js';
import { Guide, type Word } from '../../lib/transfer/guide.js';
import { Upload } from '../../lib/transfer/upload.js';
import { Queue } from '../sim/queue.js';

/** One way, ms: a LAN's. */
const LATENCY = 0.3;
/** To hash and write a chunk, ms. */
const WRITE = 1;

export interface WorldSettings {
  receivers: number;
  bytes: number;
  /** Of every link in each direction, bytes a millisecond. */
  rate: number;
  seed: number;
  /** Whether who has all goes on giving, as a running peer does; else it leaves, as a command does. */
  stays: boolean;
}

interface Node {
  name: string;
  /** None of the source, which has all. */
  download: Download | undefined;
  /** Those who fetch from it, by name. */
  uploads: Map<string, Flow>;
  /** Flows that have something to send, in turn. */
  turn: Flow[];
  sending: boolean;
  /** When its link has carried to it all that is under way. */
  downUntil: Millis;
  /** Blocks that left it. */
  sent: number;
  timerAt: Millis;
  finished: Millis | undefined;
  left: boolean;
}

interface Flow {
  from: Node;
  to: Node;
  upload: Upload;
}

export interface SwarmOutcome {
  /** When each receiver had all, ms, soonest first. */
  finished: Millis[];
  /** Blocks that the source sent, and all. */
  bySource: number;
  byAll: number;
  blocks: number;
  chunks: number;
  events: number;
}

export class SwarmWorld {
  readonly #settings: WorldSettings;
  readonly #queue = new Queue();
  readonly #random: Random;
  readonly #nodes: Node[];
  /** The source's. */
  readonly #guide: Guide<Node>;
  readonly #byName: Map<string, Node>;
  #now: Millis = 0;
  #events = 0;
  #wanting: number;

  constructor(settings: WorldSettings) {
    this.#settings = settings;
    this.#random = seeded(settings.seed);
    const nodes = Array.from({ length: settings.receivers + 1 }, (_, i) => this.#node(i));
    this.#nodes = nodes;
    this.#guide = new Guide(settings.bytes, this.#random());
    this.#byName = new Map(nodes.map((node) => [node.name, node]));
    this.#wanting = settings.receivers;
  }

  /** Runs until all have all. @throws Error where nothing happens any more before that */
  run(): SwarmOutcome {
    const [source, ...receivers] = this.#nodes;
    for (const node of receivers) {
      // They begin within a moment of each other.
      this.#at(this.#random() * 20, () => this.#begin(node));
    }
    for (let item = this.#queue.take(); item && this.#wanting > 0; item = this.#queue.take()) {
      this.#now = Math.max(this.#now, item.at);
      this.#events++;
      item.run();
    }
    if (this.#wanting > 0) throw new Error(`${this.#wanting} of ${receivers.length} receivers never have all`);
    const { bytes } = this.#settings;
    return {
      finished: receivers.map(({ finished }) => finished ?? Number.NaN).sort((a, b) => a - b),
      bySource: source.sent,
      byAll: this.#nodes.reduce((sum, { sent }) => sum + sent, 0),
      blocks: Math.ceil(bytes / BLOCK),
      chunks: receivers[0].download?.chunks.count ?? 0,
      events: this.#events,
    };
  }

  #node(i: number): Node {
    const { bytes } = this.#settings;
    return {
      name: `${i}`,
      download: i === 0 ? undefined : new Download(bytes, seeded(Math.floor(this.#random() * 2 ** 32))),
      uploads: new Map(),
      turn: [],
      sending: false,
      downUntil: 0,
      sent: 0,
      timerAt: Number.POSITIVE_INFINITY,
      finished: undefined,
      left: false,
    };
  }

  #at(at: Millis, run: () => void): void {
    this.#queue.add(at, run);
  }

  #later(run: () => void): void {
    this.#at(this.#now + LATENCY, run);
  }

  /** Meets the source, and others by lot, as many as a receiver has at most. */
  #begin(node: Node): void {
    const [source, ...receivers] = this.#nodes;
    if (node.download) node.download.swarm = receivers.length > 1;
    this.#meet(node, source);
    const others = receivers.filter((other) => other !== node);
    for (let i = 0; i < Math.min(SOURCES_MAX - 1, others.length); i++) {
      const lot = i + Math.floor(this.#random() * (others.length - i));
      [others[i], others[lot]] = [others[lot], others[i]];
      this.#meet(node, others[i]);
    }
  }

  #meet(node: Node, from: Node): void {
    if (from.left) return;
    from.uploads.set(node.name, { from, to: node, upload: new Upload() });
    let promised: number[] | undefined;
    if (!from.download) {
      const words = this.#guide.join(node, this.#now);
      promised = words.find(({ member }) => member === node)?.chunks;
      this.#tell(words.filter(({ member }) => member !== node));
    }
    this.#give(node, { kind: 'source', peer: from.name, have: from.download?.chunks.have.bytes, promised });
  }

  #give(node: Node, event: DownloadEvent): void {
    if (node.finished !== undefined || !node.download) return;
    for (const effect of node.download.handle(event, this.#now)) this.#carryOut(node, effect);
  }

  #carryOut(node: Node, effect: DownloadEffect): void {
    switch (effect.kind) {
      case 'request': {
        const blocks = Array.from({ length: effect.count }, (_, i) => effect.block + i);
        this.#toFlow(node, effect.peer, ({ from, upload }) => {
          upload.request(0, blocks);
          if (from.download) return;
          for (const block of blocks) this.#tell(this.#guide.asked(node, this.#chunkOf(block), this.#now));
        });
        break;
      }
      case 'ack':
        this.#toFlow(node, effect.peer, ({ from, upload }) => {
          upload.acked(0, [effect.block], this.#now);
          const chunk = this.#chunkOf(effect.block);
          if (!from.download && this.#chunkOf(effect.block + 1) !== chunk)
            this.#tell(this.#guide.arrived(node, chunk, this.#now));
        });
        break;
      case 'spare':
        this.#toFlow(node, effect.peer, () => this.#tell(this.#guide.spare(node, effect.chunks, this.#now)));
        break;
      case 'check':
        this.#at(this.#now + WRITE, () => this.#checked(node, effect.chunk));
        break;
      case 'complete':
        this.#finish(node);
        break;
      case 'timer':
        if (effect.at >= node.timerAt && node.timerAt > this.#now) break;
        node.timerAt = effect.at;
        this.#at(effect.at, () => {
          if (node.timerAt !== effect.at) return;
          node.timerAt = Number.POSITIVE_INFINITY;
          this.#give(node, { kind: 'timer' });
        });
        break;
      case 'drop':
      case 'bad':
        throw new Error(`nobody lies here, and ${node.name} says so of ${effect.peer}`);
    }
  }

  #chunkOf(block: number): number {
    return Math.floor((block * BLOCK) / chunkSizeOf(this.#settings.bytes));
  }

  /** The source's guide has something to say. */
  #tell(words: readonly Word<Node>[]): void {
    for (const { member, chunks, free } of words) {
      this.#later(() => this.#give(member, { kind: 'guided', peer: this.#nodes[0].name, chunks, free }));
    }
  }

  #checked(node: Node, chunk: number): void {
    this.#give(node, { kind: 'checked', chunk, ok: true });
    for (const { to } of node.uploads.values()) {
      this.#later(() => this.#give(to, { kind: 'source-has', peer: node.name, chunks: [chunk] }));
    }
  }

  #finish(node: Node): void {
    node.finished = this.#now;
    this.#wanting--;
    this.#later(() => this.#tell(this.#guide.leave(node, this.#now)));
    for (const other of this.#nodes) {
      const flow = other.uploads.get(node.name);
      if (!flow) continue;
      other.uploads.delete(node.name);
      other.turn = other.turn.filter((one) => one !== flow);
    }
    if (this.#settings.stays) return;
    // Those who are being served learn that the connection has ended.
    node.left = true;
    node.turn = [];
    for (const { to } of node.uploads.values()) {
      this.#later(() => this.#give(to, { kind: 'source-gone', peer: node.name }));
    }
  }

  #toFlow(to: Node, peer: string, act: (flow: Flow) => void): void {
    this.#later(() => {
      const from = this.#byName.get(peer);
      const flow = from?.uploads.get(to.name);
      if (!from || !flow || from.left) return;
      act(flow);
      if (flow.upload.ready && !from.turn.includes(flow)) from.turn.push(flow);
      this.#send(from);
    });
  }

  /** Carries the next block of whoever's turn it is. */
  #send(from: Node): void {
    if (from.sending || from.left) return;
    const flow = from.turn.shift();
    const item = flow?.upload.next(this.#now);
    if (!flow || !item) {
      if (flow) this.#send(from);
      return;
    }
    if (flow.upload.ready) from.turn.push(flow);
    const { to } = flow;
    const length = Math.min(BLOCK, this.#settings.bytes - item.index * BLOCK);
    const takes = length / this.#settings.rate;
    from.sending = true;
    from.sent++;
    // It fills the way there while it leaves; where others fill it already, it waits behind them.
    to.downUntil = Math.max(this.#now + LATENCY, to.downUntil) + takes;
    this.#at(to.downUntil, () => {
      if (from.uploads.get(to.name) !== flow || from.left) return;
      this.#give(to, { kind: 'block', peer: from.name, block: item.index, bytes: length });
    });
    this.#at(this.#now + takes, () => {
      from.sending = false;
      this.#send(from);
    });
  }
}
