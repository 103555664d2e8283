/**
 * Dialling a peer that has several addresses: each in its turn, the next beside the last when that does not answer at once
 * (RFC 8305, "Happy Eyeballs"). Called by Links.
 */
import type { Endpoint } from '../endpoint.js';
import { asHearsayError, HearsayError } from '../errors.js';

/** Another address is tried beside the first after so long, ms. */
const STAGGER_MS = 250;

/**
 * What the first attempt that succeeds gives; the others are ended.
 * @param endpoints one at least
 * @throws HearsayError what is worse than not being reached, else all reasons together
 */
export async function firstOf<T>(
  endpoints: readonly Endpoint[],
  dial: (to: Endpoint, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const attempts: Promise<T>[] = [];
  let any: Promise<T | undefined> = Promise.resolve(undefined);
  try {
    for (const endpoint of endpoints) {
      attempts.push(dial(endpoint, over.signal));
      any = Promise.any(attempts);
      // When all of them have failed the next need not wait.
      const first = await Promise.race([any.catch(() => undefined), delay(STAGGER_MS)]);
      if (first !== undefined) return first;
    }
    return (await any) as T;
  } catch (thrown) {
    throw together((thrown as AggregateError).errors.map((e) => asHearsayError(e)));
  } finally {
    over.abort();
  }
}

function together(errors: HearsayError[]): HearsayError {
  const worse = errors.find((e) => e.code !== 'unreachable');
  if (worse || errors.length === 1) return worse ?? errors[0];
  const cause = new AggregateError(errors.map((e) => e.cause ?? e));
  return new HearsayError('unreachable', errors.map((e) => e.message).join(', '), { cause });
}

/** Whether each address that was tried belongs to a machine which says that nothing listens there. */
export function isRefused({ cause }: HearsayError): boolean {
  const all = cause instanceof AggregateError ? cause.errors : [cause];
  return all.every((one) => (one as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED');
}

function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}
