/**
 * The one table of messages: letter, fields in their order on the wire, size limit, and where each may travel.
 * Letters are never reused. Every message is a MessagePack array whose first element is the letter.
 */
import {
  ADDRESSES_MAX,
  BLOCK,
  BUCKETS,
  CHUNKS_MAX,
  COUNTER_MAX,
  DATAGRAM_MESSAGE_MAX,
  DATAGRAM_PLAIN_MAX,
  DIGEST_MAX,
  FRAME_MAX,
  MANIFEST_PAGE,
  NEIGHBOURS_MAX,
  OFFERS_PER_PAGE,
  PARCEL_ITEMS_MAX,
  PEERS_MAX,
  PROMISED_MAX,
  SEGMENT_MAX,
  SMALL_BATCH_MAX,
  SWARM_TOLD_MAX,
  TRACKERS_TOLD_MAX,
} from '../limits.js';
import {
  bool,
  bytes,
  contentId,
  type Fields,
  int,
  list,
  offer,
  path,
  payload,
  peer,
  peerOrAll,
  text,
  tuple,
  type Values,
} from './field.js';

/** The version of the protocol. Peers of different versions tell each other so and part. */
export const PROTOCOL = 1;

/** The second element of every datagram: whose it is, and of which version. */
export const MAGIC = 'hearsay1';

/** Hash of a bucket of offers, bytes kept of it. */
export const BUCKET_HASH = 16;

const magic = {
  doc: `the word "${MAGIC}"`,
  read: (v: unknown) => (v === MAGIC ? MAGIC : undefined),
  write: () => MAGIC,
};
const head = bytes('the head: who I am and what I have, packed (see below)', 1, 512);
const sig = bytes('Ed25519 signature of the head by its writer', 64, 64);
const number = int('number of the request, chosen by its sender', 0, 2 ** 32 - 1);
const rank = (doc: string) => int(doc, 0, 2 ** 32 - 1);
const neighbour = tuple('[head, signature, addresses]', {
  head,
  sig,
  addresses: list('where it was seen, "ip:port" of its TCP listener', text('an address', 64), 16),
});

interface Entry {
  /** A word for the type, for the trace and the documentation. */
  readonly name: string;
  readonly over: 'udp' | 'tcp' | 'both';
  /** Bytes of the whole packed message at most. */
  readonly max: number;
  /** MessagePack items in it at most. */
  readonly items: number;
  readonly doc: string;
  readonly fields: Fields;
}

const entry = <const E extends Entry>(e: E): E => e;

