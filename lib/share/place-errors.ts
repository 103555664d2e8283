/** What the disk's own errors mean where a name is made. */
import { asHearsayError, type Code, HearsayError, reasonOf } from '../errors.js';

/** Codes of the system that mean something particular where a name is made. */
const MEANING: Record<string, Code> = {
  EEXIST: 'exists',
  EINVAL: 'bad-name',
  ELOOP: 'in-the-way',
  ENOTDIR: 'in-the-way',
  EISDIR: 'in-the-way',
  ENOTEMPTY: 'in-the-way',
  // A socket, or a device that is not there.
  ENXIO: 'in-the-way',
  ENODEV: 'in-the-way',
};

/** The system's code of something thrown, or undefined. */
export function codeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What a disk error means for the file that was to be written: a HearsayError that names the file. */
export function diskError(thrown: unknown, file: string): HearsayError {
  if (thrown instanceof HearsayError) return thrown;
  const code = codeOf(thrown);
  const known = code === undefined ? undefined : MEANING[code];
  // Without a code of the system it is not the disk that speaks.
  const error = known ? new HearsayError(known, '') : asHearsayError(thrown, code ? 'not-writable' : 'failed');
  return new HearsayError(error.code, `${file}: ${reasonOf(thrown)}`, { cause: thrown });
}
