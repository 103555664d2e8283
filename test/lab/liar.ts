/** A program for the lab: shares what it is told to, and sends every file with a wrong byte in every frame of it. */
import type { Filter } from '../../lib/net/link.js';
import { Peer } from '../../lib/peer.js';

const corrupt: Filter = (message, direction) => {
  if (direction !== 'out' || (message.type !== 'T' && message.type !== 'U')) return message;
  const data = Buffer.from(message.data);
  if (data.length > 0) data[data.length >> 1] ^= 1;
  return { ...message, data };
};

await Peer.start({
  share: process.argv.slice(2),
  name: 'liar',
  filter: corrupt,
  onEvent: (event) => console.log(JSON.stringify(event)),
});
