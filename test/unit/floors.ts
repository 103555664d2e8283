/** The floors of the design as a function of the sources, so that it can be tried with sources that break them. */
import { posix } from 'node:path';

/** Sources by their paths below lib/, with `/`. */
export type Sources = ReadonlyMap<string, string>;

const FLOORS: Record<string, number> = {
  wire: 1,
  shelf: 1.5,
  gossip: 2,
  transfer: 2,
  tracker: 2,
  net: 3,
  share: 3,
  drive: 4,
  cli: 5,
  daemon: 5,
};
/** Up to this floor nothing has a clock, chance, input or output. */
const PURE = 2;
/** Packages that compute and do nothing else. */
const PURE_PACKAGES = ['@napi-rs/blake-hash', 'msgpackr', 'ulid', 'picomatch'];

const IMPURE: readonly RegExp[] = [
  /(?<![.\w#$])(?:Date|performance|console|globalThis|crypto|WebSocket)\b/,
  /(?<![.\w#$])(?:setTimeout|setInterval|setImmediate|fetch|require)\s*\(/,
  /(?<![.\w#$])process\s*[.?[]/,
  /\bMath\s*\.\s*random\b/,
  /\bimport\s*\.\s*meta\b/,
];

interface Place {
  floor: number;
  /** Files of one group may import each other. */
  group: string;
}

function placeOf(path: string): Place | undefined {
  const [folder, ...rest] = path.split('/');
  if (rest.length === 0) return path === 'peer.ts' || path === 'index.ts' ? peer : { floor: 0, group: 'ground' };
  const floor = FLOORS[folder];
  if (floor === undefined) return undefined;
  if (floor === peer.floor) return peer;
  return { floor, group: floor === 5 ? 'commands' : folder };
}
const peer: Place = { floor: 4, group: 'peer' };

/** Source without its comments; where `strings` is false, also without what stands in quotes. */
export function strip(source: string, strings: boolean): string {
  let out = '';
  // Of what came last, only this matters: after it a slash begins a regular expression, not a division.
  let beforeExpression = true;
  for (let i = 0; i < source.length; ) {
    const c = source[i];
    const two = source.slice(i, i + 2);
    let end = i + 1;
    if (two === '//') end = indexOrEnd(source, '\n', i);
    else if (two === '/*') end = indexOrEnd(source, '*/', i + 2) + 2;
    else if (c === "'" || c === '"') {
      end = closing(source, i, c);
      out += strings ? source.slice(i, end) : c + c;
      beforeExpression = false;
    } else if (c === '/' && beforeExpression) {
      end = closing(source, i, '/');
      out += '/./';
      beforeExpression = false;
    } else {
      out += c;
      if (/\S/.test(c)) beforeExpression = /[(,=:[!&|?{};+\-*%<>~^]/.test(c) || /\b(?:return|typeof|case)$/.test(out);
    }
    i = end;
  }
  return out;
}

function indexOrEnd(source: string, what: string, from: number): number {
  const at = source.indexOf(what, from);
  return at < 0 ? source.length : at;
}

/** Where a string or a regular expression that begins at `from` is over; at the end of its line at the latest. */
function closing(source: string, from: number, quote: string): number {
  let inClass = false;
  for (let i = from + 1; i < source.length; i++) {
    const c = source[i];
    if (c === '\\') i++;
    else if (c === '\n') return i;
    else if (quote === '/' && c === '[') inClass = true;
    else if (quote === '/' && c === ']') inClass = false;
    else if (c === quote && !inClass) return i + 1;
  }
  return source.length;
}

/** What a source imports, types too, as written. */
export function importsOf(source: string): string[] {
  const code = strip(source, true);
  const found: string[] = [];
  for (const pattern of [
    /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(?\s*['"]([^'"]+)['"]/g,
    /\brequire\s*\(\s*['"]([^'"]+)['"]/g,
  ]) {
    for (const match of code.matchAll(pattern)) found.push(match[1]);
  }
  return found;
}

/** A line for everything that breaks the floors; none where they hold. */
export function faults(sources: Sources): string[] {
  const out: string[] = [];
  const edges = new Map<string, string[]>();
  for (const [path, source] of sources) {
    const here = placeOf(path);
    if (!here) {
      out.push(`${path}: a folder without a floor`);
      continue;
    }
    const targets: string[] = [];
    edges.set(path, targets);
    for (const specifier of importsOf(source)) {
      if (!specifier.startsWith('.')) {
        if (here.floor <= PURE && !PURE_PACKAGES.includes(specifier)) out.push(`${path}: imports ${specifier}`);
        continue;
      }
      const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');
      const there = sources.has(target) ? placeOf(target) : undefined;
      if (!there) out.push(`${path}: imports ${specifier}, which is not in lib`);
      else if (there.floor > here.floor) out.push(`${path}: imports upward, ${target}`);
      else if (there.floor === here.floor && there.group !== here.group) {
        out.push(`${path}: imports its neighbour ${target}`);
      }
      targets.push(target);
    }
    if (here.floor > PURE) continue;
    const code = strip(source, false);
    for (const pattern of IMPURE) {
      const match = pattern.exec(code);
      if (match) out.push(`${path}: uses ${match[0].trim()}`);
    }
  }
  return [...out, ...circles(edges)];
}

/** Each circle once, as a line, found in depth-first order. */
function circles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const out: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, way: readonly string[]) => {
    const at = way.indexOf(path);
    if (at >= 0) out.push(`a circle: ${[...way.slice(at), path].join(' > ')}`);
    if (at >= 0 || done.has(path)) return;
    for (const target of edges.get(path) ?? []) walk(target, [...way, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  return out;
}
