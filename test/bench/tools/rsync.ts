/** rsync from its daemon: whole files, or what changed of them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '../../lab/lab.js';
import type { LabProcess } from '../../lab/process.js';
import { cpuOfAll, each, endAll, listening, type Tool, timed } from './tool.js';

const PORT = 8730;

/** Starts the daemon on a host, which gives out a folder. */
export async function rsyncDaemon(host: Host, folder: string): Promise<LabProcess> {
  const config = join(host.folder, 'rsyncd.conf');
  // Without a name server each connection would wait for one.
  const lines = ['use chroot = no', 'reverse lookup = no', 'uid = root', 'gid = root', '[share]', `path = ${folder}`];
  await writeFile(config, `${lines.join('\n')}\n`);
  // Whose standard input is a socket, as Node's pipes are, takes itself for a child of inetd.
  const script = 'exec rsync --daemon --no-detach "--port=$0" "--config=$1" < /dev/null';
  const started = host.exec(['bash', '-c', script, `${PORT}`, config]);
  await listening(started, PORT);
  return started;
}

/** Where the daemon's files are for rsync on another host. */
export const rsyncUrl = ({ address }: Host) => `rsync://${address}:${PORT}/share/`;

export const rsync: Tool = {
  name: 'rsync daemon',
  needs: { rsync: 'rsync' },
  isFor: ({ sources }) => sources === 1,
  async open([source], { folder }) {
    const daemon = await rsyncDaemon(source, folder);
    return {
      cpu: () => cpuOfAll([daemon]),
      fetch: (all) =>
        each(all, ({ host, into }) => timed(host, ['rsync', '-a', '--whole-file', rsyncUrl(source), join(into, '/')])),
      close: () => endAll([daemon]),
    };
  },
};
