/**
 * The part of README's protocol chapter that is made from the table of messages: run by itself it writes it there.
 *
 *   node dist/test/unit/protocol-page.js
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { unpack } from '../../lib/wire/codec.js';
import type { Field } from '../../lib/wire/field.js';
import { type Letter, TABLE } from '../../lib/wire/table.js';
import { GOLDEN } from './wire-messages.js';

export const README = fileURLToPath(new URL('../../../README.md', import.meta.url));
const BEGIN = '<!-- messages: made from lib/wire/table.ts -->';
const END = '<!-- end of messages -->';

const WAYS = { udp: 'UDP', tcp: 'TCP', both: 'both' };

/** An unpacked value in a short notation: bytes by their number. */
function show(value: unknown): string {
  if (value instanceof Uint8Array) return value.length === 0 ? '<>' : `<${value.length} bytes>`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  return typeof value === 'string' ? `'${value}'` : String(value);
}

function row(letter: Letter): string {
  const { name, over, doc, fields } = TABLE[letter];
  const list = (Object.entries(fields) as [string, Field<unknown>][]).map(([key, field]) => `\`${key}\` ${field.doc}`);
  const cells = [`\`${letter}\` ${name}`, WAYS[over], doc, list.join('; ')];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** The table of all messages, and one example of each. */
export function messages(): string {
  const letters = Object.keys(TABLE) as Letter[];
  const table = ['| message | over | says | fields, in this order |', '| --- | --- | --- | --- |', ...letters.map(row)];
  const examples = letters.map((letter) => show(unpack(Buffer.from(GOLDEN[letter][1], 'hex'), 10_000)));
  return `${BEGIN}\n\n${table.join('\n')}\n\nOne of each, unpacked:\n\n\`\`\`text\n${examples.join('\n')}\n\`\`\`\n\n${END}`;
}

/** README with that part as it should be. */
export function withMessages(readme: string): string {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md lacks ${BEGIN} or ${END}`);
  return readme.slice(0, begin) + messages() + readme.slice(end + END.length);
}

if (process.argv[1]?.endsWith('protocol-page.js')) writeFileSync(README, withMessages(readFileSync(README, 'utf8')));
