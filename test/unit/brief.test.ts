/** A short command tells V8 to optimize less, where it knows how that is said, and a longer one only for so long. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { beBrief } from '../../lib/daemon/brief.js';

const PROGRAM = new URL('../../lib/daemon/brief.js', import.meta.url).href;

test('a version of Node whose flags are not known is left alone', (t) => {
  for (const version of ['18.20.0', '21.7.3', '25.0.0', '99.1.0']) t.is(beBrief(version), undefined);
});

test('V8 knows the flag of this version: it would say so if not', (t) => {
  const script = `import { beBrief } from ${JSON.stringify(PROGRAM)}; process.stdout.write(String(beBrief()));`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('.', import.meta.url)),
  });
  t.is(status, 0);
  t.is(stderr, '');
  t.regex(stdout, /^--[a-z-]+=\d+$|^undefined$/);
  if (/^v(20|22|24)\./.test(process.version)) t.not(stdout, 'undefined');
});
