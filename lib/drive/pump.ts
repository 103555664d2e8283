import type { Link } from '../net/link.js';
import type { Message } from '../wire/table.js';

/** Sends the pages of an answer as fast as the other side reads them. */
export async function pump(link: Link, pages: Iterable<Message>): Promise<void> {
  for (const page of pages) {
    await link.whenWritable();
    if (!link.open) return;
    link.send(page);
    // A page costs up to a millisecond to make: others have their turn between two.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
