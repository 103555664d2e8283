/**
 * The secret of a private group: read, judged, made, and turned into the group's master key.
 *
 * A secret is compared by its NFC form without surrounding white space, so that it is the same wherever it was typed.
 */
import { createHash, createHmac, hkdfSync, randomInt, scrypt } from 'node:crypto';
import { open } from 'node:fs/promises';
import { type Code, HearsayError, reasonOf } from '../errors.js';
import { SECRET_FILE_MAX, SECRET_MAX } from '../limits.js';
import { printable } from '../names.js';

/** A secret as it was given, and what its owner should know of where it stands. */
export interface GivenSecret {
  text: string;
  warnings: string[];
}

/**
 * A secret in the form that counts: white space around it off, NFC; one that we made, as we made it.
 * @param fault makes the error from what is wrong
 */
export function cleanSecret(text: string, fault: (what: string) => HearsayError): string {
  const secret = asMade(text.trim().normalize('NFC'));
  if (secret === '') throw fault('the secret is empty');
  if (/[\r\n]/.test(secret)) throw fault('the secret is one line, and this is several');
  if (Buffer.byteLength(secret) > SECRET_MAX) throw fault(`the secret is longer than ${SECRET_MAX} bytes`);
  return secret;
}

/** UTF-8, or UTF-16 as Windows PowerShell writes it. */
function textOf(data: Uint8Array): string | undefined {
  const wide = data[0] === 0xff && data[1] === 0xfe;
  try {
    return new TextDecoder(wide ? 'utf-16le' : 'utf-8', { fatal: true }).decode(data);
  } catch {
    return undefined;
  }
}

