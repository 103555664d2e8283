/** The process of the live part: what it is to do comes as arguments, what it has to say goes to the parent. */
import { runLive } from './live.js';
import type { Told } from './report.js';

const tell = (told: Told): Promise<void> =>
  new Promise((resolve) => {
    if (process.send) process.send(told, () => resolve());
    else resolve();
  });

const [seed, seconds] = process.argv.slice(2).map(Number);
const report = await runLive(seed, seconds, (inputs) => void tell({ kind: 'inputs', inputs }));
await tell({ kind: 'report', report });
process.exit(0);
