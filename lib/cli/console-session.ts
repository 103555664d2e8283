/**
 * One session at the console: takes line after line, and has the commands do what they say.
 *
 * Owns the numbers of files, and the gets and sends that run behind the prompt. Always true: lines are done one at a time, in their
 * order, but that a get or a send leaves the prompt free where somebody types; what fails is told, and ends nothing else; at most
 * CONSOLE_BEHIND_MAX run behind, further ones wait for their turn. Called by the command.
 */
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Api, PeerRow, RefreshReport, ShareEvent } from '../api.js';
import { DETACHED } from '../detached.js';
import { asHearsayError, exitStatus, HearsayError } from '../errors.js';
import { CONSOLE_BEHIND_MAX } from '../limits.js';
import { printable } from '../names.js';
import { asCommand } from './console-complete.js';
import { CommandIo, type Why } from './console-io.js';
import { isPath, numberedJson, numberedLines, refreshLines } from './console-list.js';
import { Live, WINDOW_MS } from './console-live.js';
import { Numbers } from './console-numbers.js';
import { OURS_MS, Ours } from './console-ours.js';
import type { Prompt } from './console-prompt.js';
import { helpLines, VERBS, type Verb, verbOf } from './console-verbs.js';
import { awayError, wanted } from './console-wanted.js';
import { type Reading, wordsOf } from './console-words.js';
import { count, peerList } from './format.js';
import type { Connect, Io, Session } from './io.js';
import { tellAway } from './listing.js';
import { type Manner, Output } from './output.js';
import { eventLine, offerOf } from './told.js';

/** Runs a command of the command line. */
export type Run = (argv: readonly string[], io: Io, connect: Connect) => Promise<number>;

export interface ConsoleOptions {
  io: Io;
  manner: Manner;
  prompt: Prompt;
  session: Session;
  reading: Reading;
  run: Run;
  /** Ends the session. */
  signal: AbortSignal;
}

/** Options that would never end, or print where the prompt is. */
const ENDLESS = ['--follow', '--watch'];
/** What is said of one transfer, not of the peer. */
const OF_ONE = ['limit-up', 'limit-down'];
const QUIT = Symbol('quit');

export class ConsoleSession {
  /** The exit status of the last line that failed; 0 where none did. */
  status = 0;
  readonly #options: ConsoleOptions;
  readonly #numbers = new Numbers();
  readonly #own: CommandIo;
  readonly #out: Output;
  readonly #live: Live;
  readonly #end = new AbortController();
  /** What runs behind the prompt, and what waits for its turn. */
  readonly #behind = new Map<CommandIo, string>();
  readonly #waiting: (() => void)[] = [];
  readonly #ours = new Ours();
  /** What runs before it. */
  #front: CommandIo | undefined;
  #ticking: NodeJS.Timeout | undefined;
  /** Ctrl-C was pressed on an empty line just now. */
  #isLeaving = false;

  constructor(options: ConsoleOptions) {
    const { io, manner, prompt, signal } = options;
    this.#options = options;
    this.#own = new CommandIo(io, prompt, Readable.from([]));
    this.#out = new Output(this.#own, manner);
    this.#live = new Live((line) => void this.#out.log(line));
    const stop = () => this.#stop(signal.reason === DETACHED ? 'end' : 'interrupt');
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
  }

