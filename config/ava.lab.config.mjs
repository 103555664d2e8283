// The tests that need a LAN of network namespaces: one after another, as they share the machine's links and cores.
// In processes, not threads, so that a test that is stopped takes what it started with it.
export default {
  files: ['dist/test/lab/**/*.test.js'],
  concurrency: 1,
  serial: true,
  workerThreads: false,
  timeout: '5m',
};
