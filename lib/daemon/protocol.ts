/**
 * What is said on the control socket. JSON objects, in this order:
 *   server  {hearsay:'control', protocol, program, nonce}
 *   client  {hearsay:'control', protocol, program, nonce, proof}
 *   server  {proof, pid, runs}
 * then requests {n, method, params}; their answers {n, part:{field, items}}… {n, result}, or for what streams
 * {n, event}… {n, end}, or {n, error:{code, message}}. The client may send {n, cancel} (stop; your last events are still
 * wanted), {n, drop} (nothing of it is wanted any more: stop, but what the running peer keeps goes on) and, as it takes events, {n, credit}. The proof is an HMAC of both nonces by the card's token, so the token itself is never sent and a stranger
 * who listens under our name learns nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type {
  AddQuery,
  AnswerQuery,
  FileRow,
  GetQuery,
  ListingPart,
  ListQuery,
  RemoveQuery,
  SendQuery,
  SteerQuery,
} from '../api.js';
import { asHearsayError, type Code, HearsayError, isCode } from '../errors.js';
import { CONTROL_PART_BYTES, CONTROL_PEERS_MAX, PATH_MAX } from '../limits.js';
import { PROGRAM } from './version.js';

/** Raised when either side would misunderstand the other. */
export const PROTOCOL = 3;

const MAGIC = 'control';

/** How a peer runs: `share` in the foreground; as a daemon, started by `daemon start` or by the system's own services. */
export const RUNS = ['foreground', 'daemon', 'service'] as const;
export type Runs = (typeof RUNS)[number];

export interface Hello {
  protocol: number;
  program: string;
  nonce: string;
  proof: string;
}

export function hello(nonce: string, proof = ''): object {
  return { hearsay: MAGIC, protocol: PROTOCOL, program: PROGRAM, nonce, proof };
}

const helloShape = z.object({
  hearsay: z.literal(MAGIC),
  protocol: z.number(),
  program: z.string().max(64),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  proof: z.string().max(64),
});

/**
 * Reads the other side's hello.
 * @throws HearsayError `bad-message`, or `other-version`
 */
export function readHello(message: unknown, side: string): Hello {
  const read = helloShape.safeParse(message);
  if (!read.success) throw new HearsayError('bad-message', `the ${side} does not speak hearsay's control protocol`);
  const { protocol, program } = read.data;
  if (protocol !== PROTOCOL) {
    throw new HearsayError(
      'other-version',
      `the ${side} is hearsay ${program} (control protocol ${protocol}), this is ${PROGRAM} (${PROTOCOL})`,
    );
  }
  return read.data;
}

export type Side = 'server' | 'client';

/** What shows that a side knows the token: 64 hexadecimal digits. */
export function prove(token: string, side: Side, server: string, client: string): string {
  return createHmac('sha256', token).update(`hearsay control ${PROTOCOL} ${side}\0${server}\0${client}`).digest('hex');
}

export function proves(proof: unknown, token: string, side: Side, server: string, client: string): boolean {
  const right = Buffer.from(prove(token, side, server, client));
  const given = Buffer.from(typeof proof === 'string' ? proof : '');
  return given.length === right.length && timingSafeEqual(given, right);
}

const text = z.string().max(2 * PATH_MAX);
const from = z.array(text).max(1000).optional();
const n = z.number().int().nonnegative();
const nothing = z.strictObject({});
const list = z.strictObject({
  pattern: text.optional(),
  words: z.array(text).max(1000).optional(),
  from,
}) satisfies z.ZodType<ListQuery>;
const sources = z.strictObject({ what: text, from });
const get = z.strictObject({
  what: z.array(text).min(1).max(10_000),
  to: text,
  from,
  overwrite: z.boolean().optional(),
  discard: z.boolean().optional(),
  sync: z.boolean().optional(),
  timeout: z.number().nonnegative().optional(),
  verbose: z.boolean().optional(),
  seed: z.boolean().optional(),
  keep: z.boolean().optional(),
  limitDown: z.number().positive().optional(),
}) satisfies z.ZodType<GetQuery>;

const texts = z.array(text).min(1).max(1000);
const add = z.strictObject({
  paths: texts,
  as: text.optional(),
  for: texts.optional(),
  only: texts.optional(),
  exclude: texts.optional(),
}) satisfies z.ZodType<AddQuery>;
const remove = z.strictObject({ what: texts, cwd: text.optional() }) satisfies z.ZodType<RemoveQuery>;
const numbers = z.union([z.array(n).min(1).max(1000), z.literal('all')]);
const steer = z.strictObject({ verb: z.enum(['cancel', 'pause', 'resume']), numbers }) satisfies z.ZodType<SteerQuery>;
const answer = z.strictObject({ verb: z.enum(['accept', 'refuse']), numbers }) satisfies z.ZodType<AnswerQuery>;
const send = z.strictObject({ files: texts, to: texts, as: text.optional() }) satisfies z.ZodType<SendQuery>;

