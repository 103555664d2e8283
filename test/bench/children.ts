/**
 * Processes of a bench, each of which takes orders one after another and answers them.
 *
 * Owns the processes that were started. Always true: an order is answered once, or throws when the process ends. Called by the benches.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const children = new Set<ChildProcess>();

/** Takes orders, one after another, until the other side has gone. */
export async function serve<Order>(start: Promise<(order: Order) => Promise<unknown>>): Promise<void> {
  const orders: Order[] = [];
  process.on('message', (order: Order) => orders.push(order));
  process.once('disconnect', () => process.exit());
  const act = await start;
  for (;;) {
    const order = orders.shift();
    if (order) process.send?.({ answer: await act(order) });
    else await once(process, 'message');
  }
}

/** Starts a process of a program. @param url the program's own @returns it, and its port */
export async function child(url: string, ...args: string[]): Promise<{ process: ChildProcess; port: number }> {
  const started = fork(fileURLToPath(url), args, { execArgv: ['--expose-gc'] });
  children.add(started);
  started.once('exit', () => children.delete(started));
  return { process: started, port: (await answerOf(started)) as number };
}

async function answerOf(process: ChildProcess): Promise<unknown> {
  const over = new AbortController();
  const ended = once(process, 'exit', { signal: over.signal }).then(([code]) => {
    throw new Error(`a process ended with ${code}`);
  });
  ended.catch(() => {});
  try {
    const [{ answer }] = (await Promise.race([once(process, 'message', { signal: over.signal }), ended])) as [
      { answer: unknown },
    ];
    return answer;
  } finally {
    over.abort();
  }
}

export async function order<Answer>(process: ChildProcess, what: object): Promise<Answer> {
  const answer = answerOf(process);
  process.send(what);
  return answer as Promise<Answer>;
}

/** Ends all that were started. */
export async function endChildren(): Promise<void> {
  for (const process of children) process.kill();
  await Promise.all([...children].map((process) => once(process, 'exit')));
}

/** @param part 0.5 for the median; sorts */
export function percentile(values: number[], part: number): number {
  return values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];
}
