/** curl and aria2, from lighttpd. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Host } from '../../lab/lab.js';
import type { LabProcess } from '../../lab/process.js';
import { cpuOfAll, each, endAll, listening, type Tool, timed, type What } from './tool.js';

const PORT = 8080;
/** Connections of aria2 to one server, and files at a time. */
const CONNECTIONS = 4;
const FILES = 16;

/** Starts lighttpd on a host, which gives out a folder. */
export async function lighttpd(host: Host, folder: string, port = PORT): Promise<LabProcess> {
  const config = join(host.folder, `lighttpd-${port}.conf`);
  await writeFile(config, `server.document-root = ${JSON.stringify(folder)}\nserver.port = ${port}\n`);
  const started = host.exec(['lighttpd', '-D', '-f', config]);
  await listening(started, port);
  return started;
}

export const curl: Tool = {
  name: 'curl from lighttpd',
  needs: { curl: 'curl', lighttpd: 'lighttpd' },
  isFor: ({ files, sources }) => files === 1 && sources === 1,
  async open([source], { folder, file = '' }) {
    const server = await lighttpd(source, folder);
    const url = `http://${source.address}:${PORT}/${file}`;
    return {
      cpu: () => cpuOfAll([server]),
      fetch: (all) => each(all, ({ host, into }) => timed(host, ['curl', '-fsS', '-o', join(into, file), url])),
      close: () => endAll([server]),
    };
  },
};

/** Every file of a tree, relative to it, with forward slashes. */
async function treeOf(folder: string): Promise<string[]> {
  const all = await readdir(folder, { recursive: true, withFileTypes: true });
  return all.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part);
  return hash.digest('hex');
}

/** Lines for aria2's list of what to fetch. */
function listed(urls: readonly string[], file: string): string {
  return `${urls.map((url) => url + file.split('/').map(encodeURIComponent).join('/')).join('\t')}\n  out=${file}\n`;
}

function aria2(name: string, port: number, checks: boolean): Tool {
  return {
    name,
    needs: { aria2c: 'aria2', lighttpd: 'lighttpd' },
    isFor: ({ files }) => files === 1 || !checks,
    async open(sources, what: What) {
      const servers: LabProcess[] = [];
      for (const source of sources) servers.push(await lighttpd(source, what.folder, port));
      const urls = sources.map(({ address }) => `http://${address}:${port}/`);
      const sum = checks && what.file ? `  checksum=sha-256=${await sha256(join(what.folder, what.file))}\n` : '';
      const files = what.file === undefined ? await treeOf(what.folder) : [what.file];
      const list = join(sources[0].folder, `aria2-${port}.list`);
      await writeFile(list, files.map((file) => listed(urls, file) + sum).join(''));
      const apart = [`-x${CONNECTIONS}`, `-s${CONNECTIONS * sources.length}`, `-j${FILES}`, '-k1M'];
      // A record of each file's progress would take longer than the files.
      const quiet = ['-q', '--no-conf', '--file-allocation=none', '--auto-save-interval=0'];
      return {
        cpu: () => cpuOfAll(servers),
        fetch: (all) =>
          each(all, ({ host, into }) => timed(host, ['aria2c', ...quiet, ...apart, '-i', list, '-d', into])),
        close: () => endAll(servers),
      };
    },
  };
}

export const aria2Plain = aria2('aria2 over HTTP', 8081, false);
export const aria2Checked = aria2('aria2, with checksum', 8082, true);
