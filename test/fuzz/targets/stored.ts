/** What is read from the disk and from the control socket: the journal, the settings, the control protocol. */
import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bits } from '../../../lib/bits.js';
import { Channel } from '../../../lib/daemon/channel.js';
import {
  clientMessage,
  errorBody,
  Joiner,
  pieces,
  proves,
  readError,
  readHello,
} from '../../../lib/daemon/protocol.js';
import { isCode } from '../../../lib/errors.js';
import { blake3 } from '../../../lib/hash.js';
import { CHUNKS_MAX, CONTROL_HELLO_MAX, NAME_MAX } from '../../../lib/limits.js';
import { Claims, decodeJournal, encodeJournal } from '../../../lib/share/journal.js';
import { loadSettings } from '../../../lib/share/settings.js';
import type { Chance } from '../chance.js';
import { anyText, piece, spoilBytes, spoilText, spoilValues } from '../mutate.js';
import { expected, holds, type Target, target } from '../target.js';

/** A journal's first line with a checksum that fits, whatever the JSON says. */
function signedLine(json: string): Buffer {
  return Buffer.from(`${blake3(json).toString('hex').slice(0, 16)} ${json}\n`);
}

/** JSON of anything: what JSON cannot say is said another way. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? Number(v) : v)) ?? 'null';
  } catch {
    // Nested more deeply than the writer goes; the reader may get it all the same.
    return `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  }
}

function anyJournal(chance: Chance): Buffer {
  const header = {
    hearsay: 'journal',
    version: 1,
    path: 'share/a',
    name: 'a',
    id: chance.is(0.5) ? null : 'ab'.repeat(32),
    size: Math.abs(chance.int()) % 2 ** 30,
    chunkSize: 262_144,
    pid: 1,
  };
  const count = Math.ceil(header.size / header.chunkSize);
  const claims = new Claims(Math.min(count, 64));
  for (let n = chance.below(10); n > 0; n--) claims.add(chance.below(64), chance.bytes(32));
  const whole = encodeJournal(header, claims);
  if (chance.is(0.3)) return spoilBytes(whole, chance);
  // Spoilt, with a checksum that fits all the same: this is no secret.
  const entries = Object.entries(header).map(([key, value]) => [key, spoilValues(value, chance, 0.15)]);
  const json = jsonOf(chance.is(0.9) ? Object.fromEntries(entries) : spoilValues([1], chance, 1));
  const records = whole.subarray(whole.indexOf(10) + 1);
  return Buffer.concat([signedLine(json), chance.is(0.5) ? spoilBytes(records, chance) : records]);
}

const journal = target<Uint8Array>({
  name: 'journal',
  weight: 2,
  make: anyJournal,
  run(bytes, reach) {
    const read = decodeJournal(Buffer.from(bytes));
    reach.note('journal', read ? 'ok' : 'refused');
    if (!read) return;
    const { header, claims, end } = read;
    holds(claims.bits.length <= CHUNKS_MAX && end <= bytes.length, 'more than was there');
    holds(claims.bits instanceof Bits && claims.bits.count <= claims.bits.length, 'a count that is not');
    const again = decodeJournal(encodeJournal(header, claims));
    holds(
      again?.claims.bits.count === claims.bits.count && again.header.name === header.name,
      'another after it was written',
    );
    if (claims.bits.length <= 4096) {
      claims.recut(header, { size: Math.min(header.size, 2 ** 28), chunkSize: 2 ** 20 });
      claims.denies(0, new Uint8Array(32));
    }
  },
});

const folder = await mkdtemp(join(tmpdir(), 'hearsay-fuzz-settings-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
/** Removes what the targets here wrote. */
export function forgetStored(): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

const TOML =
  'name = "x"\nport = 1\njoin = ["a:1"]\nmulticast = true\ngroup = "239.1.1.1:5"\ninterface = []\nwait = 2\ntimeout = 9.5\nshare = ["~/a", { path = "b", as = "c", for = ["d"] }]\n';
const KEYS = [
  'name',
  'port',
  'join',
  'multicast',
  'group',
  'interface',
  'wait',
  'timeout',
  'state',
  'rescan',
  'share',
  'secret',
  'secret-file',
  'secretFile',
  '__proto__',
  'nonsense',
];

const settings = target<{ toml: string; flags: Record<string, unknown> }>({
  name: 'settings',
  make: (chance) => ({
    toml: chance.is(0.6)
      ? spoilText(TOML, chance)
      : `${chance.one(KEYS)} = ${chance.is(0.5) ? JSON.stringify(anyText(chance)) : piece(chance)}\n`,
    flags: Object.fromEntries(
      chance.is(0.5)
        ? []
        : [[chance.one(KEYS), chance.is(0.5) ? anyText(chance) : JSON.parse(jsonOf(spoilValues(1, chance, 1)))]],
    ),
  }),
  async run({ toml, flags }, reach) {
    const configFile = join(folder, 'config.toml');
    await writeFile(configFile, toml);
    const nowhere = join(folder, 'nowhere');
    try {
      const read = await loadSettings({ flags, env: {}, configFile, folders: { config: nowhere, data: nowhere } });
      holds(Buffer.byteLength(read.name) <= NAME_MAX && read.name !== '', `the name ${read.name}`);
      holds(read.wait >= 0.1 && read.timeout >= 1, 'times out of range');
      reach.note('settings', 'ok');
    } catch (thrown) {
      reach.note('settings', `refused ${expected(thrown, 'config', 'usage')}`);
    }
  },
});

