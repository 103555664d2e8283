/** What of a peer's transfers is kept in its state folder, and how it is checked when it is read again. */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { ErrorBody, GetQuery, PeerName, TransferRow } from '../api.js';
import { isCode } from '../errors.js';
import type { PeerId } from '../ids.js';
import { JOB_FILES_MAX, JOBS_ENDED_MAX, JOBS_MAX } from '../limits.js';
import type { Job } from '../transfer/jobs.js';

/** A transfer as it is told of. */
export type KeptRow = Omit<TransferRow, 'number' | 'state' | 'error' | 'rate'>;

/** What an unfinished get needs to go on, but for what it fetches: see KeptTargets. */
export interface KeptGet {
  query: GetQuery;
  /** Which targets are done: a Bits, in base64. */
  done: string;
  /** Why some of what was asked for could not be had from the first. */
  lost: ErrorBody[];
}

export interface KeptJob extends Job {
  row: KeptRow;
  get?: KeptGet;
}

export interface KeptJobs {
  /** The number that comes next. */
  next: number;
  jobs: KeptJob[];
}

/** One file that a get fetches, as it was resolved at first, and where it goes. */
export interface KeptTarget {
  path: string;
  id: string | null;
  folder: boolean;
  size: number;
  mtime: number;
  executable: boolean;
  sources: PeerId[];
  /** Absolute, and the wire path below it. */
  root: string;
  relative: string;
  /** Set where nobody offered it to everyone. */
  aside?: true;
}

export interface KeptTargets {
  /** Who offered something of it then. */
  peers: PeerName[];
  /** Where only some peers are to be asked: these. */
  only?: PeerId[];
  targets: KeptTarget[];
}

const count = z.int().min(0);
const number = z.int().min(1);
const texts = z.array(z.string());
const peer = z.strictObject({ id: z.string(), name: z.string() });
const error = z.strictObject({
  code: z.custom<ErrorBody['code']>((word) => typeof word === 'string' && isCode(word)),
  message: z.string(),
}) satisfies z.ZodType<ErrorBody>;
const absolute = z.string().refine(isAbsolute);

const row = z.strictObject({
  direction: z.enum(['in', 'out']),
  path: z.string(),
  size: count,
  bytes: count,
  peers: z.array(peer),
  what: texts.optional(),
  to: z.string().optional(),
  files: count.optional(),
  done: count.optional(),
}) satisfies z.ZodType<KeptRow>;

// What of a query a get goes on with is its own affair, as long as it is one.
const query = z.looseObject({ what: texts.min(1), to: absolute }) as unknown as z.ZodType<GetQuery>;

const job = z.strictObject({
  number,
  turn: number,
  state: z.enum(['queued', 'running', 'paused', 'done', 'failed']),
  since: z.number(),
  error: error.optional(),
  row,
  get: z.strictObject({ query, done: z.base64(), lost: z.array(error) }).optional(),
}) satisfies z.ZodType<KeptJob>;

export const keptJobs = z.strictObject({
  next: number,
  jobs: z
    .array(job)
    .max(JOBS_MAX + JOBS_ENDED_MAX)
    .refine((jobs) => new Set(jobs.map((one) => one.number)).size === jobs.length),
}) satisfies z.ZodType<KeptJobs>;

export const keptTargets = z.strictObject({
  peers: z.array(peer),
  only: texts.optional(),
  targets: z
    .array(
      z.strictObject({
        path: z.string(),
        id: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .nullable(),
        folder: z.boolean(),
        size: count,
        mtime: z.number(),
        executable: z.boolean(),
        sources: texts,
        root: absolute,
        relative: z.string(),
        aside: z.literal(true).optional(),
      }),
    )
    .max(JOB_FILES_MAX),
}) satisfies z.ZodType<KeptTargets>;
