/** A get that ends with who asked for it: of a program, or into a pipe. It has a number, is listed, and can be cancelled. */
import type { ErrorBody, GetEvent, GetQuery } from '../api.js';
import { HearsayError } from '../errors.js';
import type { Target } from '../share/destination.js';
import { Get, type GetContext } from './fetch.js';
import type { Piece } from './plan.js';
import { type Registered, type Registration, type Steering, shownWhat } from './registered.js';
import { Stream } from './stream.js';

export interface PassingHost {
  context: GetContext;
  /** ms, where the query names none. */
  timeout: number;
  /** @throws HearsayError `limit` */
  register(about: Registration, steering: Steering): Registered;
  /** Sees to it that what was fetched goes on being served, where that was asked for. */
  seed(landed: { target: Target<Piece>; aside: boolean }[], tell: (event: GetEvent) => void): Promise<void>;
}

/**
 * Begins it.
 * @returns what it tells, and when it is over
 * @throws HearsayError `limit`
 */
export function pass(
  query: GetQuery,
  signal: AbortSignal,
  host: PassingHost,
): { out: Stream<GetEvent>; over: Promise<void> } {
  const { context, timeout, register, seed } = host;
  const { what, to } = query;
  const abort = new AbortController();
  const stop = (why: string) => abort.abort(new HearsayError('interrupted', why));
  const out = new Stream<GetEvent>(() => stop('nobody waits for it'));
  const about = { direction: 'in' as const, path: shownWhat(what), size: 0, what, to, files: 0 };
  const one = register(about, { cancel: () => stop('cancelled') });
  /** Those that nobody offers to everyone: whoever offered it may be gone when it is here. */
  const asides = new Set<Target<Piece>>();
  const landed: { target: Target<Piece>; aside: boolean }[] = [];
  /** Bytes of large files that are under way. */
  const verified = new Map<Target<Piece>, number>();
  let failure: ErrorBody | undefined;
  let end: GetEvent | undefined;
  let [done, whole] = [0, 0];
  let isShowing = false;
  const show = () => {
    isShowing = false;
    let bytes = whole;
    for (const more of verified.values()) bytes += more;
    one.update({ bytes, done });
  };
  // Files end in crowds: what is shown of them is said once for those that end together.
  const showSoon = () => {
    if (isShowing) return;
    isShowing = true;
    queueMicrotask(show);
  };
  const push = (event: GetEvent, droppable?: boolean) => {
    if (event.event === 'start') one.update({ size: event.bytes, files: event.files });
    if (event.event === 'error') failure ??= event.error;
    if (event.event === 'end') end = event;
    else out.push(event, droppable);
  };
  const all = AbortSignal.any([signal, abort.signal]);
  const get = new Get(query, context, { push, end: () => {} }, all, timeout, {
    place: one.hooks.place,
    planned: (targets) => {
      for (const target of targets) {
        const { path, sources } = target.wanted;
        if (context.isAside(path, sources)) asides.add(target);
      }
    },
    verified: (target, bytes) => {
      verified.set(target, bytes);
      showSoon();
    },
    settled: (target, error) => {
      verified.delete(target);
      const { wanted } = target;
      if (!error) {
        landed.push({ target, aside: asides.has(target) });
        if (!wanted.folder) done++;
        whole += wanted.size;
      }
      showSoon();
    },
  });
  const run = async () => {
    await get.run();
    show();
    one.end(failure);
    await seed(landed, push);
    if (end) out.push(end);
    out.end();
  };
  return { out, over: run() };
}