const NONCE = 'ab'.repeat(16);
const REQUESTS: Record<string, unknown>[] = [
  { n: 1, cancel: true },
  { n: 1, drop: true },
  { n: 1, credit: 5 },
  { n: 2, method: 'list', params: { pattern: 'a', words: ['b'], from: ['c'] } },
  { n: 3, method: 'follow', params: {} },
  { n: 4, method: 'sources', params: { what: 'a' } },
  { n: 5, method: 'get', params: { what: ['a'], to: '/x', overwrite: true, timeout: 1 } },
  { n: 6, method: 'status', params: {} },
  { hearsay: 'control', protocol: 1, program: '1', nonce: NONCE, proof: '' },
];

/** A message of the control protocol, spoilt in one of the ways. */
export function spoiltControl(chance: Chance): string {
  const entries = Object.entries(chance.one(REQUESTS)).map(([key, value]): [string, unknown] => {
    const inner = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!inner) return [key, spoilValues(value, chance, 0.2)];
    return [key, Object.fromEntries(Object.entries(value).map(([k, v]) => [k, spoilValues(v, chance, 0.2)]))];
  });
  if (chance.is(0.1)) entries.push([piece(chance), 1]);
  const json = jsonOf(Object.fromEntries(entries));
  return chance.is(0.2) ? spoilText(json, chance) : chance.is(0.02) ? '['.repeat(chance.below(100_000)) : json;
}

/** A control connection's bytes in any cut, then what the server does with each message. */
const control = target<{ stream: Uint8Array; cuts: number[] }>({
  name: 'control',
  weight: 2,
  make(chance) {
    const parts: Buffer[] = [];
    for (let n = chance.between(1, 4); n > 0; n--) {
      const body = Buffer.from(spoiltControl(chance));
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(chance.is(0.1) ? Math.abs(chance.int()) % 2 ** 32 : body.length);
      parts.push(prefix, chance.is(0.1) ? spoilBytes(body, chance) : body);
    }
    const stream = Buffer.concat(parts);
    return { stream, cuts: Array.from({ length: chance.length(20) }, () => chance.below(stream.length + 1)) };
  },
  run({ stream, cuts }, reach) {
    const socket = new Socket();
    let ends = 0;
    const channel: Channel = new Channel(socket, {
      onMessage(message) {
        reach.note('control frame', 'ok');
        holds(!channel.closed, 'a message after the close');
        reach.try('control hello', () => readHello(message, 'command'), 'bad-message', 'other-version');
        holds(!proves(message.proof, 'token', 'client', NONCE, NONCE), 'a proof by guessing');
        const read = clientMessage.safeParse(message);
        reach.note('control request', read.success ? ('method' in read.data ? read.data.method : 'ok') : 'refused');
        if (!read.success) holds(read.error.issues.length > 0, 'refused without saying why');
        expected(readError(message.error ?? message));
        holds(isCode(errorBody(message).code), 'no code');
      },
      onClose(error) {
        ends++;
        if (error) reach.note('control frame', `refused ${expected(error, 'bad-message')}`);
      },
    });
    let at = 0;
    for (const end of [...[...cuts].sort((a, b) => a - b), stream.length]) {
      socket.emit('data', Buffer.from(stream.subarray(at, end)));
      at = end;
    }
    holds(channel.limit === CONTROL_HELLO_MAX && ends <= 1, 'more than one end');
    socket.destroy();
  },
});

const joined = target<{ peers: number; rows: number }>({
  name: 'control rows',
  weight: 0.2,
  make: (chance) => ({ peers: chance.below(3500), rows: chance.between(1, 3) }),
  run({ peers, rows }, reach) {
    const row = {
      path: 'a',
      size: 1,
      mtime: 1,
      id: null,
      peers: Array.from({ length: peers }, (_, i) => ({ id: `${i}`, name: 'n' })),
    };
    const joiner = new Joiner<typeof row>();
    for (let n = 0; n < rows; n++) {
      const whole = [...pieces(row)].map((piece) => joiner.push({ ...piece, peers: [...piece.peers] }));
      holds(
        whole.at(-1)?.peers.length === peers && whole.slice(0, -1).every((r) => !r),
        'a row that was not put together',
      );
    }
    reach.note('control rows', 'ok');
  },
});

export const STORED: Target[] = [journal, settings, control, joined];
