/**
 * Connecting to those who are not reached, to see what is in the way. Owns nothing. Always true: a few addresses of each are
 * tried, all at once, and hung up again. Called by the doctor.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Card, isOnLink } from '../net/interfaces.js';
import { knock } from '../net/knock.js';
import { parseEndpoint } from '../net/transport.js';
import type { Knock } from './doctor-facts.js';
import { neighbours } from './doctor-system.js';

/** Above the 3 s after which Linux gives up on a card that does not answer. */
const KNOCK_MS = 3500;
/** Looking a name up. */
const LOOKUP_MS = 2000;

/** By what the caller calls them. */
export type Knocked = Map<string, Knock>;

/**
 * @param targets `addresses`: "host:port", the most likely first, of which the first is tried, one in the network of a card
 *   before the others
 * @returns of those who have an address
 */
export async function knockAll(
  targets: readonly { key: string; addresses: readonly string[] }[],
  cards: readonly Card[],
): Promise<Knocked> {
  const all: Knocked = new Map();
  await Promise.all(
    targets.map(async ({ key, addresses }) => {
      const endpoints = addresses.flatMap((address) => parseEndpoint(address) ?? []);
      const near = endpoints.find(({ host }) => cards.some((card) => isOnLink(card, host)));
      const to = near ?? endpoints[0];
      const host = to && (await addressOf(to.host));
      if (host === undefined) return;
      const code = await knock({ host, port: to.port }, KNOCK_MS);
      const card = cards.find((one) => !one.internal && isOnLink(one, host));
      const around = [...(await neighbours())].filter(([address]) => card && isOnLink(card, address));
      const others = around.some(([address, answers]) => address !== host && answers);
      all.set(key, { port: to.port, code, card: card?.name, answers: new Map(around).get(host), others });
    }),
  );
  return all;
}

/** The address of a host that was named; undefined where it has none, or nobody says so in time. */
async function addressOf(host: string): Promise<string | undefined> {
  if (isIP(host.split('%')[0]) !== 0) return host;
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), LOOKUP_MS).unref());
  const found = lookup(host).then(
    ({ address }) => address,
    () => undefined,
  );
  return Promise.race([found, late]);
}
