/** The registry: the suite, over a Redis. */
import test from 'ava';
import { trackerSuite } from '../unit/tracker-suite.js';
import { RedisServer, redisReason } from './redis.js';
import { redisHarness } from './redis-harness.js';

if (redisReason) {
  test('the suite of the registry over a Redis', (t) => {
    t.log(`skipped: ${redisReason}`);
    t.pass();
  });
} else {
  const ends: (() => Promise<void>)[] = [];
  // Databases enough for a harness each.
  const server = RedisServer.start({ teardown: (end) => ends.push(end) }, '--databases', '1000');
  test.after.always(async () => {
    await server.catch(() => {});
    for (const end of ends) await end();
  });
  trackerSuite(test, 'over Redis', async () => redisHarness(await server));
}
