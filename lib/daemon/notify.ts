/**
 * Tells systemd how the daemon is (sd_notify). That takes a datagram on a Unix socket, which Node cannot send; so systemd's
 * own systemd-notify does, which the unit allows with NotifyAccess=all.
 */
import { execFile } from 'node:child_process';

/** A system that does not take it in so long is not waited for, ms. */
const NOTIFY_MS = 5000;

/** `READY=1` and the like. Nothing where no systemd asks for it. Never rejects. */
export async function notifySystemd(...assignments: string[]): Promise<void> {
  if (!process.env.NOTIFY_SOCKET) return;
  await new Promise<void>((resolve) => {
    execFile('systemd-notify', assignments, { timeout: NOTIFY_MS }, () => resolve());
  });
}
