/** What crosses the bridge, kept in a file and searched. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Lab } from './lab.js';

const execute = promisify(execFile);

export class Capture {
  readonly #file: string;
  readonly #stop: () => Promise<void>;

  private constructor(file: string, stop: () => Promise<void>) {
    this.#file = file;
    this.#stop = stop;
  }

  /** Begins; every byte of every frame is kept. */
  static async begin(lab: Lab): Promise<Capture> {
    const file = join(lab.folder, 'capture.pcap');
    // Promiscuous, so that the bridge also gives what it hands from one host to another.
    const argv = ['tshark', '-n', '-q', '-i', 'bridge0', '-s', '0', '-B', '64', '-F', 'pcap', '-w', file];
    const process = lab.onBridge(argv);
    await process.waitFor(/Capturing on/, 20_000, 'stderr');
    return new Capture(file, async () => {
      process.kill('SIGINT');
      await process.waitForExit(20_000);
    });
  }

  async end(): Promise<void> {
    await this.#stop();
  }

  /** How many frames fit a display filter of tshark. */
  async count(filter: string): Promise<number> {
    const argv = ['-n', '-r', this.#file, '-Y', filter, '-T', 'fields', '-e', 'frame.number'];
    const { stdout } = await execute('tshark', argv, { maxBuffer: 64 * 1024 * 1024 });
    return stdout.split('\n').filter(Boolean).length;
  }

  /** In how many frames a text or bytes occur, wherever. */
  async holding(what: string | Buffer): Promise<number> {
    const bytes = [...Buffer.from(what)].map((byte) => byte.toString(16).padStart(2, '0'));
    return this.count(`frame contains ${bytes.join(':')}`);
  }

  /** Bytes of TCP's payload. */
  async tcpBytes(): Promise<number> {
    const argv = ['-n', '-r', this.#file, '-Y', 'tcp', '-T', 'fields', '-e', 'tcp.len'];
    const { stdout } = await execute('tshark', argv, { maxBuffer: 64 * 1024 * 1024 });
    return stdout.split('\n').reduce((sum, line) => sum + Number(line), 0);
  }
}
