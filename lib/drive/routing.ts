/**
 * Which part of the peer takes a message: by its letter alone.
 *
 * Owns nothing. Always true: each message goes to one part, and one that has no place after the handshake ends its link. Called by
 * the peer, for each message of each link.
 */
import { HearsayError } from '../errors.js';
import type { Gossip } from '../gossip/gossip.js';
import type { PeerId } from '../ids.js';
import type { Link } from '../net/link.js';
import type { Links } from '../net/links.js';
import type { Message } from '../wire/table.js';
import type { Answerer } from './answerer.js';
import { say } from './clients.js';
import { refuse } from './desks.js';
import type { Gossiper } from './gossiper.js';
import type { Inbox } from './inbox.js';
import type { Reach } from './reach.js';
import type { Requests } from './requests.js';
import type { Server } from './serve.js';
import type { ToTracker, Tracker } from './tracker.js';
import type { Tunnels } from './tunnels.js';

export interface Takers {
  /** This peer's own. */
  id: PeerId;
  links: Links;
  gossip: Gossip;
  gossiper: Gossiper;
  answerer: Answerer;
  requests: Requests;
  server: Server;
  inbox: Inbox;
  reach: Reach;
  tunnels: Tunnels;
  /** Where this peer is the registry. */
  tracker: Tracker | undefined;
}

/** @throws HearsayError what ends the link */
export function route(takers: Takers, link: Link, message: Message): void {
  const { tracker } = takers;
  tracker?.heard(link);
  switch (message.type) {
    case 'O':
    case 'L':
    case 'N':
    case 'j':
      takers.gossiper.dispatch({ kind: 'message', peer: link.peer, message });
      if (message.type === 'L' && message.id === link.peer) tracker?.left(link);
      return;
    case 'Y':
      // Of two links of one pair the later begins anew: what still comes over the other would only confuse it.
      if (takers.links.get(link.peer) !== link) return;
      // What is not kept now is not told again over this link: one that belongs here dials anew.
      if (!takers.gossip.peer(link.peer)) throw new HearsayError('cancelled', 'told aside by one that is not listed');
      takers.gossiper.dispatch({ kind: 'aside', peer: link.peer, message });
      return;
    case 'P':
    case 'b':
    case 'F':
      takers.answerer.take(link, message);
      return;
    case 'D':
    case 'r':
    case 'I':
    case 'M':
    case 'T':
    case 'E':
    case 'U':
    case 'K':
    case 'g':
    case 'W':
    case 'Z':
    case 'f':
    case 'v':
      takers.requests.answer(link, message);
      return;
    case 'G':
    case 'R':
    case 'A':
    case 'B':
    case 's':
    case 'X':
    case 'S':
      takers.server.handle(link, message);
      if (message.type === 'X') {
        takers.answerer.cancel(link, message.number);
        takers.inbox.cancel(link, message.number);
        tracker?.cancel(link, message.number);
      }
      return;
    case 'i':
    case 'm':
      takers.inbox.take(link, message);
      return;
    case 'p':
      if (!message.answer) say(link, { ...message, answer: true });
      return;
    case 'J':
    case 'l':
    case 'h':
      toTracker(tracker, link, message);
      return;
    case 'c':
      // From a tracker: somebody who cannot reach us asks for it.
      if (message.peer === takers.id) takers.reach.summoned(link, message);
      else toTracker(tracker, link, message);
      return;
    case 't':
    case 'd':
    case 'w':
    case 'e':
      takers.tunnels.handle(link, message);
      return;
    default:
      throw new HearsayError('bad-message', `${message.type} after the handshake`);
  }
}

function toTracker(tracker: Tracker | undefined, link: Link, message: ToTracker): void {
  if (tracker) tracker.take(link, message);
  else if (message.type !== 'h') {
    refuse(
      link,
      message.number,
      new HearsayError('refused', 'this peer is no tracker: it was not started with --tracker'),
    );
  }
}
