#!/usr/bin/env node
import { run } from '../lib/cli/main.js';
import { processIo } from '../lib/cli/process.js';
import { PROGRAM } from '../lib/daemon/version.js';

const io = processIo(PROGRAM);

/** A fault of ours: one clear line, and where it was for whoever reports it. */
function fault(error: unknown): void {
  const text = error instanceof Error ? (process.argv.includes('--verbose') ? error.stack : error.message) : error;
  process.stderr.write(`hearsay: ${text} (a fault in hearsay; --verbose tells where)\n`, () => process.exit(1));
}
process.on('uncaughtException', fault);
process.on('unhandledRejection', fault);

// The rest is loaded when a command needs it, so that help and usage errors come at once.
const status = await run(process.argv.slice(2), io, async (wanted) => {
  const { connect } = await import('../lib/daemon/connect.js');
  return connect(wanted);
});
await io.stdout.write('');
await io.stderr.write('');
process.exit(status);
