import { readFileSync } from 'node:fs';
import test from 'ava';
import { type } from './cli-fake.js';
import { README, withMessages } from './protocol-page.js';

const readme = readFileSync(README, 'utf8');

test('the messages in README are those of the table', (t) => {
  t.is(readme, withMessages(readme), 'run: node dist/test/unit/protocol-page.js');
});

test('README begins with the two commands', (t) => {
  const first = [...readme.matchAll(/```sh\n(.*)\n/g)].map((match) => match[1]);
  t.deepEqual(first, ['npm start', 'npm test']);
});

test('the commands in README are those of the program', async (t) => {
  const listed = [...readme.matchAll(/^\| `hearsay ([a-z]+)/gm)].map((match) => match[1]);
  t.true(listed.length > 0);
  for (const command of listed) {
    const { status, out } = await type([command, '--help']);
    t.is(status, 0);
    t.regex(out, new RegExp(`hearsay ${command}`));
  }
});
