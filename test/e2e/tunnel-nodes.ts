/** Peers that do nothing but connect and pass on: what the tests of tunnels have in common. */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Limiter } from '../../lib/drive/limiter.js';
import { Tunnels } from '../../lib/drive/tunnels.js';
import { HearsayError } from '../../lib/errors.js';
import { openGroup } from '../../lib/net/group-keys.js';
import type { Link } from '../../lib/net/link.js';
import { Links } from '../../lib/net/links.js';
import { tlsTransport } from '../../lib/net/transport.js';
import type { Message } from '../../lib/wire/table.js';
import { until } from './lan.js';
import { RawPeer } from './raw.js';

export interface Node {
  id: string;
  links: Links;
  tunnels: Tunnels;
  /** On what it passes on. */
  limiter: Limiter;
  opened: Link[];
  /** Why links ended. */
  ended: HearsayError[];
  /** Told of each message that belongs to no tunnel. */
  onMessage: (link: Link, message: Message) => void;
  onOpened: (link: Link) => void;
  /** Sees each message that comes, before it is handled. */
  seen: (message: Message) => void;
  port: number;
}

/**
 * @param relays whether it passes on
 * @param flags of its head
 */
export async function node(t: ExecutionContext, name: string, relays = false, flags = 0): Promise<Node> {
  const raw = new RawPeer(t, name, false);
  const made = {
    id: raw.id,
    limiter: new Limiter(),
    opened: [],
    ended: [],
    onMessage: () => {},
    seen: () => {},
    onOpened: () => {},
    port: 0,
  } as unknown as Node;
  made.links = new Links(
    { identity: raw.identity, instance: randomBytes(8), hello: () => raw.head({ flags }) },
    tlsTransport(openGroup()),
    {
      opened: (link) => {
        made.opened.push(link);
        made.onOpened(link);
      },
      message: (link, message) => {
        made.seen(message);
        const { type } = message;
        if (type === 't' || type === 'd' || type === 'w' || type === 'e') made.tunnels.handle(link, message);
        else made.onMessage(link, message);
      },
      heard: () => {},
      closed: (link, why) => {
        made.ended.push(why);
        made.tunnels.linkClosed(link);
      },
    },
  );
  made.tunnels = new Tunnels({
    id: raw.id,
    links: made.links,
    relays,
    limiter: made.limiter,
    connect: async (peer) => {
      const link = made.links.get(peer);
      if (!link) throw new HearsayError('unreachable', 'it is not here');
      return link;
    },
  });
  made.port = await made.links.listen(0, 0);
  t.teardown(async () => {
    made.tunnels.stop();
    await made.links.close();
  });
  return made;
}

/** The link of one to another. */
export async function dial(from: Node, to: Node): Promise<Link> {
  const link = await from.links.dial({ host: '127.0.0.1', port: to.port }, to.id);
  await until(() => to.links.get(from.id), 'the other side has it too');
  return link;
}
