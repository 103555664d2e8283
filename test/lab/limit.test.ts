/** Limits on what is sent and fetched, kept on links that could do a little more. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { get, shareHashed, speed } from './commands.js';
import { labTest } from './lab-test.js';
import { bigFile, MIB, scratch } from './trees.js';

/** What is looked at, ms, after the first second. */
const WINDOW = 20_000;
const FIRST = 1000;
const BYTES = 240 * MIB;

/** A link of 100 Mbit/s carries some 11.7 MB/s of files. */
const LINK = { rate: 100 };

labTest(
  'limits of 11 MB/s on links of 100 Mbit/s, at the source and at the receiver',
  [LINK, LINK, LINK, LINK],
  async (t, lab) => {
    const [up, fromUp, plain, down] = lab.hosts;
    const folder = await scratch(4 * BYTES);
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    await bigFile(join(folder, 'one', 'limited'), BYTES);
    await bigFile(join(folder, 'two', 'plain'), BYTES);
    await Promise.all([
      shareHashed(up, [join(folder, 'one', 'limited'), '--limit-up', '11MB/s']),
      shareHashed(plain, [join(folder, 'two', 'plain')]),
    ]);

    /** Bytes a second that were verified in the time looked at. */
    const measured = async (host: typeof up, args: string[], name: string): Promise<number> => {
      const into = join(folder, name);
      await mkdir(into);
      let began: { at: number; verified: number } | undefined;
      let first: typeof began;
      let last: typeof began;
      const fetching = get(host, [...args, '-o', `${into}/`], (event) => {
        if (event.event !== 'progress') return;
        const now = { at: performance.now(), verified: event.verified };
        began ??= now;
        if (now.at - began.at < FIRST) return;
        first ??= now;
        if (now.at - first.at <= WINDOW) last = now;
      });
      t.is(await fetching.ended(), 0);
      t.is(fetching.done.received, BYTES, 'each block came once');
      if (!first || !last) throw new Error('no progress was told');
      t.true(last.at - first.at > 0.95 * WINDOW, `${last.at - first.at} ms were looked at`);
      t.log(
        `${name}: ${speed(last.verified - first.verified, last.at - first.at)}, longest gap ${Math.round(fetching.gap)} ms`,
      );
      return (last.verified - first.verified) / ((last.at - first.at) / 1000);
    };

    const [sent, fetched] = await Promise.all([
      measured(fromUp, ['limited'], 'limited at the source'),
      measured(down, ['plain', '--limit-down', '11MB/s'], 'limited at the receiver'),
    ]);
    for (const rate of [sent, fetched]) t.true(rate >= 10.4e6 && rate <= 11.2e6, `${rate / 1e6} MB/s`);
  },
);
