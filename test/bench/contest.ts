/**
 * Tools beside each other: each brings the same files between the same hosts, in turns run by run, so that a busy moment of the
 * machine meets all of them.
 *
 * Owns what the tools have started, and the folders that they fill. Always true: a round counts only where every receiver has
 * every byte; a tool that failed is named with what it said, and the others go on. Called by the benches.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '../lab/lab.js';
import { ip } from '../lab/namespace.js';
import { MIB } from '../lab/trees.js';
import { median } from './table.js';
import { lacking, type Receiver, type Served, type Took, type Tool, type What } from './tools/tool.js';

export interface Stage {
  /** What it is about, for whoever waits. */
  title: string;
  sources: readonly Host[];
  receivers: readonly Host[];
  what: What;
  /** Where the receivers' folders are made. */
  folder: string;
  /** How long after each other the receivers begin, ms. */
  apart?: number;
  /** Of the slowest link, Mbit/s. */
  rate?: number;
  /** Whether every run finds the memory full of the disk's cache; see fillFree. */
  fills?: boolean;
}

/** One run of one tool. */
export interface Round {
  /** From the last receiver's request until all had all, s. */
  seconds: number;
  /** The same with the commands' own start and end. */
  whole: number;
  /** Processor time of all ends together, s. */
  cpu: number;
  /** Peak memory of the receiver that took most, bytes. */
  peak: number;
  /** Bytes that left the sources' cards, with all headers. */
  sent: number;
  took: Took[];
}

export interface Result {
  tool: string;
  /** Debian packages that it lacks here. */
  missing: string[];
  failed?: string;
  rounds: Round[];
}

/** The median of something of a tool's rounds; NaN where there are none. */
export function of(result: Result | undefined, what: (round: Round) => number): number {
  return median((result?.rounds ?? []).map(what));
}

/** What stands in a table in place of a tool's figures, or undefined where it has some. */
export function excuse({ missing, failed, rounds }: Result): string | undefined {
  if (missing.length > 0) return `missing (Debian: ${missing.join(' ')})`;
  if (failed !== undefined) return `failed: ${failed.split('\n')[0]}`;
  return rounds.length === 0 ? 'no run' : undefined;
}

/** Writes and removes a throwaway file: memory fresh from a hypervisor is slow to fill the first time. */
export async function warmUp(folder: string, bytes: number): Promise<void> {
  const path = join(folder, 'throwaway');
  const block = Buffer.alloc(MIB, 1);
  const file = await open(path, 'w');
  try {
    for (let at = 0; at < bytes; at += MIB) await file.write(block);
  } finally {
    await file.close();
    await rm(path);
  }
}

/** Memory that is left free, so that nobody has to wait for some. */
const SPARE = 384 * MIB;
let holes = 0;

/**
 * Fills the memory that is free with pages of the disk's cache: a file's holes are read, which costs no disk. A hypervisor is given
 * back what stands free for seconds, and whoever is the next to take it pays up to eight times; pages of the cache are taken over
 * as they are. So each tool of a round finds the same memory. Without a word where the system does not tell what is free.
 */
export async function fillFree(folder: string): Promise<void> {
  const told = await readFile('/proc/meminfo', 'latin1').catch(() => '');
  const free = Number(/^MemFree:\s+(\d+) kB$/m.exec(told)?.[1] ?? 0) * 1024 - SPARE;
  if (free <= 0) return;
  const path = join(folder, `hole-${++holes}`);
  const file = await open(path, 'w+');
  try {
    await file.truncate(free);
    const into = Buffer.alloc(4 * MIB);
    for (let at = 0; at < free; at += into.length) await file.read(into, 0, into.length, at);
  } finally {
    await file.close();
  }
}

/** Files and bytes in a folder, but for hidden ones. */
export function landed(folder: string): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  const look = (path: string) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const inner = join(path, entry.name);
      if (entry.isDirectory()) look(inner);
      else {
        files++;
        bytes += lstatSync(inner).size;
      }
    }
  };
  look(folder);
  return { files, bytes };
}

