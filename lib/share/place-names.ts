/**
 * What names the receiving platform can hold, and which of them are one and the same there. Pure: the platform is
 * handed in, so that the rules of all are tested on each.
 *
 * Sources: "Naming Files, Paths, and Namespaces" (Microsoft) for Windows; Git's path.c and compat/precompose_utf8 for
 * what macOS ignores in names; Linux's fs/unicode for what a folder that folds case takes for one.
 */
import { pathFault, segmentFault } from '../names.js';
import { isHidden } from './partial-names.js';

const WINDOWS_FORBIDDEN = /[<>:"|?*\\]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what Windows refuses
const WINDOWS_CONTROL = /[\x01-\x1f]/;
// A device keeps its meaning with any extension, and with spaces before it; the superscript digits count as digits.
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)/i;
// A short name (8.3), under which Windows would find another file: one of ours, or one that came with it.
const WINDOWS_SHORT = /^(?=[^.]{3,8}(?:\.|$))[^.~]{1,6}~[0-9]+(?:\.[^.]{0,3})?$/;
// What macOS finds in a file of any name.
const DARWIN_FORK = /^\.\.namedfork$/i;
const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;

/** Why a platform's disk cannot hold a segment safely, or undefined when it can. */
export function nameFault(segment: string, platform: NodeJS.Platform): string | undefined {
  const fault = segmentFault(segment);
  if (fault) return fault;
  // HFS+, and ext4 and F2FS where they fold case, take two names for one that differ by characters that nobody sees.
  if (isHidden(segment) || isHidden(segment.replace(IGNORABLE, ''))) {
    return "a name that hearsay keeps for its own partial files ('.hearsay-')";
  }
  if (platform === 'win32') return windowsFault(segment);
  if (platform === 'darwin' && DARWIN_FORK.test(segment)) return 'the name of a part of a file on macOS';
  return undefined;
}

function windowsFault(segment: string): string | undefined {
  const forbidden = WINDOWS_FORBIDDEN.exec(segment);
  if (forbidden) return `the character ${forbidden[0]}, which Windows does not allow in a name`;
  if (WINDOWS_CONTROL.test(segment)) return 'a control character, which Windows does not allow in a name';
  if (/[. ]$/.test(segment)) return 'a dot or space at the end of a name, which Windows would drop';
  if (WINDOWS_DEVICE.test(segment)) return 'the name of a Windows device';
  if (WINDOWS_SHORT.test(segment)) return 'a short name (8.3), under which Windows may find another file';
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
  /** Characters that nobody sees count for nothing. */
  ignorable: boolean;
}

/** What a platform's usual disks do, for when the disk itself cannot be asked. */
export function foldingOf(platform: NodeJS.Platform): Folding {
  return { case: platform === 'win32' || platform === 'darwin', form: platform === 'darwin', ignorable: false };
}

/**
 * What two segments have in common when the disk takes them for one. May say so of two that are not (ß, ss).
 */
function fold(segment: string, folding: Folding): string {
  let folded = folding.ignorable ? segment.replace(IGNORABLE, '') : segment;
  if (folding.form) folded = folded.normalize('NFD');
  // To lower case first: a capital sharp s (\u1e9e) is two letters only by way of the small one.
  if (folding.case) folded = folded.toLowerCase().toUpperCase().toLowerCase();
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
  if (!folding.case && !folding.form && !folding.ignorable) return failed;
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
        failed.set(
          path,
          `differs from ${other} only by case, Unicode form or unseen characters, and is one name with it on this disk`,
        );
        break;
      }
      end++;
    }
  }
  return failed;
}
