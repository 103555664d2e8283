/**
 * The bare copy that hearsay is measured beside: one file from disk to disk through Node's TLS 1.3 with AES-128-GCM, in writes of
 * 256 KiB, with nothing else done: no hash, no journal, no name. A key that both know stands for the certificates.
 *
 *   node tls-copy.js send PORT FILE | receive ADDRESS PORT FILE
 */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { connect, createServer } from 'node:tls';

const BLOCK = 256 * 1024;
const PSK = Buffer.alloc(32, 'bench');
const TLS = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const;

async function send(port: number, path: string): Promise<void> {
  const server = createServer({ ...TLS, pskCallback: () => PSK, pskIdentityHint: 'bench' }, async (socket) => {
    socket.on('error', () => {});
    const file = await open(path);
    // One is read while the other is sent.
    const buffers = [Buffer.allocUnsafe(BLOCK), Buffer.allocUnsafe(BLOCK)];
    try {
      let sent: Promise<unknown> | undefined;
      for (let turn = 0; ; turn = 1 - turn) {
        const { bytesRead } = await file.read(buffers[turn], 0, BLOCK);
        await sent;
        if (bytesRead === 0) break;
        sent = socket.write(buffers[turn].subarray(0, bytesRead)) ? undefined : once(socket, 'drain');
      }
      socket.end();
    } finally {
      await file.close();
    }
  });
  server.listen(port, '0.0.0.0');
  await once(server, 'listening');
}

async function receive(host: string, port: number, path: string): Promise<void> {
  const file = await open(path, 'wx');
  const pskCallback = () => ({ psk: PSK, identity: 'bench' });
  const socket = connect({ ...TLS, host, port, pskCallback, checkServerIdentity: () => undefined });
  await once(socket, 'secureConnect');
  let held: Buffer[] = [];
  let bytes = 0;
  const flush = async () => {
    const parts = held;
    held = [];
    bytes = 0;
    if (parts.length > 0) await file.writev(parts);
  };
  for await (const part of socket as AsyncIterable<Buffer>) {
    held.push(part);
    bytes += part.length;
    if (bytes >= BLOCK) await flush();
  }
  await flush();
  await file.close();
}

const [role, ...args] = process.argv.slice(2);
if (role === 'send') await send(Number(args[0]), args[1]);
else await receive(args[0], Number(args[1]), args[2]);
