/** `get WHAT -o -`: one file to standard output, and not a byte of it before all of it is verified. */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import type { Api, GetQuery } from '../api.js';
import { asHearsayError, HearsayError } from '../errors.js';
import type { Context } from './context.js';
import { followGet } from './get-events.js';

/** Bytes read at a time. */
const PIECE = 256 * 1024;

export async function getToStdout(context: Context, api: Api, query: GetQuery): Promise<void> {
  // mkdtemp makes it for this user alone.
  const folder = await mkdtemp(join(tmpdir(), 'hearsay-get-'));
  const ended = new AbortController();
  const signal = AbortSignal.any([context.signal, ended.signal]);
  try {
    const fetched = await followGet(context, api.get({ ...query, to: folder + sep }, signal), {
      piped: true,
      onStart: (files) => {
        if (files !== 1) throw new HearsayError('usage', `-o - takes one file, and this is ${files}`);
      },
    });
    if (context.signal.aborted) throw new HearsayError('interrupted', 'interrupted: nothing was written');
    if (fetched.failed) return context.failed(fetched.failed);
    if (fetched.files.length !== 1) {
      throw new HearsayError('usage', `-o - takes one file, and this is ${fetched.files.length}`);
    }
    await pour(context, fetched.files[0]);
  } finally {
    ended.abort();
    await rm(folder, { recursive: true, force: true });
  }
}

async function pour(context: Context, file: string): Promise<void> {
  const { stdout } = context.io;
  try {
    for await (const piece of createReadStream(file, { highWaterMark: PIECE })) {
      await stdout.write(piece as Buffer);
      if (stdout.closed) return;
      if (context.signal.aborted) throw new HearsayError('interrupted', 'interrupted before all of it was written');
    }
  } catch (error) {
    throw asHearsayError(error, 'not-readable');
  }
}