/** Bytes that a host's card has sent. */
export async function sentBy(host: Host): Promise<number> {
  const [card] = JSON.parse(await ip('-n', host.namespace, '-s', '-j', 'link', 'show', 'dev', 'eth0'));
  return card.stats64.tx.bytes;
}

async function sentByAll(hosts: readonly Host[]): Promise<number> {
  return (await Promise.all(hosts.map(sentBy))).reduce((sum, bytes) => sum + bytes, 0);
}

let folders = 0;

async function round(tool: Tool, served: Served, stage: Stage): Promise<Round> {
  const { sources, receivers, what, apart = 0 } = stage;
  const all: Receiver[] = receivers.map((host, i) => ({
    host,
    into: join(stage.folder, `in-${++folders}`),
    after: i * apart,
  }));
  for (const { into } of all) await mkdir(into, { recursive: true });
  if (stage.fills) await fillFree(stage.folder);
  const [cpu, sent] = [served.cpu(), await sentByAll(sources)];
  const took = await served.fetch(all);
  const spent = served.cpu() - cpu + took.reduce((sum, one) => sum + one.cpu, 0);
  const gone = (await sentByAll(sources)) - sent;
  for (const { into } of tool.keeps === false ? [] : all) {
    const there = landed(into);
    if (there.files !== what.files || there.bytes !== what.bytes) {
      throw new Error(`${there.files} files of ${there.bytes} bytes came, not ${what.files} of ${what.bytes}`);
    }
    // Many files are removed at the end: where many were just removed, the disk makes new ones slowly.
    if (what.files === 1) await rm(into, { recursive: true });
  }
  const last = (times: number[]) => Math.max(...times);
  const commands = took.map(({ command, began, ended }) => command ?? { began, ended });
  return {
    seconds: (last(took.map(({ ended }) => ended)) - last(took.map(({ began }) => began))) / 1000,
    whole: (last(commands.map(({ ended }) => ended)) - last(commands.map(({ began }) => began))) / 1000,
    cpu: spent,
    peak: last(took.map(({ peak }) => peak)),
    sent: gone,
    took,
  };
}

/**
 * Has tools do the same in turns.
 * @param tools in the order in which they are told of; those that cannot do such a thing are left out
 * @param only names of which a tool's must contain one; none for all
 */
export async function contest(
  stage: Stage,
  tools: readonly Tool[],
  runs: number,
  only?: readonly string[],
): Promise<Result[]> {
  const { sources, receivers, what, apart = 0, rate } = stage;
  const how = { files: what.files, receivers: receivers.length, sources: sources.length, isStaggered: apart > 0 };
  const able = tools.filter(
    ({ name, isFor }) => (isFor?.(how) ?? true) && (!only || only.some((n) => name.includes(n))),
  );
  const results = able.map((tool): Result => ({ tool: tool.name, missing: lacking(tool), rounds: [] }));
  const served = new Map<Tool, Served>();
  try {
    for (let run = 0; run < runs; run++) {
      for (const [i, tool] of able.entries()) {
        const result = results[i];
        if (result.missing.length > 0 || result.failed !== undefined) continue;
        try {
          const open = served.get(tool) ?? (await tool.open(sources, what, receivers, rate));
          served.set(tool, open);
          const done = await round(tool, open, stage);
          result.rounds.push(done);
          console.error(`${stage.title}, ${tool.name}, run ${run + 1} of ${runs}: ${done.seconds.toFixed(2)} s`);
        } catch (thrown) {
          result.failed = thrown instanceof Error ? thrown.message : String(thrown);
          console.error(`${stage.title}, ${tool.name}: ${result.failed}`);
        }
      }
    }
  } finally {
    for (const one of served.values()) await one.close();
  }
  return results;
}
