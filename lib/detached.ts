import { HearsayError } from './errors.js';

/** The reason of a signal that only says that nobody follows any more: what belongs to a running peer goes on. */
export const DETACHED = new HearsayError('cancelled', 'nobody follows it any more');
