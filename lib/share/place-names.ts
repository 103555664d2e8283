/**
 * What names the receiving platform can hold, and which of them are one and the same there. Pure: the platform is
 * handed in, so that the rules of all are tested on each.
 *
 * Sources: "Naming Files, Paths, and Namespaces" (Microsoft) for Windows; Git's path.c and compat/precompose_utf8 for
 * short names and for what macOS ignores in names.
 */
import { pathFault, segmentFault } from '../names.js';
import { isHidden } from './partial-names.js';

const WINDOWS_FORBIDDEN = /[<>:"|?*\\]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what Windows refuses
const WINDOWS_CONTROL = /[\x01-\x1f]/;
// A device keeps its meaning with any extension, and with spaces before it; the superscript digits count as digits.
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)/i;
// The short name (8.3) under which Windows would find a hidden file of ours.
const WINDOWS_SHORT_HIDDEN = /^he[0-9a-z]{2,4}~[0-9]+\.(?:par|jou|loc|tmp)$/i;
const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;

/** Why a platform's disk cannot hold a segment safely, or undefined when it can. */
export function nameFault(segment: string, platform: NodeJS.Platform): string | undefined {
  const fault = segmentFault(segment);
  if (fault) return fault;
  // HFS+ takes two names for one that differ by characters that nobody sees.
  if (isHidden(platform === 'darwin' ? segment.replace(IGNORABLE, '') : segment)) {
    return "a name that hearsay keeps for its own partial files ('.hearsay-')";
  }
  return platform === 'win32' ? windowsFault(segment) : undefined;
}

function windowsFault(segment: string): string | undefined {
  const forbidden = WINDOWS_FORBIDDEN.exec(segment);
  if (forbidden) return `the character ${forbidden[0]}, which Windows does not allow in a name`;
  if (WINDOWS_CONTROL.test(segment)) return 'a control character, which Windows does not allow in a name';
  if (/[. ]$/.test(segment)) return 'a dot or space at the end of a name, which Windows would drop';
  if (WINDOWS_DEVICE.test(segment)) return 'the name of a Windows device';
  if (WINDOWS_SHORT_HIDDEN.test(segment)) return "the short name of one of hearsay's own partial files";
  return undefined;
}

/** Why a platform's disk cannot hold a wire path safely, or undefined when it can. */
export function diskPathFault(path: string, platform: NodeJS.Platform): string | undefined {
  const fault = pathFault(path);
  if (fault) return fault;
  for (const segment of path.split('/')) {
    const found = nameFault(segment, platform);
    if (found) return found;
  }
  return undefined;
}

/** In what two names may differ and still be one on a disk. */
export interface Folding {
  /** Upper and lower case are one. */
  case: boolean;
  /** Unicode's composed and decomposed forms are one. */
  form: boolean;
}

/** What a platform's usual disks do, for when the disk itself cannot be asked. */
export function foldingOf(platform: NodeJS.Platform): Folding {
  return { case: platform === 'win32' || platform === 'darwin', form: platform === 'darwin' };
}

/**
 * What two segments have in common when the disk takes them for one. May say so of two that are not (ß, ss).
 */
function fold(segment: string, folding: Folding): string {
  let folded = segment;
  if (folding.form) folded = folded.normalize('NFD');
  if (folding.case) folded = folded.toUpperCase().toLowerCase();
  // Changing case can leave a form that is not the decomposed one.
  return folding.case && folding.form ? folded.normalize('NFD') : folded;
}

/**
 * The paths of one fetch that would land on, or in, a name already taken by an earlier path that is spelled otherwise.
 * @param paths relative wire paths, in the order in which they have the first say
 * @returns each path that must fail, with its reason; empty where the disk tells all names apart
 */
export function collisions(paths: Iterable<string>, folding: Folding): Map<string, string> {
  const failed = new Map<string, string>();
  if (!folding.case && !folding.form) return failed;
  const taken = new Map<string, string>();
  for (const path of paths) {
    let key = '';
    let end = 0;
    for (const segment of path.split('/')) {
      key += `/${fold(segment, folding)}`;
      end += segment.length;
      const spelled = path.slice(0, end);
      const other = taken.get(key);
      if (other === undefined) taken.set(key, spelled);
      else if (other !== spelled) {
        failed.set(path, `differs from ${other} only by case or by Unicode form, which are one name on this disk`);
        break;
      }
      end++;
    }
  }
  return failed;
}
