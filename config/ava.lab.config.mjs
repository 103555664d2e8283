// The tests that need a LAN of network namespaces and measure what it carries: one after another, as they share the
// machine's links and cores. In processes, not threads, so that a test that is stopped takes what it started with it.
import { beside } from './ava.lab-beside.config.mjs';

export default {
  files: ['dist/test/lab/**/*.test.js', ...beside.map((file) => `!${file}`)],
  concurrency: 1,
  serial: true,
  workerThreads: false,
  timeout: '5m',
};
