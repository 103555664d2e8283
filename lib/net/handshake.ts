/**
 * The handshake: both sides say hello, then each proves its key over what binds this connection.
 *
 * Owns a stream until it is proved, or refused. Always true: no link is made before the other side has proved the key that its id
 * names; where another process of that id is connected, the newcomer waits for our proof, and so for everything, until it is
 * seen which of the two stays. Called by Links.
 */
import { asHearsayError, HearsayError, saidCode } from '../errors.js';
import type { PeerId } from '../ids.js';
import { printable } from '../names.js';
import { decode } from '../wire/codec.js';
import { FrameDecoder } from '../wire/frame.js';
import { headStatement, proofStatement, readHead } from '../wire/head.js';
import { type Message, PROTOCOL } from '../wire/table.js';
import { BREATH } from './breath.js';
import { Intake } from './intake.js';
import { verifySignature } from './keys.js';
import { Link, type LinkHandlers, type LinkSettings, type Proved, writeMessage } from './link.js';
import { plainHost, type SecureStream } from './transport.js';

/** Bytes of an unfinished message from which on it is one worth waiting for: small ones come at once or not at all. */
const HEARD_BYTES = 4096;
/** What was said last leaves before a connection is cut, ms. */
const FAREWELL_MS = 1000;

/** What the two know of each other before a word is said. */
export interface Greeting {
  /** Whether we dialled. */
  dialled: boolean;
  /** The id that must answer; left out for any. */
  expected?: PeerId | undefined;
  /** Whether this is only to see who answers, and no link. */
  probe?: boolean;
  /** For a stream that another peer passes on: the host of that one. */
  relay?: string;
}

/** Who lets a newcomer in. */
export interface Door {
  /** Whether another process of this peer is connected. */
  isRival(peer: PeerId, instance: Uint8Array): boolean;
  /** Sees which of the two stays. @throws HearsayError `id-taken` where that is the one which was there */
  settle(peer: PeerId, instance: Uint8Array): Promise<void>;
  /** Takes the new link in, before any message of it is handled, and gives the link to use. */
  admit(link: Link): Link;
}

/**
 * Shakes hands on a fresh stream. Ends with the stream at the latest: the caller sees to it that this is in time.
 * @returns what `admit` gave; messages that follow go to the handlers. Undefined after a probe, ours or the other side's
 * @throws HearsayError `bad-message`, `other-version`, `unreachable` (another peer answers there, or none in time), `id-taken`, and
 *   what else the other side says instead of its proof
 */
export function shakeHands(
  { socket, binding, listen }: SecureStream,
  { dialled, expected, probe = false, relay }: Greeting,
  settings: LinkSettings,
  handlers: LinkHandlers,
  door: Door,
): Promise<Link | undefined> {
  return new Promise((resolve, reject) => {
    let proved: Proved | undefined;
    let isProbe = probe;
    /** Our proof is held back until it is seen who stays. */
    let held = false;
    /** Nothing more is read: it is decided, or is being decided. */
    let done = false;
    let link: Link | undefined;

    const fail = (thrown: unknown) => {
      done = true;
      socket.destroy();
      reject(asHearsayError(thrown, 'unreachable'));
    };
    const onError = (error: Error) => fail(error);
    const onClose = () => fail(new HearsayError('unreachable', 'the connection was closed during the handshake'));
    socket.once('error', onError);
    socket.once('close', onClose);
    const leave = () => {
      done = true;
      socket.removeListener('error', onError);
      socket.removeListener('close', onClose);
    };
    /** Ends it so that what was said last still arrives. */
    const farewell = () => {
      leave();
      socket.on('error', () => {});
      socket.end();
      const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
      timer.unref();
      socket.once('close', () => clearTimeout(timer));
    };

    // Who it is, is known only in the end; until then by its address.
    const who = () => proved?.head.id ?? expected ?? relay ?? plainHost(socket.remoteAddress ?? '');
    const say = (message: Message) => {
      settings.tracer?.('out', who(), message);
      writeMessage(socket, message);
    };
    const prove = ({ head }: Proved) => {
      const statement = proofStatement(settings.identity.id, head.id, binding);
      say({ type: 'V', sig: settings.identity.sign(statement) });
    };
    const enter = (by: Proved) => {
      leave();
      link = new Link(socket, by, dialled, settings, handlers, relay);
      resolve(door.admit(link));
    };
    const settle = (newcomer: Proved) => {
      done = true;
      door.settle(newcomer.head.id, newcomer.instance).then(
        () => {
          if (socket.destroyed) return;
          prove(newcomer);
          enter(newcomer);
        },
        (thrown) => {
          const { code, message } = asHearsayError(thrown);
          if (!socket.destroyed) say({ type: 'E', number: 0, code, id: null, message });
          farewell();
          reject(thrown);
        },
      );
    };

    const onHello = (message: Extract<Message, { type: 'H' }>) => {
      if (message.protocol !== PROTOCOL) {
        throw new HearsayError('other-version', `the other side speaks protocol ${message.protocol}, we ${PROTOCOL}`);
      }
      const head = readHead(message.head);
      if (!verifySignature(head.key, headStatement(message.head), message.sig)) {
        throw new HearsayError('bad-message', 'a hello with a wrong signature');
      }
      if (head.id === settings.identity.id) {
        throw new HearsayError(
          'unreachable',
          'that is this peer itself, or one that runs with a copy of its state folder',
        );
      }
      if (expected !== undefined && head.id !== expected) {
        throw new HearsayError('unreachable', `another peer answers there: ${head.id}`);
      }
      proved = { head, packed: message.head, sig: message.sig, instance: message.instance };
      isProbe ||= !dialled && message.probe;
      held = !isProbe && door.isRival(head.id, message.instance);
      if (!held) prove(proved);
    };
    const onProof = (by: Proved, sig: Uint8Array) => {
      const statement = proofStatement(by.head.id, settings.identity.id, binding);
      if (!verifySignature(by.head.key, statement, sig)) {
        throw new HearsayError('bad-message', 'a proof that does not fit');
      }
      if (isProbe) {
        farewell();
        resolve(undefined);
      } else if (held) settle(by);
      else enter(by);
    };
    const onFrame = (frame: Buffer) => {
      if (link) return link.receive(frame);
      if (done) return;
      const message = decode(frame, 'tcp');
      settings.tracer?.('in', who(), message);
      if (!proved && message.type === 'H') onHello(message);
      else if (proved && message.type === 'V') onProof(proved, message.sig);
      else if (proved && message.type === 'E') {
        const { code, message: text } = message;
        throw new HearsayError(saidCode(code), printable(text) || 'the other side ended the handshake');
      } else throw new HearsayError('bad-message', `${message.type} before the handshake was done`);
    };
    const decoder = new FrameDecoder(onFrame);
    const intake = new Intake(socket, BREATH, (data) => {
      try {
        if (link ? !link.open : done) return;
        decoder.push(data);
        // A message that is whole tells of itself.
        if (link?.open && decoder.unfinished >= HEARD_BYTES) link.heard();
      } catch (thrown) {
        if (link) link.close(asHearsayError(thrown));
        else fail(thrown);
      }
    });
    listen((data) => {
      link?.touch();
      intake.push(data);
    });
    const { head, sig } = settings.hello();
    say({ type: 'H', protocol: PROTOCOL, head, sig, instance: settings.instance, probe });
  });
}