/** The file's beginning: a pipe gives it in parts. */
async function beginning(file: string): Promise<{ data: Buffer; exposed: boolean }> {
  const handle = await open(file, 'r');
  try {
    const stats = await handle.stat();
    const data = Buffer.alloc(SECRET_FILE_MAX + 1);
    let length = 0;
    while (length < data.length) {
      const { bytesRead } = await handle.read(data, length, data.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const exposed = process.platform !== 'win32' && stats.isFile() && (stats.mode & 0o077) !== 0;
    return { data: data.subarray(0, length), exposed };
  } finally {
    await handle.close();
  }
}

/**
 * Reads a secret file: its first line is the secret.
 * @param file absolute
 * @param code of the error where there is no secret in it
 * @param where names the setting in that error
 */
export async function readSecretFile(file: string, code: Code, where: string): Promise<GivenSecret> {
  const shown = printable(file);
  const fault = (what: string, cause?: unknown) => new HearsayError(code, `${where}: ${shown}: ${what}`, { cause });
  let read: Awaited<ReturnType<typeof beginning>>;
  try {
    read = await beginning(file);
  } catch (thrown) {
    throw fault(`it cannot be read: ${reasonOf(thrown)}`, thrown);
  }
  if (read.data.length > SECRET_FILE_MAX) {
    throw fault(`it is longer than ${SECRET_FILE_MAX} bytes, so hardly a file with a secret`);
  }
  const text = textOf(read.data);
  if (text === undefined) throw fault('it is not text in UTF-8');
  const secret = cleanSecret(text.split(/\r\n|\r|\n/, 1)[0], fault);
  const warning = `other users of this machine can read the secret in ${shown}: chmod 600 it`;
  return { text: secret, warnings: read.exposed ? [warning] : [] };
}

/** Below so many bits a secret is called weak. */
export const WEAK_BITS = 64;

/** Bits of one word: a word of Diceware's list of 7,776 has 12.9. */
const WORD_BITS = 13;
/** Letters of a word: a longer run is taken for several. */
const WORD_LETTERS = 6;
/** Bits that one different character adds at most: a secret of few different ones repeats itself. */
const DISTINCT_BITS = 8;
/** What fingers and children run along. */
const ROWS = 'abcdefghijklmnopqrstuvwxyz 01234567890 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop';

/**
 * About how many bits a guesser has to try for a secret: the lower of two guesses, that its characters are random and that
 * it is made of words. A rough estimate that would rather warn of a good secret than praise a bad one:
 * - random characters count log2 of their kind (26 letters, 52 where both cases occur, 10 digits, 33 others), 1 bit where
 *   they follow the one before as on a keyboard or in the alphabet, or repeat it, and nothing where one that is no letter
 *   or digit, a separator, comes again;
 * - three letters or more without four consonants in a row are a word: 13 bits for every six letters; of other
 *   alphabets all are;
 * - what was there before counts 1 bit.
 */
export function secretBits(secret: string): number {
  const plain = secret.normalize('NFKD').replace(/\p{M}/gu, '');
  const letterBits = Math.log2(/\p{Lu}/u.test(plain) && /\p{Ll}/u.test(plain) ? 52 : 26);
  const seen = new Set<string>();
  let bits = 0;
  for (const [part] of plain.matchAll(/\p{Lu}?[^\P{L}\p{Lu}]+|\p{Lu}+|\p{N}+|[^\p{L}\p{N}]/gu)) {
    const key = part.toLowerCase();
    const letters = /^\p{L}/u.test(part);
    if (seen.has(key)) bits += letters || /^\p{N}/u.test(part) ? 1 : 0;
    else bits += Math.min(randomBits(key, letterBits), letters ? wordBits(key) : Number.POSITIVE_INFINITY);
    seen.add(key);
  }
  return Math.min(bits, DISTINCT_BITS * new Set(plain).size);
}

function randomBits(part: string, letterBits: number): number {
  let bits = 0;
  let before = '';
  for (const char of part) {
    const follows = char === before || (before !== '' && inRow(before, char));
    const own = /\p{L}/u.test(char) ? letterBits : Math.log2(/\p{N}/u.test(char) ? 10 : 33);
    bits += follows ? 1 : own;
    before = char;
  }
  return bits;
}

function inRow(a: string, b: string): boolean {
  return ROWS.includes(a + b) || ROWS.includes(b + a);
}

function wordBits(part: string): number {
  const { length } = [...part];
  if (length < 3 || /[bcdfghjklmnpqrstvwxz]{4}/.test(part)) return Number.POSITIVE_INFINITY;
  return WORD_BITS * Math.max(1, length / WORD_LETTERS);
}

/** What a person should know of a secret that can be guessed, or undefined. */
export function weakness(secret: string): string | undefined {
  const bits = secretBits(secret);
  if (bits >= WEAK_BITS) return undefined;
  return (
    `the secret is weak (about ${Math.floor(bits)} bits): who captures one packet can try to guess it ` +
    'without anyone noticing; `hearsay secret new` makes a strong one'
  );
}

/** Neither vowels, which make words, nor what looks alike in print: 0 o, 1 i l, 2 z, 5 s, 8 b, 9 g. */
const ALPHABET = 'cdfhjkmnpqrtvwxy23456789';
const GROUPS = 7;
const GROUP = 4;

const MADE = new RegExp(`^[${ALPHABET}]{${GROUPS * GROUP}}$`);

/** One that newSecret made, as it made it, although it was typed in capitals, or with other or no dashes; else the text itself. */
function asMade(text: string): string {
  const plain = text.replace(/[\s-]/g, '').toLowerCase();
  return MADE.test(plain) ? plain.replace(/.{4}(?=.)/g, '$&-') : text;
}

/**
 * A new secret: 7 groups of 4 characters out of 24, 128 bits.
 * @param pick a random whole number from 0 to below its argument
 */
export function newSecret(pick: (below: number) => number = randomInt): string {
  const group = () => Array.from({ length: GROUP }, () => ALPHABET[pick(ALPHABET.length)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

/** scrypt (RFC 7914): 128 MiB and a third of a second for one guess. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 192 * 2 ** 20 };
/** The same for all groups: two members need nothing but the secret to come to the same key. */
const SALT = 'hearsay group secret 1';
const MASTER_BYTES = 32;

/** Of this process, by the hash of the secret: several peers of one group in one program derive once. */
const derived = new Map<string, Promise<Buffer>>();
const DERIVED_MAX = 8;

/** The master key of a secret's group, 32 bytes; costs a third of a second and 128 MiB, off the main thread. */
export function deriveMaster(secret: string): Promise<Buffer> {
  const key = createHash('sha256').update(secret).digest('hex');
  let master = derived.get(key);
  if (!master) {
    master = new Promise((resolve, reject) => {
      scrypt(secret, SALT, MASTER_BYTES, SCRYPT, (error, made) => (error ? reject(error) : resolve(made)));
    });
    master.catch(() => derived.delete(key));
    if (derived.size >= DERIVED_MAX) derived.delete(derived.keys().next().value as string);
    derived.set(key, master);
  }
  return master;
}

/**
 * Tells whether a kept master key is that of a secret, without deriving it. Of use only beside the private key, whose
 * holder has the master key as well.
 * @param privateKey PEM, of the identity
 */
export function secretCheck(privateKey: string, secret: string): string {
  const key = Buffer.from(hkdfSync('sha256', privateKey, 'hearsay group check 1', '', 32));
  return createHmac('sha256', key).update(secret).digest('base64');
}
