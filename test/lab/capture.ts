/** What crosses the bridge, kept in a file and searched. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Host, Lab } from './lab.js';

const execute = promisify(execFile);
/** What a pcap file begins with, in the order of the bytes of who wrote it. */
const PCAP = 0xa1b2c3d4;
const LAST = 'the-last-frame-of-the-capture';

export class Capture {
  readonly #file: string;
  readonly #host: Host;
  readonly #to: string;
  readonly #stop: () => Promise<void>;

  /** @param to where `host` sends the last frame */
  private constructor(file: string, host: Host, to: string, stop: () => Promise<void>) {
    this.#file = file;
    this.#host = host;
    this.#to = to;
    this.#stop = stop;
  }

  /** Begins; every byte of every frame is kept. */
  static async begin(lab: Lab): Promise<Capture> {
    const file = join(lab.folder, 'capture.pcap');
    // Promiscuous, so that the bridge also gives what it hands from one host to another.
    const argv = ['tshark', '-n', '-q', '-i', 'bridge0', '-s', '0', '-B', '64', '-F', 'pcap', '-w', file];
    const process = lab.onBridge(argv);
    await process.waitFor(/Capturing on/, 20_000, 'stderr');
    return new Capture(file, lab.hosts[0], lab.hosts[1].address, async () => {
      process.kill('SIGINT');
      await process.waitForExit(20_000);
    });
  }

  /** Ends; everything that crossed before is in it. */
  async end(): Promise<void> {
    // What the system still holds back when the capture is stopped would be lost: a last frame shows that all is written.
    const say = `const s = require('dgram').createSocket('udp4'); s.send('${LAST}', 9, '${this.#to}', () => s.close())`;
    for (let tries = 0; tries < 50; tries++) {
      await this.#host.run([process.execPath, '-e', say]);
      if ((await readFile(this.#file)).includes(LAST)) return await this.#stop();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error('the capture does not see what is sent last');
  }

  /** How many frames fit a display filter of tshark. */
  async count(filter: string): Promise<number> {
    const argv = ['-n', '-r', this.#file, '-Y', filter, '-T', 'fields', '-e', 'frame.number'];
    const { stdout } = await execute('tshark', argv, { maxBuffer: 64 * 1024 * 1024 });
    return stdout.split('\n').filter(Boolean).length;
  }

  /** In how many frames a text or bytes occur, wherever. */
  async holding(what: string | Buffer): Promise<number> {
    const all = await readFile(this.#file);
    // pcap: a header of 24 bytes; before each frame 16 bytes, of which the third four are its length here.
    const isLittle = all.readUInt32LE(0) === PCAP;
    let count = 0;
    for (let at = 24; at + 16 <= all.length; ) {
      const length = isLittle ? all.readUInt32LE(at + 8) : all.readUInt32BE(at + 8);
      if (all.subarray(at + 16, at + 16 + length).includes(what)) count++;
      at += 16 + length;
    }
    return count;
  }

  /** Bytes of TCP's payload. */
  async tcpBytes(): Promise<number> {
    const argv = ['-n', '-r', this.#file, '-Y', 'tcp', '-T', 'fields', '-e', 'tcp.len'];
    const { stdout } = await execute('tshark', argv, { maxBuffer: 64 * 1024 * 1024 });
    return stdout.split('\n').reduce((sum, line) => sum + Number(line), 0);
  }
}
