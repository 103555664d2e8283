import type { SourceRow, SourcesRow } from '../api.js';
import { Bits } from '../bits.js';
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { CHUNKS_MAX } from '../limits.js';
import type { Link } from '../net/link.js';
import { chunkCount } from '../transfer/content.js';
import type { MessageOf } from '../wire/table.js';
import type { FetchContext } from './context.js';
import type { Piece } from './plan.js';
import { errorOf } from './requests.js';

/** Files of which sources are asked at most: each is a question to each source. */
export const FILES_MAX = 200;
/** After its manifest a source names at once those who receive the file of it, if there are any, ms. */
const OTHERS_MS = 150;
const ANSWER_MS = 5000;

/** Runs of chunks that are there: first and last of each. */
export function runsOf(bits: Bits): [number, number][] {
  const runs: [number, number][] = [];
  for (let i = 0; i < bits.length; i++) {
    if (!bits.has(i)) continue;
    const last = runs.at(-1);
    if (last && last[1] === i - 1) last[1] = i;
    else runs.push([i, i]);
  }
  return runs;
}

interface Answer {
  have: Bits;
  others: MessageOf<'W'>['peers'];
}

/** Asks one peer which chunks of a file it holds, and who else receives it there. */
function ask(context: FetchContext, link: Link, { id, path, size }: Piece): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const count = chunkCount(size);
    let have: Bits | undefined;
    let timer = setTimeout(() => end(new HearsayError('timeout', 'no answer')), ANSWER_MS);
    const end = (error?: HearsayError, others: Answer['others'] = []) => {
      clearTimeout(timer);
      context.requests.close(link, number);
      link.send({ type: 'X', number });
      if (have) resolve({ have, others });
      else reject(error);
    };
    const number = context.requests.open(link, {
      answer: (message) => {
        if (message.type === 'E') end(errorOf(message));
        else if (message.type === 'W') end(undefined, message.peers);
        else if (message.type === 'M' && !have) {
          have = message.have.length > 0 ? new Bits(count, message.have) : Bits.full(count);
          clearTimeout(timer);
          timer = setTimeout(() => end(), OTHERS_MS);
        }
      },
      closed: end,
    });
    // From beyond the last chunk: the hashes themselves are not wanted.
    link.send({ type: 'G', number, id, path, first: count });
  });
}

/** Who holds which chunks of a file. Peers that do not answer are left out. */
export async function sourcesOf(context: FetchContext, piece: Piece, self: SourceRow | undefined): Promise<SourcesRow> {
  const rows = new Map<PeerId, SourceRow>();
  if (self) rows.set(self.id, self);
  const { path, size, id } = piece;
  const chunks = chunkCount(size);
  // What is said to be larger than anything that can be fetched is not looked into: a bit for each chunk may be too many.
  if (chunks > CHUNKS_MAX) return { path, size, id, chunks, sources: [...rows.values()] };
  const asked = new Set<PeerId>();
  const look = async (link: Link): Promise<void> => {
    if (asked.has(link.peer)) return;
    asked.add(link.peer);
    const { have, others } = await ask(context, link, piece);
    rows.set(link.peer, { ...context.nameOf(link.peer), have: have.count, ranges: runsOf(have) });
    await Promise.all(
      others.map(async (other) => {
        const met = await context.meet(other);
        if (met) await look(met).catch(() => {});
      }),
    );
  };
  const reach = async (peer: PeerId) => look(await context.connect(peer)).catch(() => {});
  await Promise.all(piece.sources.map(reach));
  for (const holding of id === null || context.isAside(path, piece.sources) ? [] : await context.receivers(id)) {
    if (rows.has(holding.peer) || holding.chunks !== chunks) continue;
    await reach(holding.peer);
    if (rows.has(holding.peer)) continue;
    // It cannot be asked, so that what it told a tracker has to do.
    const have = new Bits(chunks, holding.bits);
    rows.set(holding.peer, { ...context.nameOf(holding.peer), have: have.count, ranges: runsOf(have) });
  }
  return { path, size, id, chunks, sources: [...rows.values()] };
}
