/** The keys of a group: what TLS and datagrams are keyed with. Made from the secret, or the same for all where there is none. */
import { hkdfSync } from 'node:crypto';

export interface GroupKeys {
  /** Whether there is a secret, so that only who has it can connect and read. */
  readonly private: boolean;
  /** TLS's pre-shared key, 32 bytes. In an open group everyone knows it, and the proof of the peers' own keys is all there is. */
  readonly psk: Buffer;
  /** The key that datagrams are sealed with, 32 bytes; undefined in an open group, where they are plain. */
  readonly datagrams: Buffer | undefined;
}

const DOMAIN = 'hearsay group 1';

function derive(master: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, DOMAIN, purpose, 32));
}

/** The group of all who have no secret. */
export function openGroup(): GroupKeys {
  return { private: false, psk: derive(Buffer.from('open'), 'tls open'), datagrams: undefined };
}

/** @param master 32 bytes that only who has the secret can derive */
export function privateGroup(master: Uint8Array): GroupKeys {
  return { private: true, psk: derive(master, 'tls'), datagrams: derive(master, 'datagrams') };
}
