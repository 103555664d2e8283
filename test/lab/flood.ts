/**
 * A program for the lab: keeps 2,000 connections to a peer half open, and sends 20,000 datagrams a second of anything, half
 * to the group, half to the peer's own port. Ends by itself after SECONDS, and prints what it did.
 *
 *   node flood.js HOST PORT SECONDS
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { identityOf, newPrivateKey } from '../../lib/net/keys.js';
import { encode } from '../../lib/wire/codec.js';
import { packHead } from '../../lib/wire/head.js';

const [host, port, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const GROUP = '239.255.47.48';
const GROUP_PORT = 47748;
const RATE = 20_000;
const CONNECTIONS = 2000;
/** Connections made again in a second as they are closed. */
const AGAIN = 400;

/** Noise, and what looks like words of peers that are not: heads with a wrong signature. */
function ammunition(): Buffer[] {
  const all: Buffer[] = [];
  for (let i = 0; i < 1500; i++) all.push(randomBytes(1 + ((i * 37) % 160)));
  for (let i = 0; i < 500; i++) {
    const { id, key } = identityOf(newPrivateKey(), Date.now());
    const numbers = { port, flags: 0, epoch: 1, version: 1, beat: 1, files: 1, bytes: 1, count: 1, floor: 0 };
    const head = packHead({ id, key, name: `forged ${i}`, ...numbers, root: randomBytes(32), echo: new Uint8Array(0) });
    all.push(encode({ type: 'O', head, sig: randomBytes(64), from: 0, offers: [] }));
  }
  return all;
}

const end = performance.now() + seconds * 1000;
let connections = 0;
let open = 0;
let most = 0;
const sockets = new Set<Socket>();

function half(): void {
  const socket = connect({ host, port });
  sockets.add(socket);
  socket.on('connect', () => {
    connections++;
    most = Math.max(most, ++open);
    socket.once('close', () => open--);
    // The beginning of a TLS record, from some of them.
    if (connections % 2 === 0) socket.write(Buffer.from([0x16, 3, 1, 2, 0]));
  });
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
  socket.resume();
}

for (let i = 0; i < CONNECTIONS; i++) half();
const again = setInterval(() => {
  for (let i = 0; i < AGAIN / 20 && sockets.size < CONNECTIONS; i++) half();
}, 50);

const udp = createSocket('udp4');
/** The ports that the peer's own datagrams come from. */
const ports = new Set<number>();
const ears = createSocket({ type: 'udp4', reuseAddr: true });
ears.on('message', (_, from) => {
  if (from.address === host) ports.add(from.port);
});
await new Promise<void>((resolve) => ears.bind(GROUP_PORT, resolve));
ears.addMembership(GROUP, '10.47.0.3');
await new Promise<void>((resolve) => udp.bind(0, resolve));
udp.setMulticastInterface('10.47.0.3');

const shots = ammunition();
let datagrams = 0;
const began = performance.now();
console.log('flooding');
while (performance.now() < end) {
  const due = Math.min(((performance.now() - began) / 1000) * RATE - datagrams, 2000);
  for (let i = 0; i < due; i++) {
    const shot = shots[datagrams % shots.length];
    const [own] = ports;
    if (datagrams % 2 === 0 || own === undefined) udp.send(shot, GROUP_PORT, GROUP);
    else udp.send(shot, own, host);
    datagrams++;
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
}
clearInterval(again);
for (const socket of sockets) socket.destroy();
udp.close();
ears.close();
console.log(JSON.stringify({ datagrams, connections, most }));
