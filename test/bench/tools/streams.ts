/** Bare streams to measure by: a Node TLS copy from disk to disk, tar through nc, and iperf3, which touches no disk. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../../lab/lab.js';
import type { LabProcess } from '../../lab/process.js';
import { cpuOf } from '../usage.js';
import { cpuOfAll, each, end, endAll, listening, type Took, type Tool, timed } from './tool.js';

const COPY = fileURLToPath(new URL('./tls-copy.js', import.meta.url));
const COPY_PORT = 8443;
const TAR_PORT = 8900;
const IPERF_PORT = 5201;

export const nodeTls: Tool = {
  name: 'a bare Node TLS copy',
  needs: {},
  isFor: ({ files, sources }) => files === 1 && sources === 1,
  async open([source], { folder, file = '' }) {
    const sender = source.exec([process.execPath, COPY, 'send', `${COPY_PORT}`, join(folder, file)]);
    await listening(sender, COPY_PORT);
    const from = [source.address, `${COPY_PORT}`];
    return {
      cpu: () => cpuOfAll([sender]),
      fetch: (all) =>
        each(all, ({ host, into }) => timed(host, [process.execPath, COPY, 'receive', ...from, join(into, file)])),
      close: () => endAll([sender]),
    };
  },
};

export const tar: Tool = {
  name: 'tar through nc',
  needs: { tar: 'tar', nc: 'netcat-openbsd' },
  isFor: ({ sources, receivers }) => sources === 1 && receivers === 1,
  async open([source], { folder }) {
    let spent = 0;
    return {
      cpu: () => spent,
      async fetch(all) {
        const sender = source.exec(['bash', '-c', `tar cf - -C "$0" . | nc -l -N ${TAR_PORT}; cat`, folder]);
        try {
          await listening(sender, TAR_PORT);
          const script = `nc -d ${source.address} ${TAR_PORT} | tar xf - -C "$0"`;
          const took = await each(all, ({ host, into }) => timed(host, ['bash', '-c', script, into]));
          // The shell waits at `cat`, so that what its children took is not lost with it.
          spent += cpuOf(sender.pid);
          return took;
        } finally {
          await end(sender);
        }
      },
      close: async () => {},
    };
  },
};

/** Runs iperf3 from a server to a client for so many bytes. @returns as a fetch, but nothing is kept */
export async function iperf(client: Host, address: string, port: number, bytes: number): Promise<Took> {
  return timed(client, ['iperf3', '-c', address, '-p', `${port}`, '-R', '-n', `${bytes}`]);
}

/** Starts iperf3's server on a host. */
export async function iperfServer(host: Host, port = IPERF_PORT): Promise<LabProcess> {
  const server = host.exec(['iperf3', '-s', '-p', `${port}`]);
  await listening(server, port);
  return server;
}

export const iperf3: Tool = {
  name: 'iperf3 (no disk)',
  needs: { iperf3: 'iperf3' },
  keeps: false,
  isFor: ({ files, sources, receivers }) => files === 1 && sources === 1 && receivers === 1,
  async open([source], { bytes }) {
    const server = await iperfServer(source);
    return {
      cpu: () => cpuOfAll([server]),
      fetch: (all) => each(all, ({ host }) => iperf(host, source.address, IPERF_PORT, bytes)),
      close: () => endAll([server]),
    };
  },
};