/** Everything that a client may send after its hello. */
export const clientMessage = z.union([
  z.strictObject({ n, cancel: z.literal(true) }),
  z.strictObject({ n, drop: z.literal(true) }),
  z.strictObject({ n, credit: z.number().int().positive().max(1_000_000) }),
  z.discriminatedUnion('method', [
    z.strictObject({ n, method: z.literal('list'), params: list }),
    z.strictObject({ n, method: z.literal('listing'), params: list }),
    z.strictObject({ n, method: z.literal('follow'), params: list }),
    z.strictObject({ n, method: z.literal('sources'), params: sources }),
    z.strictObject({ n, method: z.literal('peers'), params: nothing }),
    z.strictObject({ n, method: z.literal('forget'), params: z.strictObject({ peer: text }) }),
    z.strictObject({ n, method: z.literal('below'), params: z.strictObject({ prefix: text, from }) }),
    z.strictObject({ n, method: z.literal('get'), params: get }),
    z.strictObject({ n, method: z.literal('status'), params: nothing }),
    z.strictObject({ n, method: z.literal('add'), params: add }),
    z.strictObject({ n, method: z.literal('remove'), params: remove }),
    z.strictObject({ n, method: z.literal('served'), params: nothing }),
    z.strictObject({ n, method: z.literal('doctor'), params: nothing }),
    z.strictObject({ n, method: z.literal('steer'), params: steer }),
    z.strictObject({ n, method: z.literal('send'), params: send }),
    z.strictObject({ n, method: z.literal('inbox'), params: nothing }),
    z.strictObject({ n, method: z.literal('answer'), params: answer }),
    z.strictObject({ n, method: z.literal('events'), params: nothing }),
    z.strictObject({ n, method: z.literal('refresh'), params: nothing }),
    z.strictObject({ n, method: z.literal('trace'), params: nothing }),
    z.strictObject({ n, method: z.literal('stop'), params: nothing }),
  ]),
]);

export type Request = Extract<z.infer<typeof clientMessage>, { method: string }>;
export type Method = Request['method'];

/** An error as it is sent; anything unexpected becomes `failed`. */
export function errorBody(thrown: unknown): { code: Code; message: string } {
  const { code, message } = asHearsayError(thrown);
  // Far more than any message of ours; some texts of the system quote what they were given.
  return { code, message: message.slice(0, 16_384) };
}

/** An error as it was received. */
export function readError(body: unknown): HearsayError {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  return new HearsayError(
    typeof code === 'string' && isCode(code) ? code : 'failed',
    typeof message === 'string' ? message : 'the running peer failed without saying why',
  );
}

/** A row, or a piece of one that thousands of peers bear: all but the last are marked `more`. */
export type Piece<Row extends FileRow> = Row & { more?: true };

/** Cuts a row so that no piece passes the limit of a message. */
export function* pieces<Row extends FileRow>(row: Row): Generator<Piece<Row>> {
  const { peers } = row;
  for (let at = 0; at + CONTROL_PEERS_MAX < peers.length; at += CONTROL_PEERS_MAX) {
    yield { ...row, peers: peers.slice(at, at + CONTROL_PEERS_MAX), more: true };
  }
  const rest = peers.length % CONTROL_PEERS_MAX || Math.min(peers.length, CONTROL_PEERS_MAX);
  yield peers.length === rest ? row : { ...row, peers: peers.slice(-rest) };
}

/** Puts pieces together again; gives a row when its last piece is here. */
export class Joiner<Row extends FileRow> {
  #begun: Row | undefined;

  push(piece: Piece<Row>): Row | undefined {
    const { more, ...rest } = piece;
    const row = rest as unknown as Row;
    if (this.#begun) for (const peer of row.peers) this.#begun.peers.push(peer);
    else this.#begun = row;
    if (more) return undefined;
    const whole = this.#begun;
    this.#begun = undefined;
    return whole;
  }
}

/** The messages that carry a piece of a listing as events: JSON texts, each of some CONTROL_PART_BYTES. */
export function* listingTexts(request: number, { files, ...rest }: ListingPart): Generator<string> {
  let gathered: string[] = [];
  let length = 0;
  const message = (more: object) => {
    const others = JSON.stringify(more).slice(1);
    return `{"n":${request},"event":{"files":[${gathered.join(',')}]${others === '}' ? '}' : `,${others}`}}`;
  };
  for (const row of files) {
    for (const piece of pieces(row)) {
      const json = JSON.stringify(piece);
      gathered.push(json);
      length += json.length;
      if (length < CONTROL_PART_BYTES) continue;
      yield message({});
      gathered = [];
      length = 0;
    }
  }
  if (gathered.length > 0 || Object.keys(rest).length > 0) yield message(rest);
}

/** The messages that carry a long list: JSON texts, each a part of some CONTROL_PART_BYTES. */
export function* parts(request: number, field: string, items: Iterable<object>): Generator<string> {
  let gathered: string[] = [];
  let length = 0;
  const message = () => `{"n":${request},"part":{"field":"${field}","items":[${gathered.join(',')}]}}`;
  for (const item of items) {
    const json = JSON.stringify(item);
    gathered.push(json);
    length += json.length;
    if (length < CONTROL_PART_BYTES) continue;
    yield message();
    gathered = [];
    length = 0;
  }
  if (gathered.length > 0) yield message();
}