  /** From its first words to its goodbye. */
  async run(): Promise<void> {
    const { prompt, session } = this.#options;
    const { signal } = this.#end;
    await this.#do(this.#own, () => this.#greet());
    void this.#tell();
    for (;;) {
      const line = await prompt.next(signal);
      this.#isLeaving = false;
      if (line === undefined || (await this.#take(line)) === QUIT) break;
    }
    this.#end.abort();
    clearTimeout(this.#ticking);
    prompt.close();
    this.#leaveBehind();
    if (prompt.isTyped) this.#out.note(session.running ? 'goodbye; the peer goes on' : 'goodbye');
  }

  /** Ctrl-C on an empty line: ends what runs before the prompt, else, the second time, the session. */
  interrupt(): void {
    if (this.#front) this.#front.signal('interrupt');
    else if (this.#isLeaving) this.#stop('end');
    else {
      this.#isLeaving = true;
      this.#out.note('Ctrl-C once more ends the console');
    }
  }

  #stop(why: Why): void {
    this.#end.abort();
    this.#front?.signal(why);
  }

  /** What is not done is no longer followed: a get goes on by itself, a send ends. */
  #leaveBehind(): void {
    const verbs = [...this.#behind.values()];
    for (const io of this.#behind.keys()) io.leave();
    const gets = verbs.filter((verb) => verb === 'get').length;
    const where = this.#options.session.running ? 'in the peer that runs' : 'when a peer runs here again';
    if (gets > 0) this.#out.note(`${count(gets, 'get')} not done: what was begun goes on ${where}`);
    if (verbs.length > gets) this.#out.note(`${count(verbs.length - gets, 'send')} not done: taken back`);
  }

  async #greet(): Promise<void> {
    const { prompt, session, manner } = this.#options;
    const { api, running } = session;
    // Those who are here have answered by then.
    if (!running) await api.refresh();
    const { id, name, port, pid } = await api.status();
    const others = (await api.peers()).filter(({ self }) => !self);
    if (manner.json) return this.#out.data({ event: 'console', id, name, port, running, peers: others.map(nameOf) });
    if (!prompt.isTyped) return;
    const who = others.length > 0 ? `: ${peerList(others, 5)}` : '';
    this.#out.note(`${this.#out.noteStyle.bold(printable(name))} ${id} on port ${port}`);
    this.#out.note(`${count(others.length, 'other peer')}${who}`);
    if (running) this.#out.note(`this is the peer that runs as process ${pid}: it goes on when you quit`);
    this.#out.note('`help` lists what can be typed');
  }

  /** Does one line. Never rejects. */
  async #take(line: string): Promise<typeof QUIT | undefined> {
    if (line.trimStart().startsWith('#')) return undefined;
    const io = this.#command();
    let quits = false;
    this.#front = io;
    await this.#do(io, async () => {
      const [word, ...words] = wordsOf(line, this.#options.reading);
      if (word === undefined) return;
      const verb = verbOf(word);
      quits = verb.name === 'quit' && words.length === 0;
      if (!quits) await this.#perform(verb, words, io);
    });
    this.#front = undefined;
    return quits ? QUIT : undefined;
  }

  /** Does something, and tells what it throws. */
  async #do(io: CommandIo, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const error = asHearsayError(thrown);
      this.#failed(exitStatus(error.code));
      // Of the command line's help there is none here.
      const isUsage = error.code === 'usage';
      await new Output(io, this.#options.manner).error(error, { advise: !isUsage });
      if (isUsage) this.#out.note('  `help` lists what can be typed');
    }
    await io.end();
  }

  #failed(status: number): void {
    if (status !== 0) this.status = status;
  }

