// The tests that need a LAN of network namespaces and for the most part wait: a few files beside each other.
const NAMES = ['console', 'daemon', 'lab', 'live', 'reach', 'tracker-life', 'trust'];

export const beside = NAMES.map((name) => `dist/test/lab/${name}.test.js`);

export default {
  files: beside,
  concurrency: 3,
  workerThreads: false,
  timeout: '5m',
};
