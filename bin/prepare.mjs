// Makes a checkout runnable: installs packages and compiles where something is missing or stale, and is quick where
// nothing is. Plain JavaScript with no imports from packages, because it runs before there are any.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const at = (...parts) => join(root, ...parts);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`hearsay needs Node 20.19 or later; this is ${process.versions.node}`);
  process.exit(1);
}

/** Runs a command in the checkout; its output goes to standard error, so that standard output stays the program's. */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Newest modification time (ms) below the given places, files ending in one of `ends`. */
function newest(places, ends) {
  let time = 0;
  for (const place of places) {
    if (!existsSync(place)) continue;
    const stat = statSync(place);
    if (stat.isDirectory()) {
      time = Math.max(
        time,
        newest(
          readdirSync(place).map((name) => join(place, name)),
          ends,
        ),
      );
    } else if (ends.some((end) => place.endsWith(end))) time = Math.max(time, stat.mtimeMs);
  }
  return time;
}

// What is installed is remembered by the lock file's text, so that a changed lock installs again.
const lock = readFileSync(at('package-lock.json'), 'utf8');
const installed = at('node_modules', '.hearsay-lock');
if (!existsSync(installed) || readFileSync(installed, 'utf8') !== lock) {
  // npm is a script beside node; run by its path, it needs no shell on any platform.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  if (npm?.endsWith('js')) run(process.execPath, [npm, ...args]);
  else run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args);
  writeFileSync(installed, lock);
}

const built = at('dist', '.built');
const sources = newest([at('lib'), at('bin'), at('test'), at('examples')], ['.ts']);
const settings = newest([at('tsconfig.json'), at('package-lock.json')], ['.json']);
if (process.argv.includes('--build') || !existsSync(built) || statSync(built).mtimeMs < Math.max(sources, settings)) {
  rmSync(at('dist'), { recursive: true, force: true });
  // The compiler's time of start is the stamp: a source saved while it runs is compiled next time.
  const started = new Date();
  run(process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc')]);
  run(process.execPath, [at('bin', 'bundle.mjs')]);
  const manual = spawnSync(process.execPath, [at('dist', 'bin', 'hearsay.js'), 'man'], { cwd: root });
  if (manual.status !== 0) {
    process.stderr.write(manual.stderr);
    process.exit(1);
  }
  writeFileSync(at('dist', 'hearsay.1'), manual.stdout);
  writeFileSync(built, started.toISOString());
}
