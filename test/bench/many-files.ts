/** Offers as people have them by the thousand: photos by month, music with accents, code with its modules, papers in Cyrillic. Pure. */
import { blake3 } from '../../lib/hash.js';
import type { Kind } from '../../lib/offer.js';

const MODULES = ['lodash', '@types/node', 'react-dom', 'core-js', 'typescript', '@babel/runtime', 'rxjs', 'zod'];
const PARTS = ['dist/esm/internal', 'dist/cjs/operators', 'lib/helpers', 'src/utils/deep/nested'];
const NAMES = ['index', 'utils', 'createPolyfill', 'isPlainObject', 'withSelector', 'types.d'];
const ARTISTS = ['Björk/Début', 'Sigur Rós/Ágætis byrjun', 'Mötley Crüe/Théâtre', 'Ólafur Arnalds/re꞉member'];
const SONGS = ['Vénus as a Boy', 'Human Behaviour', 'Svefn-g-englar', 'Smoke'];

const two = (n: number): string => String(n).padStart(2, '0');

function pathOf(peer: number, i: number): string {
  const n = Math.floor(i / 4);
  switch (i % 4) {
    case 0:
      return `photos${peer}/20${two(10 + (n % 15))}/${two(1 + (n % 12))}/IMG_${100_000 + n}.jpg`;
    case 1: {
      const of = `${MODULES[n % 8]}/${PARTS[(n >> 3) % 4]}`;
      return `code${peer}/project-${n >> 9}/node_modules/${of}/${NAMES[(n >> 5) % 6]}${n % 512}.js`;
    }
    case 2:
      return `Musik${peer}/${ARTISTS[(n >> 4) % 4]} ${n >> 6}/${two(n % 64)} ${SONGS[n % 4]} ${n}.flac`;
    default:
      return `документы${peer}/отчёты ${n >> 7}/Отчёт за ${2000 + (n % 25)} год, ${n}.pdf`;
  }
}

/** What a peer offers. @param peer its number: paths and contents differ from peer to peer, but for one content in a hundred */
export function manyFiles(peer: number, count: number) {
  return Array.from({ length: count }, (_, i) => {
    const id = blake3(i % 100 === 0 ? `shared ${i}` : `${peer} ${i}`).toString('hex');
    return { path: pathOf(peer, i), kind: 'file' as Kind, size: 20_000 + 37 * i, mtime: 1_700_000_000_000 + i, id };
  });
}
