import test from 'ava';
import { traceLine } from '../../lib/cli/trace.js';
import { Tracing } from '../../lib/drive/tracing.js';
import type { Message } from '../../lib/wire/table.js';
import { ALICE, BOB } from './cli-fake.js';

const NONE = new Uint8Array(0);
const ID = 'ab'.repeat(32);

/** Lines of the trace of messages to and from bob. */
async function traced(messages: readonly ['in' | 'out', Message][]): Promise<string[]> {
  const tracing = new Tracing(false);
  const stop = new AbortController();
  const records = tracing.listen(stop.signal);
  for (const [direction, message] of messages) tracing.tracer(direction, BOB.id, message);
  stop.abort();
  const lines: string[] = [];
  for await (const record of records)
    lines.push(
      traceLine(record)
        .replace(/ \d+ B tcp$/, '')
        .replaceAll(BOB.id, 'bob'),
    );
  return lines;
}

test('register, lookup and answer are traced in words', async (t) => {
  const peer = { head: new Uint8Array(1), sig: new Uint8Array(64), addresses: [] };
  const offer = { path: 'a', kind: 'file' as const, size: 1, mtime: 0, id: ID, version: 1 };
  const page = { type: 'f' as const, number: 2, reset: false, have: [], gone: [] };
  const sent = { name: 'a\x07', folder: false, files: 1, bytes: 9, id: null };
  const z = { type: 'Z' as const, number: 1, seen: '10.0.0.1:9', lease: 12_000, trackers: [] };
  const ask = (kind: number, text: string, follow = false): ['out', Message] => [
    'out',
    { type: 'l', number: 2, kind, text, follow },
  ];
  const lines = await traced([
    ['out', { type: 'J', number: 1, addresses: ['10.0.0.1:9', '[fd00::1]:9'] }],
    ['out', { type: 'J', number: 1, addresses: [] }],
    ['in', { ...z, reachable: ['10.0.0.1:9'], peers: 1, offers: 300 }],
    ['in', { ...z, reachable: [], peers: 3, offers: 1 }],
    ask(0, '', true),
    ask(1, 'photos/cat.jpg'),
    ask(2, '*.jpg'),
    ask(3, 'two words'),
    ask(5, ID),
    ask(6, ''),
    ask(7, 'b\x07'),
    ask(8, ALICE.id),
    ['in', { ...page, peers: [peer, peer], offers: [{ peer: BOB.id, offers: [offer] }], last: false }],
    ['in', { ...page, peers: [], offers: [], gone: [BOB.id], reset: true, last: true }],
    ['in', { ...page, peers: [], offers: [], last: true }],
    ['in', { type: 'E', number: 2, code: 'unknown-file', id: null, message: 'nothing' }],
    ['out', { type: 'h', id: ID, chunks: 9, at: 0, bits: new Uint8Array([255, 1]) }],
    ['in', { type: 'c', number: 3, peer: ALICE.id, from: peer }],
    ['in', { type: 't', number: 5, from: ALICE.id, to: BOB.id }],
    ['in', { type: 'e', number: 5, opener: true, code: 'limit' }],
    ['in', { type: 'i', number: 6, parcel: 'send-1', items: [sent, { ...sent, name: 'b' }] }],
    ...[0, 1, 2, 3, 4].map((state): ['out', Message] => [
      'out',
      { type: 'v', number: 6, state, bytes: 9, code: state === 4 ? 'refused' : '', message: '' },
    ]),
    ['in', { type: 'm', number: 6, peers: [peer] }],
    ['out', { type: 'b', number: 7, known: [{ writer: ALICE.id, epoch: 1, version: 0, least: 3 }] }],
    ['in', { type: 'r', number: 7, writer: ALICE.id, replaced: NONE, offers: [offer], head: peer.head, sig: peer.sig }],
    ['in', { type: 'r', number: 7, writer: ALICE.id, replaced: NONE, offers: [], head: NONE, sig: NONE }],
  ]);
  t.deepEqual(lines, [
    '→ bob J join register me at 10.0.0.1:9, [fd00::1]:9',
    '→ bob J join register me',
    '← bob Z joined registered for 12 s, reached at 10.0.0.1:9; 1 peer and 300 offers here',
    '← bob Z joined registered for 12 s, cannot be dialled; 3 peers and 1 offer here',
    '→ bob l lookup everything, and what changes',
    '→ bob l lookup photos/cat.jpg',
    '→ bob l lookup pattern *.jpg',
    '→ bob l lookup words two words',
    '→ bob l lookup who holds #abababababab',
    '→ bob l lookup peers',
    '→ bob l lookup peer b\\u{7}',
    `→ bob l lookup who passes on to ${ALICE.id}`,
    '← bob f found 2 peers, 1 offer, not all yet',
    '← bob f found anew: 1 gone peer',
    '← bob f found nothing',
    '← bob E end unknown-file',
    '→ bob h hold parts of #abababababab, 9 chunks',
    `← bob c summon ${ALICE.id} is to dial`,
    `← bob t tunnel from ${ALICE.id} to bob`,
    '← bob e tunnel end limit',
    '← bob i invite a\\u{7} and 1 more, send-1',
    '→ bob v verdict a person is asked',
    '→ bob v verdict accepted',
    '→ bob v verdict 9 bytes are here',
    '→ bob v verdict all is here',
    '→ bob v verdict not taken: refused',
    '← bob m members 1 receiver',
    '→ bob b digest 1 writer',
    `← bob r newer ${ALICE.id}, 1 offer`,
    `← bob r newer ${ALICE.id}, more than a page`,
  ]);
});

test('requests of both sides under one number are not taken for each other', async (t) => {
  const block = { hash: NONE, data: new Uint8Array(1), block: 0 };
  const lines = await traced([
    ['out', { type: 'G', number: 1, id: null, path: 'mine', first: 0 }],
    ['in', { type: 'G', number: 1, id: null, path: 'theirs', first: 0 }],
    ['in', { type: 'T', number: 1, ...block }],
    ['out', { type: 'T', number: 1, ...block }],
    ['out', { type: 'A', number: 1, done: [0] }],
    ['in', { type: 'X', number: 1 }],
    ['in', { type: 'E', number: 1, code: '', id: ID, message: '' }],
  ]);
  t.deepEqual(lines, [
    '→ bob G get mine',
    '← bob G get theirs',
    '← bob T transfer mine chunk 0',
    '→ bob T transfer theirs chunk 0',
    '→ bob A ack mine chunk 0',
    '← bob X cancel theirs',
    '← bob E end mine',
  ]);
});
