import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below those that systems give to who asks for any, so that no other socket of a busy machine has it meanwhile. */
const FROM = 12_000;
const TO = 32_000;

/** A port that is free for UDP and TCP, and hardly taken within a test. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FROM + Math.floor(Math.random() * (TO - FROM));
    if ((await isFreeUdp(port)) && (await isFreeTcp(port))) return port;
  }
}

function isFreeUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind(port, () => socket.close(() => resolve(true)));
  });
}

function isFreeTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
