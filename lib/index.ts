/** hearsay as a library. */
export type * from './api.js';
export { advice, type Code, exitStatus, HearsayError } from './errors.js';
export type { PeerId } from './ids.js';
export type { Kind, Offer, PeerOffer } from './offer.js';
export { type Fetched, type GetOptions, type IndexChange, Peer, type PeerIndex, type PeerOptions } from './peer.js';
