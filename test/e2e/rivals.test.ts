/** Two processes that run with copies of one key, and the look at who answers at an address. */
import { randomBytes } from 'node:crypto';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openGroup } from '../../lib/net/group-keys.js';
import type { Link } from '../../lib/net/link.js';
import { Links } from '../../lib/net/links.js';
import { tlsTransport } from '../../lib/net/transport.js';
import { type Message, PROTOCOL } from '../../lib/wire/table.js';
import { codeOf, Lan, until } from './lan.js';
import { RawPeer, secureSocket } from './raw.js';

/** All connections of one process. @param of whose key it has, its own where left out */
function links(t: ExecutionContext, of = new RawPeer(t, 'one', false), instance = randomBytes(8)) {
  const opened: Link[] = [];
  const ended: string[] = [];
  const heard: Message[] = [];
  const on = { answers: true };
  const all: Links = new Links(
    { identity: of.identity, instance, hello: () => of.head({ port: all.port }) },
    tlsTransport(openGroup()),
    {
      opened: (link) => opened.push(link),
      message: (link, message) => {
        heard.push(message);
        if (message.type === 'p' && on.answers) link.send({ ...message, answer: true });
      },
      heard: () => {},
      closed: (_, why) => ended.push(why.message),
    },
  );
  t.teardown(() => all.close());
  return { all, opened, ended, heard, on, raw: of, id: of.id };
}

const here = (port: number) => ({ host: '127.0.0.1', port });

test('of two processes of one key the second is turned away and told why, while the first answers', async (t) => {
  const hub = links(t);
  const port = await hub.all.listen(0, 0);
  const first = links(t);
  const twin = links(t, first.raw);
  const link = await first.all.dial(here(port));
  const at = performance.now();
  t.is(await codeOf(twin.all.dial(here(port))), 'id-taken');
  t.true(performance.now() - at < 1500, 'as soon as the first has answered');
  t.true(link.open);
  t.is(hub.opened.length, 1);
  t.deepEqual(hub.all.get(first.id)?.instance, link === undefined ? undefined : hub.opened[0].instance);
  t.deepEqual(twin.opened, []);
  // And again: nothing is left of the first attempt.
  t.is(await codeOf(twin.all.dial(here(port))), 'id-taken');
  await first.all.close();
  await until(() => hub.ended.length === 1, 'the first has gone');
  t.true((await twin.all.dial(here(port))).open);
});

test('where the first does not answer, as one whose machine died, the newcomer gets in within 2 s', async (t) => {
  const hub = links(t);
  const port = await hub.all.listen(0, 0);
  const first = links(t);
  const again = links(t, first.raw);
  await first.all.dial(here(port));
  first.on.answers = false;
  const at = performance.now();
  const link = await again.all.dial(here(port));
  const took = performance.now() - at;
  t.true(took > 1900 && took < 3000, `${took} ms`);
  t.true(link.open);
  await until(() => hub.ended.length === 1, 'the first has ended');
  t.deepEqual(hub.ended, ['replaced by a newer connection']);
  t.deepEqual(hub.all.get(first.id), hub.opened[1]);
  // What is said at once arrives.
  link.send({ type: 'p', number: 7, answer: false });
  await until(() => again.heard.some((m) => m.type === 'p' && m.number === 7 && m.answer), 'it is answered');
});

test('one newcomer of an id waits at a time; whoever else comes is turned away at once', async (t) => {
  const hub = links(t);
  const port = await hub.all.listen(0, 0);
  const first = links(t);
  await first.all.dial(here(port));
  first.on.answers = false;
  const second = links(t, first.raw);
  const waiting = second.all.dial(here(port));
  await until(() => first.heard.some((m) => m.type === 'p'), 'the first is asked');
  const at = performance.now();
  t.is(await codeOf(links(t, first.raw).all.dial(here(port))), 'id-taken');
  t.true(performance.now() - at < 1000);
  // The same process by another address shares the outcome.
  const beside = second.all.dial(here(port));
  await Promise.all([waiting, beside]);
  t.is(first.heard.filter((m) => m.type === 'p').length, 1);
  await until(() => [...hub.all.all].length === 1, 'one is left');
});

