/** What a receiver says to a source in one turn of the loop is said together. */
import test from 'ava';
import { Told } from '../../lib/drive/told.js';
import { ITEMS_QUEUED_MAX } from '../../lib/limits.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

function told() {
  const said: string[] = [];
  const one = new Told(
    (done) => said.push(`A ${done}`),
    ({ block, count }) => said.push(`R ${block}+${count}`),
  );
  return { said, one };
}

test('a turn of the loop gives one acknowledgement and a request for each range', async (t) => {
  const { said, one } = told();
  one.asked(8, 1);
  for (const block of [3, 1, 2]) one.arrived(block);
  one.asked(9, 2);
  one.asked(20, 1);
  t.deepEqual(said, []);
  await turn();
  t.deepEqual(said, ['A 3,1,2', 'R 8+3', 'R 20+1']);
  await turn();
  t.is(said.length, 3, 'nothing is said twice');
  one.asked(11, 1);
  one.flush();
  t.is(said.at(-1), 'R 11+1', 'and at once where that is asked for');
  await turn();
  t.is(said.length, 4);
});

test('neither grows without bound, and what is dropped is never said', async (t) => {
  const { said, one } = told();
  for (let block = 0; block < 130; block++) one.arrived(block);
  t.is(said.length, 2);
  one.asked(0, ITEMS_QUEUED_MAX);
  one.asked(ITEMS_QUEUED_MAX, 1);
  await turn();
  t.deepEqual(said.slice(2), ['A 128,129', `R 0+${ITEMS_QUEUED_MAX}`, `R ${ITEMS_QUEUED_MAX}+1`]);
  one.arrived(200);
  one.asked(300, 1);
  one.drop();
  await turn();
  t.is(said.length, 5);
});