export const TABLE = {
  O: entry({
    name: 'offer',
    over: 'both',
    max: DATAGRAM_MESSAGE_MAX,
    items: 600,
    doc: 'Heartbeat (no offers) or change (the offers that lead from version `from` to the head’s).',
    fields: {
      magic,
      head,
      sig,
      from: int('the version that the offers follow on'),
      offers: list('changes', offer, 64),
    },
  }),
  Q: entry({
    name: 'query',
    over: 'udp',
    max: DATAGRAM_MESSAGE_MAX,
    items: 8,
    doc: 'Who is there? The answer is an offer whose head repeats the nonce; the padding makes the question no smaller.',
    fields: {
      magic,
      from: peer('who asks'),
      to: peerOrAll('who is asked; "" for everyone'),
      nonce: bytes('fresh random bytes', 16, 16),
      pad: bytes('zeros', 0, 1000),
    },
  }),
  L: entry({
    name: 'leave',
    over: 'both',
    max: 256,
    items: 8,
    doc: 'Goodbye.',
    fields: { magic, id: peer('who leaves'), epoch: int('in which epoch'), sig },
  }),
  x: entry({
    name: 'missing',
    over: 'udp',
    max: 256,
    items: 8,
    doc: 'This peer has fallen silent, and answers me no more. Who has heard it since takes no notice; it may speak up itself.',
    fields: {
      magic,
      id: peer('who is missed'),
      epoch: int('its epoch, as I know it', 1, COUNTER_MAX),
      beat: int('the beat of the last of its heartbeats that I heard', 0, COUNTER_MAX),
      from: peer('who says so'),
      sig: bytes('Ed25519 signature by who says so', 64, 64),
    },
  }),
  C: entry({
    name: 'call',
    over: 'udp',
    max: 256,
    items: 8,
    doc: 'Please dial me: for one who cannot be asked to answer. A hint; the one who is called decides.',
    fields: { magic, from: peer('who calls'), to: peer('who is called'), port: int('TCP port to dial', 1, 65535) },
  }),
  H: entry({
    name: 'hello',
    over: 'tcp',
    max: 1024,
    items: 8,
    doc: 'First message of both sides of a connection, under TLS.',
    fields: {
      protocol: int('version of the protocol'),
      head,
      sig,
      instance: bytes('random bytes of this process: two of one key are told apart by it', 8, 8),
      probe: bool('whether this is only to see who answers here, and ends after the proof'),
    },
  }),
  V: entry({
    name: 'verify',
    over: 'tcp',
    max: 256,
    items: 4,
    doc: 'Second message of both: proof of the key, for this connection alone.',
    fields: { sig: bytes('signature over both ids and the exporter of TLS', 64, 64) },
  }),
  N: entry({
    name: 'neighbours',
    over: 'tcp',
    max: FRAME_MAX,
    items: NEIGHBOURS_MAX * 24 + 8,
    doc: 'Other peers that I know of, in their own signed words. A hint: each has to answer for itself.',
    fields: { peers: list('neighbours', neighbour, NEIGHBOURS_MAX) },
  }),
  j: entry({
    name: 'roll call',
    over: 'tcp',
    max: 4 * PEERS_MAX + 64,
    items: 4,
    doc: 'Whom I know to be here: tell me of some that I do not.',
    fields: { marks: bytes('the first four bytes of the key of each', 0, 4 * PEERS_MAX) },
  }),
  P: entry({
    name: 'pull',
    over: 'tcp',
    max: BUCKETS * BUCKET_HASH + 256,
    items: 8,
    doc: 'Send me what I lack of a writer’s offers.',
    fields: {
      number,
      writer: peer('whose offers'),
      epoch: int('the epoch that I know, 0 for none'),
      version: int('the version that I know'),
      buckets: bytes(`my ${BUCKETS} bucket hashes of ${BUCKET_HASH} bytes, or none`, 0, BUCKETS * BUCKET_HASH),
    },
  }),
  D: entry({
    name: 'delta',
    over: 'tcp',
    max: FRAME_MAX,
    items: OFFERS_PER_PAGE * 7 + 16,
    doc: 'A page of the answer to a pull. The last page has the head that the result must fit.',
    fields: {
      number,
      replaced: bytes('bit set of the buckets that this answer replaces whole, or none', 0, BUCKETS / 8),
      offers: list('offers in the order of their versions', offer, OFFERS_PER_PAGE),
      last: bool('whether this is the last page'),
      head: bytes('the head, on the last page', 0, 512),
      sig: bytes('its signature', 0, 64),
    },
  }),
  b: entry({
    name: 'digest',
    over: 'tcp',
    max: DIGEST_MAX * 56 + 64,
    items: DIGEST_MAX * 5 + 8,
    doc: 'What I know of these writers: send me what you know that is newer, of each that you have, then an end.',
    fields: {
      number,
      known: list(
        'writers',
        tuple('[writer, epoch, version, least]', {
          writer: peer('whose offers'),
          epoch: int('its newest epoch that I heard of'),
          version: int('the version of it that I have, 0 for none'),
          least: int('an older version than this is of no use to me'),
        }),
        DIGEST_MAX,
      ),
    },
  }),
  r: entry({
    name: 'newer',
    over: 'tcp',
    max: FRAME_MAX,
    items: OFFERS_PER_PAGE * 7 + 16,
    doc: 'All that is newer of one writer of a digest, where one page holds it. No head: there is more, to be pulled from me.',
    fields: {
      number,
      writer: peer('whose offers'),
      replaced: bytes('bit set of the buckets that this replaces whole, or none', 0, BUCKETS / 8),
      offers: list('offers in the order of their versions', offer, OFFERS_PER_PAGE),
      head: bytes('the head that the result must fit, or none', 0, 512),
      sig: bytes('its signature', 0, 64),
    },
  }),
  F: entry({
    name: 'find',
    over: 'tcp',
    max: 8192,
    items: 8,
    doc: 'Which of your own offers fit this?',
    fields: {
      number,
      kind: int(
        '0 all, 1 WHAT as `get` takes it, 2 pattern, 3 words, 4 WHAT, answered once hashed, ' +
          '5 what is in a parcel that you offered me, 6 the same, answered once hashed',
        0,
        6,
      ),
      text: text('the WHAT, pattern, words or parcel', 4200),
    },
  }),
  I: entry({
    name: 'items',
    over: 'tcp',
    max: FRAME_MAX,
    items: OFFERS_PER_PAGE * 7 + 8,
    doc: 'A page of the answer to a find.',
    fields: {
      number,
      offers: list('what fits', offer, OFFERS_PER_PAGE),
      last: bool('whether this is the last page'),
      aside: bool('whether these are for some only, the asker among them'),
    },
  }),
  Y: entry({
    name: 'aside',
    over: 'tcp',
    max: FRAME_MAX,
    items: OFFERS_PER_PAGE * 7 + 8,
    doc: 'Offers of mine that are for some only, you among them; sent unasked. What was told aside before stays, but for a reset.',
    fields: {
      reset: bool('whether this page begins the whole anew'),
      offers: list('offers in the order of their versions', offer, OFFERS_PER_PAGE),
      last: bool('whether what began with a reset is whole now'),
    },
  }),
  G: entry({
    name: 'get',
    over: 'tcp',
    max: 8192,
    items: 8,
    doc: 'I want this file: begins a transfer. Asked for by content id, or by path while it has none.',
    fields: {
      number,
      id: contentId('content id, or none'),
      path: path('the path under which it is offered'),
      first: int('first chunk whose hash is wanted', 0, 2 ** 31),
    },
  }),
  M: entry({
    name: 'manifest',
    over: 'tcp',
    max: MANIFEST_PAGE * 32 + 1024,
    items: 16,
    doc: 'What the file is, and a page of its chunk hashes (none while it is not hashed).',
    fields: {
      number,
      id: contentId('content id, or none yet'),
      size: int('bytes'),
      mtime: int('modification time, ms', Number.MIN_SAFE_INTEGER),
      executable: bool('whether it may be run'),
      chunk: int('chunk size, bytes'),
      first: rank('the first chunk in this page'),
      hashes: bytes('BLAKE3 of each chunk, 32 bytes each', 0, MANIFEST_PAGE * 32),
      have: bytes('bit set of the chunks that I have; none means all', 0, 1 << 17),
    },
  }),
  R: entry({
    name: 'request',
    over: 'tcp',
    max: 64,
    items: 8,
    doc: 'Send these blocks. A count of 0 says that nothing more is wanted, and asks for the end.',
    fields: {
      number,
      block: rank('first block, counted through the file'),
      count: rank('how many'),
    },
  }),
  T: entry({
    name: 'transfer',
    over: 'tcp',
    max: BLOCK + 256,
    items: 8,
    doc: 'One block. While the file has no id, the last block of a chunk brings the chunk’s hash.',
    fields: {
      number,
      block: rank('which block'),
      hash: bytes('BLAKE3 of the chunk that ends here, or none', 0, 32),
      data: payload('the bytes', BLOCK),
    },
  }),
  A: entry({
    name: 'ack',
    over: 'tcp',
    max: 4096,
    items: 600,
    doc: 'These have arrived: blocks of a file, or files of a bundle. None says that the whole has arrived and fits.',
    fields: { number, done: list('numbers of blocks, or places in the request', rank('a number'), 512) },
  }),
  B: entry({
    name: 'bad',
    over: 'tcp',
    max: 64,
    items: 6,
    doc: 'This chunk did not fit its hash: look again.',
    fields: { number, chunk: rank('which chunk') },
  }),
  E: entry({
    name: 'end',
    over: 'tcp',
    max: 1024,
    items: 8,
    doc: 'The end of a request: code "" and the whole content’s id, or an error’s code.',
    fields: {
      number,
      code: text('"" or a code', 32),
      id: contentId('content id of the whole'),
      message: text('for a person', 512),
    },
  }),
  X: entry({
    name: 'cancel',
    over: 'tcp',
    max: 64,
    items: 4,
    doc: 'I want no more of this request.',
    fields: { number },
  }),
  S: entry({
    name: 'small',
    over: 'tcp',
    max: FRAME_MAX,
    items: SMALL_BATCH_MAX * 3 + 8,
    doc: 'Send these small files whole, as many to a frame as fit.',
    fields: {
      number,
      files: list(
        'what is wanted',
        tuple('[content id, path]', { id: contentId('content id, or none'), path: path('the path') }),
        SMALL_BATCH_MAX,
      ),
    },
  }),
  U: entry({
    name: 'bundle',
    over: 'tcp',
    max: FRAME_MAX,
    items: SMALL_BATCH_MAX * 7 + 8,
    doc: 'Small files, or why not; the bytes of all, one after another.',
    fields: {
      number,
      files: list(
        'files',
        tuple('[place, code, id, size, mtime, executable]', {
          place: int('place in the request', 0, SMALL_BATCH_MAX - 1),
          code: text('"" or the code of why not', 32),
          id: contentId('content id'),
          size: int('bytes', 0, BLOCK),
          mtime: int('modification time, ms', Number.MIN_SAFE_INTEGER),
          executable: bool('whether it may be run'),
        }),
        SMALL_BATCH_MAX,
      ),
      data: payload('the bytes', FRAME_MAX),
    },
  }),
  K: entry({
    name: 'have',
    over: 'tcp',
    max: 4096,
    items: 600,
    doc: 'I have these chunks now as well, of the file of this request; sent by the side that was asked for it. None: what was asked for comes, and a limit on what I send holds it up.',
    fields: { number, chunks: list('chunks', rank('a chunk'), 512) },
  }),
  g: entry({
    name: 'guide',
    over: 'tcp',
    max: 1024,
    items: PROMISED_MAX + 8,
    doc: 'Where several receive the file of this request of me: these chunks you get of me, and the others of those who get them. Free: ask for what you like.',
    fields: { number, chunks: list('chunks', rank('a chunk'), PROMISED_MAX), free: bool('whether this is over') },
  }),
  s: entry({
    name: 'spare',
    over: 'tcp',
    max: 1024,
    items: PROMISED_MAX + 8,
    doc: 'Of the chunks that you guided me to I do not need these of you.',
    fields: { number, chunks: list('chunks', rank('a chunk'), PROMISED_MAX) },
  }),
  W: entry({
    name: 'who',
    over: 'tcp',
    max: SWARM_TOLD_MAX * 1600 + 256,
    items: SWARM_TOLD_MAX * 24 + 8,
    doc: 'Who else is receiving the file of this request, and so has chunks of it.',
    fields: { number, peers: list('receivers', neighbour, SWARM_TOLD_MAX) },
  }),
  J: entry({
    name: 'join',
    over: 'tcp',
    max: 2048,
    items: 32,
    doc: 'To a tracker: register me, or renew my lease. The head of the hello, or the newest offer, says what I have.',
    fields: {
      number,
      addresses: list('where I listen, as far as I know, "ip:port"', text('an address', 64), ADDRESSES_MAX),
    },
  }),
  Z: entry({
    name: 'joined',
    over: 'tcp',
    max: TRACKERS_TOLD_MAX * 1600 + 2048,
    items: TRACKERS_TOLD_MAX * 24 + 40,
    doc: 'You are registered. An error is an `E`: `id-taken`, `address-taken`, `limit`.',
    fields: {
      number,
      seen: text('the address that I see you come from, with the port of your head', 64),
      reachable: list('where I could connect back to you', text('an address', 64), ADDRESSES_MAX),
      lease: int('ms for which you stay registered without a word from you', 1, 3_600_000),
      peers: int('peers registered'),
      offers: int('offers registered'),
      trackers: list('others that serve the same registry', neighbour, TRACKERS_TOLD_MAX),
    },
  }),
  l: entry({
    name: 'lookup',
    over: 'tcp',
    max: 8192,
    items: 8,
    doc: 'To a tracker: what is registered that fits this?',
    fields: {
      number,
      kind: int(
        '0 all, 1 WHAT as `get` takes it, 2 pattern, 3 words, 5 who holds a content id, 6 peers, 7 a peer by id or name, ' +
          '8 who would pass on what a peer that I cannot reach has',
        0,
        8,
      ),
      text: text('the WHAT, pattern, words, id or name', 4200),
      follow: bool('whether changes are to be told after the answer'),
    },
  }),
  f: entry({
    name: 'found',
    over: 'tcp',
    max: FRAME_MAX,
    items: OFFERS_PER_PAGE * 9 + NEIGHBOURS_MAX * 24 + 64,
    doc: 'A page of the answer to a lookup, or changes of it. Hints: what a peer says itself counts more.',
    fields: {
      number,
      reset: bool('whether what was told before this page is void'),
      peers: list('peers, with the addresses where the tracker could reach them', neighbour, NEIGHBOURS_MAX),
      offers: list(
        'offers by their writers',
        tuple('[peer, offers]', { peer: peer('the writer'), offers: list('offers', offer, OFFERS_PER_PAGE) }),
        OFFERS_PER_PAGE,
      ),
      have: list(
        'who holds parts of a content that it does not offer',
        tuple('[peer, content id, chunks, bits]', {
          peer: peer('who'),
          id: contentId('content id'),
          chunks: int('how many chunks there are', 0, CHUNKS_MAX),
          bits: bytes('bit set of those that it has', 0, CHUNKS_MAX / 8),
        }),
        NEIGHBOURS_MAX,
      ),
      gone: list('peers that are registered no more', peer('who'), NEIGHBOURS_MAX),
      last: bool('whether the answer is whole with this page'),
    },
  }),
  h: entry({
    name: 'hold',
    over: 'tcp',
    max: 8192,
    items: 8,
    doc: 'To a tracker: I am receiving this content, and have these chunks of it to give.',
    fields: {
      id: contentId('content id'),
      chunks: int('how many chunks there are', 0, CHUNKS_MAX),
      at: int('first byte of this stretch of the bit set', 0, CHUNKS_MAX / 8),
      bits: bytes('this stretch; none says that I give none of it any more', 0, 4096),
    },
  }),
  c: entry({
    name: 'summon',
    over: 'tcp',
    max: 4096,
    items: 32,
    doc: 'To a tracker: ask that peer to dial me. From a tracker: this one asks you to dial it.',
    fields: {
      number,
      peer: peer('who is to dial'),
      from: neighbour,
    },
  }),
  p: entry({
    name: 'ping',
    over: 'tcp',
    max: 32,
    items: 4,
    doc: 'Are you there? Answered at once with the same number.',
    fields: { number, answer: bool('whether this is the answer') },
  }),
  t: entry({
    name: 'tunnel',
    over: 'tcp',
    max: 128,
    items: 8,
    doc: 'Pass bytes on between me and another peer; to that one: between you and the one who asks. Within, the two speak TLS with each other.',
    fields: { number, from: peer('who asks'), to: peer('with whom') },
  }),
  d: entry({
    name: 'data',
    over: 'tcp',
    max: BLOCK + 64,
    items: 6,
    doc: 'Bytes through a tunnel.',
    fields: {
      number,
      opener: bool('whether the sender of this message opened the tunnel on this connection'),
      data: payload('the bytes', BLOCK),
    },
  }),
  w: entry({
    name: 'window',
    over: 'tcp',
    max: 64,
    items: 6,
    doc: 'The tunnel is open, and so many bytes more may be sent through it.',
    fields: {
      number,
      opener: bool('whether the sender of this message opened the tunnel on this connection'),
      bytes: int('bytes', 0, 2 ** 32 - 1),
    },
  }),
  e: entry({
    name: 'tunnel end',
    over: 'tcp',
    max: 128,
    items: 6,
    doc: 'The tunnel ends, or was not opened.',
    fields: {
      number,
      opener: bool('whether the sender of this message opened the tunnel on this connection'),
      code: text('"" or a code', 32),
    },
  }),
  i: entry({
    name: 'invite',
    over: 'tcp',
    max: PARCEL_ITEMS_MAX * (SEGMENT_MAX + 64) + 256,
    items: PARCEL_ITEMS_MAX * 6 + 8,
    doc: 'I want to send you this. Taken back by a cancel. What is in it is found by its parcel, and fetched as any file is.',
    fields: {
      number,
      parcel: text('what the parcel is called, the same whenever it is offered again', 64),
      items: list(
        'files and folders; item N is at the path PARCEL.N',
        tuple('[name, folder, files, bytes, content id]', {
          name: text('what it is called', SEGMENT_MAX),
          folder: bool('whether it is a folder'),
          files: int('how many files', 0, COUNTER_MAX),
          bytes: int('how many bytes', 0, COUNTER_MAX),
          id: contentId('content id of one file, or none'),
        }),
        PARCEL_ITEMS_MAX,
      ),
    },
  }),
  v: entry({
    name: 'verdict',
    over: 'tcp',
    max: 1024,
    items: 8,
    doc: 'What becomes of what you want to send: said whenever it changes.',
    fields: {
      number,
      state: int('0 a person is asked, 1 accepted, 2 so much is here, 3 all is here, 4 not taken, or given up', 0, 4),
      bytes: int('bytes that are here'),
      code: text('"" or the code of why not', 32),
      message: text('for a person', 512),
    },
  }),
  m: entry({
    name: 'members',
    over: 'tcp',
    max: SWARM_TOLD_MAX * 1600 + 256,
    items: SWARM_TOLD_MAX * 24 + 8,
    doc: 'Others who receive what I am sending you, beside those told before: give them what you have of it, and ask them.',
    fields: { number, peers: list('receivers', neighbour, SWARM_TOLD_MAX) },
  }),
  u: entry({
    name: 'broadcast',
    over: 'udp',
    max: DATAGRAM_PLAIN_MAX,
    items: 8,
    doc: 'A message to everyone that was sent to the broadcast address of an IPv4 network, for those whom multicast does not reach.',
    fields: {
      magic,
      deaf: bool('whether the sender hears somebody here by broadcast alone, and asks to be told so too'),
      message: bytes('the message, packed', 1, DATAGRAM_MESSAGE_MAX),
    },
  }),
};

export type Letter = keyof typeof TABLE;
/** A message of one type: its letter and its fields by name. */
export type MessageOf<L extends Letter> = { type: L } & Omit<Values<(typeof TABLE)[L]['fields']>, 'magic'>;
/** Any message. */
export type Message = { [L in Letter]: MessageOf<L> }[Letter];
/** A peer as another tells of it: its own signed head, and where it was seen. */
export type Neighbour = MessageOf<'N'>['peers'][number];

export function isLetter(text: string): text is Letter {
  return Object.hasOwn(TABLE, text);
}