test('who is dialled and turns out to be a second process is not taken in while the first answers', async (t) => {
  const hub = links(t);
  const port = await hub.all.listen(0, 0);
  const first = links(t);
  await first.all.dial(here(port));
  const twin = links(t, first.raw);
  const theirs = await twin.all.listen(0, 0);
  t.is(await codeOf(hub.all.dial(here(theirs), first.id)), 'id-taken');
  t.deepEqual(hub.opened.length, 1);
  t.deepEqual(twin.opened, []);
  t.true(hub.all.get(first.id)?.open);
  first.on.answers = false;
  t.true((await hub.all.dial(here(theirs), first.id)).open);
  await until(() => twin.opened.length === 1, 'the other side has it too');
});

test('who only repeats the hello of another makes nobody ask that one anything', async (t) => {
  const hub = links(t);
  const port = await hub.all.listen(0, 0);
  const first = links(t);
  await first.all.dial(here(port));
  const thief = await secureSocket(t, port);
  thief.socket.resume();
  const { head, sig } = first.raw.head();
  thief.send({ type: 'H', protocol: PROTOCOL, head, sig, instance: randomBytes(8), probe: false });
  thief.send({ type: 'V', sig: randomBytes(64) });
  await thief.ended();
  t.deepEqual(first.heard, []);
  t.true(hub.all.get(first.id)?.open);
});

test('a check proves who answers at an address, and makes no link', async (t) => {
  const hub = links(t);
  const peer = links(t);
  const other = links(t);
  const [port, otherPort] = [await peer.all.listen(0, 0), await other.all.listen(0, 0)];
  t.true(await hub.all.check(here(port), peer.id));
  t.false(await hub.all.check(here(otherPort), peer.id), 'another peer answers there');
  await other.all.close();
  t.false(await hub.all.check(here(otherPort), other.id), 'nobody does');
  // Beside a link, which stays; and by another process of the checking peer too.
  const link = await hub.all.dial(here(port));
  t.true(await hub.all.check(here(port), peer.id));
  t.true(await links(t, hub.raw).all.check(here(port), peer.id));
  t.true(link.open);
  t.is(peer.opened.length, 1);
  t.is(hub.opened.length, 1);
  t.deepEqual([...hub.ended, ...peer.ended], []);
  t.deepEqual(peer.heard, []);
});

test('a peer that has no key proves nothing to a check', async (t) => {
  const hub = links(t);
  const liar = new RawPeer(t, 'liar', false);
  const victim = new RawPeer(t, 'victim', false);
  // It has the victim's head, as everybody does, and its own key.
  liar.head = () => victim.head();
  await liar.listen();
  t.false(await hub.all.check(here(liar.port), victim.id));
  t.false(await hub.all.check(here(liar.port), liar.id));
});

test('who runs with a copy of a state folder is told so where it joins, and what to do', async (t) => {
  const lan = await Lan.make(t);
  const quiet = { multicast: false };
  const hub = await lan.peer('hub', quiet);
  const joined = { ...quiet, join: [`127.0.0.1:${hub.peer.port}`] };
  const first = await lan.peer('first', { ...joined, files: { 'one/a': 'of the first' } });
  await hub.knows('one/a');
  const state = join(await lan.fresh('copy'), 'state');
  await cp(join(first.root, '.state', 'identity.json'), join(state, 'identity.json'));
  const second = await lan.peer('second', { ...joined, state, files: { 'two/b': 'of the second' } });
  t.is(second.id, first.id);
  await until(() => [...second.peer.unjoined.values()].some(({ code }) => code === 'id-taken'), 'it is told');
  const told = second.told('warning').map(({ message }) => message);
  t.true(
    told.some((message) => /cannot be joined: another process that runs with a copy of the same key/.test(message)),
    `${told}`,
  );
  const { findings } = await second.peer.doctor();
  t.regex(findings.find(({ topic }) => topic === 'join')?.advice ?? '', /--state DIR/);
  t.is(hub.offers('one/a').length, 1);
  t.deepEqual(hub.offers('two/b'), []);
});
