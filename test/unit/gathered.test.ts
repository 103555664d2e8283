/** Lines that come in crowds are written together. */
import test from 'ava';
import { Gathered } from '../../lib/cli/gathered.js';
import type { Sink } from '../../lib/cli/io.js';

function sink() {
  const writes: string[] = [];
  const one = {
    write: async (data: string) => {
      writes.push(data);
    },
  } as unknown as Sink;
  return { writes, gathered: new Gathered(one) };
}

test('lines of one turn are one write, in their order, when the turn is over', async (t) => {
  const { writes, gathered } = sink();
  const written = [gathered.add('a'), gathered.add('b')];
  await Promise.resolve();
  void gathered.add('c');
  t.deepEqual(writes, []);
  await Promise.all(written);
  t.deepEqual(writes, ['a\nb\nc\n']);
  await gathered.add('d');
  t.deepEqual(writes, ['a\nb\nc\n', 'd\n']);
});

test('what is to come first is written at once, and nothing twice', async (t) => {
  const { writes, gathered } = sink();
  const written = gathered.add('a');
  void gathered.flush();
  t.deepEqual(writes, ['a\n']);
  const later = gathered.add('b');
  await Promise.all([written, later, gathered.flush(), gathered.flush()]);
  t.deepEqual(writes, ['a\n', 'b\n']);
});

test('it says when it is time to wait for the reader', async (t) => {
  const { gathered } = sink();
  t.false(gathered.isFull);
  const written = gathered.add('x'.repeat(70_000));
  t.true(gathered.isFull);
  await written;
  t.false(gathered.isFull);
});
