import { createRequire } from 'node:module';

/** The program's version, as its package says. */
export const PROGRAM: string = (createRequire(import.meta.url)('../../../package.json') as { version: string }).version;
