// Makes the compiled commands start in half the time: their some four hundred modules become a few files, in place of the entry points
// that the compiler wrote. What they do is the same; the library, the tests and the worker threads stay as they were compiled.
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'dist', 'bin');

// Packages of plain modules, which are many files too. Others are left where they are: they are CommonJS, or have native parts or workers.
const BUNDLED = new Set(['smol-toml', 'zod']);

/** What a module finds beside itself (the workers, the configuration, the version) it still finds from the file it became part of. */
const places = {
  name: 'places',
  setup(build) {
    build.onLoad({ filter: /\.js$/ }, async ({ path }) => {
      if (relative(join(root, 'dist'), path).startsWith('..')) return undefined;
      const text = await readFile(path, 'utf8');
      const place = JSON.stringify(relative(out, path).split(sep).join('/'));
      return { contents: text.replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`), loader: 'js' };
    });
    build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      if (kind === 'entry-point') return undefined;
      const name = path
        .split('/')
        .slice(0, path.startsWith('@') ? 2 : 1)
        .join('/');
      return BUNDLED.has(name) ? undefined : { path, external: true };
    });
  },
};

await build({
  entryPoints: ['hearsay.js', 'start.js'].map((name) => join(out, name)),
  outdir: out,
  allowOverwrite: true,
  bundle: true,
  splitting: true,
  chunkNames: 'part-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // A fault tells where it was in the source.
  sourcemap: 'linked',
  logLevel: 'warning',
  plugins: [places],
});
