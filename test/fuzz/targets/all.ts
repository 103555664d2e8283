import type { Target } from '../target.js';
import { GOSSIP } from './gossip.js';
import { LINK } from './link.js';
import { SEAL } from './seal.js';
import { STORED } from './stored.js';
import { TRANSFER } from './transfer.js';
import { WIRE } from './wire.js';
import { WORDS } from './words.js';

/** Every target, by kind. */
export const TARGETS: readonly Target[] = [...WIRE, ...WORDS, ...STORED, ...SEAL, ...GOSSIP, ...TRANSFER, ...LINK];

export function targetNamed(name: string): Target | undefined {
  return TARGETS.find((target) => target.name === name);
}
