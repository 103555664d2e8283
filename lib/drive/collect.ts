import type { GetEvent, GetQuery } from '../api.js';
import { HearsayError } from '../errors.js';

/** Options of a program's `get`. */
export interface GetOptions extends Partial<Omit<GetQuery, 'what' | 'to' | 'verbose' | 'discard'>> {
  /** DEST as for the command: a folder that exists or ends in a separator, else the file's own new name. Default `.`. */
  to?: string;
  signal?: AbortSignal;
  /** Told at most four times a second of each file. */
  onProgress?(progress: { path: string; verified: number; size: number; sources: number }): void;
}

/** A file that arrived. */
export type Fetched = Omit<Extract<GetEvent, { event: 'done' }>, 'event'>;

/** The result of a get from its events. @throws HearsayError the first error among them */
export async function collect(
  events: AsyncIterable<GetEvent>,
  onProgress: GetOptions['onProgress'],
): Promise<Fetched[]> {
  const fetched: Fetched[] = [];
  let failure: HearsayError | undefined;
  for await (const event of events) {
    if (event.event === 'progress') onProgress?.(event);
    else if (event.event === 'error') failure ??= new HearsayError(event.error.code, event.error.message);
    else if (event.event === 'done') {
      const { event: _, ...file } = event;
      fetched.push(file);
    }
  }
  if (failure) throw failure;
  return fetched;
}