  async #perform(verb: Verb, words: string[], io: CommandIo): Promise<void> {
    const endless = words.find((word) => ENDLESS.includes(word));
    if (endless)
      throw new HearsayError('usage', `${endless} is not for the console, which tells what changes by itself`);
    if (words.includes('--help') || words.includes('-h')) return this.#more(verb, io);
    const { api } = this.#options.session;
    switch (verb.name) {
      case 'help': {
        if (words.length > 0) return this.#more(verbOf(words[0]), io);
        return this.#options.manner.json ? this.#out.data({ commands: VERBS }) : this.#out.lines(helpLines());
      }
      case 'ls':
        return this.#list(words, io);
      case 'find':
        if (words.length === 0) throw new HearsayError('usage', 'find what? For example: find holiday');
        return this.#show(await io.within(api.list({ words })));
      case 'refresh':
        if (words.length > 0) throw new HearsayError('usage', 'refresh takes no more words');
        return this.#refreshed(await io.within(api.refresh()));
      case 'get':
        return this.#leave(['get', ...(await this.#wanted(words))], io);
      case 'send':
        if (words.includes('-'))
          throw new HearsayError('usage', 'send - is not for the console, which reads its commands there');
        return this.#leave(['send', ...words], io);
      case 'quit':
        throw new HearsayError('usage', 'quit takes no more words');
      default:
        this.#failed(await this.#run([...asCommand(verb.name), ...words], io));
    }
  }

  /** More of one command. */
  async #more(verb: Verb, io: CommandIo): Promise<void> {
    const { name, args, does } = verb;
    if (this.#options.manner.json) return this.#out.data({ commands: [verb] });
    const own = ['ls', 'find', 'refresh', 'help', 'quit'];
    if (own.includes(name)) return this.#out.line(`${name} ${args}${args ? ': ' : ''}${does}`);
    this.#failed(await this.#run([...asCommand(name), '--help'], io));
  }

  /** Runs a get or a send behind the prompt; where nobody types, before the next line. */
  async #leave(argv: string[], io: CommandIo): Promise<void> {
    const { prompt } = this.#options;
    if (!prompt.isTyped) return this.#failed(await this.#run(argv, io));
    const isFull = this.#behind.size >= CONSOLE_BEHIND_MAX;
    this.#behind.set(io, argv[0]);
    if (isFull) this.#out.note(`${CONSOLE_BEHIND_MAX} run already: it waits for its turn`);
    const turn = isFull ? new Promise<void>((resolve) => this.#waiting.push(resolve)) : undefined;
    void (async () => {
      await turn;
      await this.#run(argv, io);
      await io.end();
      this.#behind.delete(io);
      this.#waiting.shift()?.();
    })();
  }

  /** Runs a command of the command line. */
  #run(argv: readonly string[], io: CommandIo): Promise<number> {
    const { manner, run, session } = this.#options;
    const flags = (['json', 'quiet', 'verbose'] as const).filter((flag) => manner[flag]).map((flag) => `--${flag}`);
    const connect: Connect = async ({ flags: given, configFile }) => {
      const start = Object.keys(given).filter((flag) => !OF_ONE.includes(flag));
      const [flag] = [...start, ...(configFile === undefined ? [] : ['config'])];
      if (flag) throw new HearsayError('usage', `--${flag} is for the start of the console, not within it`);
      return { ...session, api: this.#ours.watched(session.api), running: true, close: async () => {} };
    };
    const [command, ...rest] = argv;
    return run([command, ...flags, ...rest], io, connect);
  }

  async #list(words: string[], io: CommandIo): Promise<void> {
    const { api } = this.#options.session;
    const from = words.filter((word) => !isPath(word));
    const [pattern, more] = words.filter(isPath);
    if (more !== undefined) throw new HearsayError('usage', 'ls takes one PATTERN, besides any number of peers');
    const isOption = words.find((word) => word.startsWith('-'));
    if (isOption) throw new HearsayError('usage', `ls has no ${isOption} at the console: ls [PEER...]`);
    const query = { ...(pattern === undefined ? {} : { pattern }), ...(from.length > 0 ? { from } : {}) };
    await this.#show(await io.within(api.list(query)));
  }

  async #show(listing: Awaited<ReturnType<Api['list']>>): Promise<void> {
    const { manner, session } = this.#options;
    const out = this.#out;
    if (manner.json) return out.data(numberedJson(listing, this.#numbers));
    await out.lines(numberedLines(listing, await session.api.peers(), this.#numbers, out));
    tellAway(out, listing.away);
    if (listing.files.length === 0) out.note('no files');
  }

  /** The words of a get, with what their numbers stand for. */
  async #wanted(words: readonly string[]): Promise<string[]> {
    const here = new Set((await this.#options.session.api.peers()).map(({ id }) => id));
    const found = wanted(words, this.#numbers, (peer) => here.has(peer));
    for (const file of found.away) {
      const error = awayError(file);
      this.#failed(exitStatus(error.code));
      await this.#out.error(error, { advise: false });
    }
    return found.words;
  }

  async #refreshed(report: RefreshReport): Promise<void> {
    const { manner, session } = this.#options;
    const out = this.#out;
    if (manner.json) return out.data(report);
    await out.lines(refreshLines(report, await session.api.status()));
  }

  /** Tells what happens, to the end of the session or of the peer. */
  async #tell(): Promise<void> {
    const { signal } = this.#end;
    try {
      for await (const event of this.#options.session.api.events(signal)) {
        if (signal.aborted) return;
        if (event.event === 'transfer')
          void delay(OURS_MS, undefined, { ref: false }).then(() => this.#happened(event));
        else this.#happened(event);
      }
      if (!signal.aborted) throw new HearsayError('not-running', 'the peer has ended');
    } catch (thrown) {
      if (signal.aborted) return;
      const error = asHearsayError(thrown);
      this.#failed(exitStatus(error.code));
      await this.#out.error(error);
      this.#stop('end');
    }
  }

  #happened(event: ShareEvent): void {
    const { manner, io } = this.#options;
    if (this.#end.signal.aborted) return;
    if (manner.json) return void this.#out.data(event);
    if (event.event === 'warning') return void this.#said(`hearsay: ${printable(event.message)}`, io.now());
    if (manner.quiet || this.#isOwn(event)) return;
    const line = this.#lineOf(event);
    if (line !== undefined) this.#said(line, io.now());
  }

  #lineOf(event: ShareEvent): string | undefined {
    const { noteStyle, manner } = this.#out;
    if (event.event === 'inbox' && event.row.state === 'waiting') {
      return `${offerOf(event.row)}: accept ${event.row.number}, or refuse ${event.row.number}`;
    }
    return eventLine(event, noteStyle, manner.verbose);
  }

  #said(line: string, now: number): void {
    const { io } = this.#options;
    if (!this.#live.take(line, now)) return;
    this.#ticking ??= setTimeout(() => {
      this.#ticking = undefined;
      this.#live.tick(io.now());
    }, WINDOW_MS);
  }

  /** What the commands here tell of already, or is not worth a line. */
  #isOwn(event: ShareEvent): boolean {
    if (event.event === 'transfer') {
      const { number, state, what } = event.row;
      // What is received is told by the inbox.
      return state === 'queued' || state === 'running' || what === undefined || this.#ours.has(number);
    }
    return event.event === 'serving' && event.state === 'begun' && !this.#options.manner.verbose;
  }

  #command(): CommandIo {
    const { io, prompt } = this.#options;
    return new CommandIo(io, prompt, Readable.from([]));
  }
}

function nameOf({ id, name }: PeerRow) {
  return { id, name };
}
