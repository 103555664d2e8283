/**
 * A program for the lab: connects to ADDRESS PORT as the peer ID, with a key of its own, asks to be registered, and prints
 * what comes of it: `refused CODE` or `registered`.
 */
import { randomBytes } from 'node:crypto';
import { openGroup } from '../../lib/net/group-keys.js';
import { identityOf, newPrivateKey } from '../../lib/net/keys.js';
import { Links } from '../../lib/net/links.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { headStatement, packHead } from '../../lib/wire/head.js';

const [host, port, id] = process.argv.slice(2);
const own = identityOf(newPrivateKey(), Date.now());
const head = packHead({
  id,
  key: own.key,
  name: 'thief',
  port: 1,
  flags: 0,
  epoch: 1,
  version: 0,
  files: 0,
  bytes: 0,
  count: 0,
  floor: 0,
  beat: 0,
  root: new Uint8Array(32),
  echo: new Uint8Array(0),
});
const links = new Links(
  {
    identity: { ...own, id },
    instance: randomBytes(8),
    hello: () => ({ head, sig: own.sign(headStatement(head)) }),
  },
  tlsTransport(openGroup()),
  {
    opened: (link) => link.send({ type: 'J', number: 1, addresses: [] }),
    message: (_link, message) => {
      if (message.type === 'Z') console.log('registered');
      if (message.type === 'E') console.log(`refused ${message.code}`);
    },
    heard: () => {},
    closed: (_link, why) => console.log(`refused ${why.code}`),
  },
);
await links.dial({ host, port: Number(port) }).catch((why) => console.log(`refused ${why.code}`));
