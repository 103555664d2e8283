// The tests that need a LAN of network namespaces and for the most part wait: two files beside each other.
const NAMES = [
  'console',
  'daemon',
  'doctor',
  'gossip',
  'limit',
  'live',
  'reach',
  'resume',
  'tracker',
  'tracker-life',
  'tracker-two',
  'trees',
  'trust',
  'ways',
];

export const beside = NAMES.map((name) => `dist/test/lab/${name}.test.js`);

export default {
  files: beside,
  concurrency: 2,
  workerThreads: false,
  timeout: '5m',
};
