/**
 * A stand-in for a long way: takes connections, makes each on to another place, and hands bytes on only after a while, in both
 * directions. Other than on a long way, TCP itself does not feel the distance, only what is asked and answered over it does.
 *
 *   node delay-proxy.js MS [PORT ADDRESS PORT]...
 */
import { connect, createServer, type Socket } from 'node:net';

/** Bytes that may be on their way in one direction: more than the fastest link has in a round trip here. */
const UNDER_WAY_MAX = 64 * 2 ** 20;

/** Hands on what comes in, so many ms later. */
function pass(from: Socket, to: Socket, ms: number): void {
  const parts: { at: number; data: Buffer | undefined }[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  // What the other end does not take in time counts too.
  const isRoom = () => bytes + to.writableLength < UNDER_WAY_MAX;
  const hand = () => {
    timer = undefined;
    const now = performance.now();
    while (parts.length > 0 && parts[0].at <= now) {
      const data = parts.shift()?.data;
      if (!data) {
        to.end();
        return;
      }
      bytes -= data.length;
      to.write(data);
    }
    if (isRoom()) from.resume();
    if (parts.length > 0) timer = setTimeout(hand, Math.max(1, parts[0].at - now));
  };
  const take = (data: Buffer | undefined) => {
    parts.push({ at: performance.now() + ms, data });
    bytes += data?.length ?? 0;
    if (!isRoom()) from.pause();
    timer ??= setTimeout(hand, ms);
  };
  from.on('data', take);
  from.on('end', () => take(undefined));
  for (const socket of [from, to]) {
    socket.on('error', () => {
      from.destroy();
      to.destroy();
    });
    socket.on('close', () => clearTimeout(timer));
  }
  to.on('drain', () => {
    if (isRoom()) from.resume();
  });
}

const [ms, ...ways] = process.argv.slice(2);
for (let i = 0; i < ways.length; i += 3) {
  const [port, host, to] = ways.slice(i, i + 3);
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ host, port: Number(to), noDelay: true, allowHalfOpen: true });
    pass(near, far, Number(ms));
    pass(far, near, Number(ms));
  });
  server.listen(Number(port), '0.0.0.0');
}
