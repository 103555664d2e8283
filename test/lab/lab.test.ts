import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Lab } from './lab.js';
import { labTest } from './lab-test.js';

const PROBE = [process.execPath, fileURLToPath(new URL('./probe.js', import.meta.url))];
const script = (source: string, ...args: string[]) => [process.execPath, '--input-type=module', '-e', source, ...args];

labTest('hosts hear each other by multicast on IPv4 and IPv6 without a default route', 3, async (t, lab) => {
  const probes = lab.hosts.map((host) => host.exec(PROBE));
  for (const [i, probe] of probes.entries()) {
    const ready = await probe.waitFor(/^ready/, 10_000);
    t.regex(ready, new RegExp(`10\\.47\\.0\\.${i + 1} fe80::\\S+%eth0 127\\.0\\.0\\.1`));
  }
  probes[0].type('hello');
  for (const probe of probes.slice(1)) {
    await probe.waitFor(/^heard hello from 10\.47\.0\.1$/, 5000);
    await probe.waitFor(/^heard hello from fe80::.*%eth0$/, 5000);
  }
  t.false(probes[0].stdout.some((line) => line.startsWith('heard')));
  const routes = await lab.hosts[0].run(['ip', 'route']);
  t.is(routes.code, 0);
  t.true(routes.stdout.every((line) => line.startsWith('10.47.0.0/24') && line.includes('congctl cubic')));
  t.deepEqual(
    probes.flatMap((probe) => probe.stderr),
    [],
  );
});

labTest('a cut host hears nothing, and again after mending', 2, async (t, lab) => {
  const [a, b] = lab.hosts.map((host) => host.exec(PROBE));
  await Promise.all([a, b].map((probe) => probe.waitFor(/^ready/, 10_000)));
  await lab.hosts[1].cut();
  await b.waitFor(/^changed 127\.0\.0\.1$/, 15_000);
  a.type('during');
  await lab.hosts[1].mend();
  await b.waitFor(/^changed 10\.47\.0\.2 .*%eth0/, 15_000);
  a.type('after');
  await b.waitFor(/^heard after from 10/, 15_000);
  b.type('back');
  await a.waitFor(/^heard back from 10/, 15_000);
  await a.waitFor(/^heard back from fe80/, 15_000);
  t.false(b.stdout.some((line) => line.startsWith('heard during')));
});

const SUBNETS = [{ subnet: 1 }, { subnet: 1 }, { subnet: 2 }, { subnet: 3 }];

labTest(
  'a router joins subnets for unicast, and passes on neither multicast nor broadcast',
  SUBNETS,
  async (t, lab) => {
    const [one, beside, two, three] = lab.hosts;
    t.deepEqual(
      lab.hosts.map(({ address }) => address),
      ['10.1.0.1', '10.1.0.2', '10.2.0.3', '10.3.0.4'],
    );
    const probes = lab.hosts.map((host) => host.exec(PROBE));
    await Promise.all(probes.map((probe) => probe.waitFor(/^ready/, 10_000)));
    const spray = `
import { createSocket } from 'node:dgram';
const [to, port] = [process.argv[1], Number(process.argv[2])];
const socket = createSocket('udp4');
socket.bind(0, () => { socket.setBroadcast(true); socket.setMulticastTTL(8); socket.send('x', port, to, () => socket.close()); });`;
    const listen = `
import { createSocket } from 'node:dgram';
const socket = createSocket({ type: 'udp4', reuseAddr: true }, (data, from) => console.log('got', String(data), from.address));
socket.bind(7000, () => { socket.addMembership('239.1.2.3'); console.log('ready'); });`;
    const listeners = lab.hosts.map((host) => host.exec(script(listen)));
    await Promise.all(listeners.map((listener) => listener.waitFor(/^ready/, 10_000)));
    for (const to of ['239.1.2.3', '10.1.0.255', '10.2.0.255', '10.3.0.255', '255.255.255.255']) {
      t.is((await one.run(script(spray, to, '7000'))).code, 0);
    }
    probes[0].type('hello');
    await probes[1].waitFor(/^heard hello from 10\.1\.0\.1$/, 5000);
    await listeners[1].waitFor(() => listeners[1].stdout.filter((line) => line.startsWith('got')).length >= 3, 5000);
    // What is sent last arrives last: what a router passed on of the others would be here by then.
    for (const [i, host] of [two, three].entries()) {
      t.is((await one.run(script(spray, host.address, '7000'))).code, 0);
      await listeners[i + 2].waitFor(/^got/, 5000);
      t.deepEqual(listeners[i + 2].stdout, ['ready', 'got x 10.1.0.1']);
      t.false(probes[i + 2].stdout.some((line) => line.startsWith('heard')));
      // And back.
      t.is((await host.run(script(spray, beside.address, '7000'))).code, 0);
      await listeners[1].waitFor(new RegExp(`^got x ${host.address}$`), 5000);
    }
    await lab.router.filter([`ip saddr ${two.address} ip daddr ${three.address} drop`]);
    t.is((await two.run(script(spray, three.address, '7000'))).code, 0);
    t.is((await one.run(script(spray, three.address, '7000'))).code, 0);
    await listeners[3].waitFor(() => listeners[3].stdout.length === 3, 5000);
    t.deepEqual(listeners[3].stdout.slice(1), ['got x 10.1.0.1', 'got x 10.1.0.1']);
  },
);

const SINK = `
import { createServer } from 'node:net';
let bytes = 0, start;
createServer((socket) => {
  socket.on('data', (data) => { start ??= performance.now(); bytes += data.length; });
  socket.on('end', () => { console.log('mbit', (bytes * 8) / 1000 / (performance.now() - start)); process.exit(); });
}).listen(7000, () => console.log('ready'));`;
const SOURCE = `
import { connect } from 'node:net';
const socket = connect(7000, process.argv[1]);
socket.end(Buffer.alloc(Number(process.argv[2])));`;

labTest('a link has the rate that was asked for', [{ rate: 100 }, {}], async (t, lab) => {
  for (const [from, to] of [
    [lab.hosts[0], lab.hosts[1]],
    [lab.hosts[1], lab.hosts[0]],
  ]) {
    const sink = to.exec(script(SINK));
    await sink.waitFor(/^ready/, 10_000);
    from.exec(script(SOURCE, to.address, '8000000'));
    const mbit = Number((await sink.waitFor(/^mbit/, 20_000)).split(' ')[1]);
    t.true(mbit > 60 && mbit < 110, `${mbit} Mbit/s`);
    await sink.waitForExit(5000);
  }
});

const COUNT = `
import { createSocket } from 'node:dgram';
let count = 0;
const socket = createSocket('udp4', (data) => {
  if (data.length > 1) count++;
  else { console.log('count', count); process.exit(); }
});
socket.bind(7000, () => console.log('ready'));`;
const SPRAY = `
import { createSocket } from 'node:dgram';
const socket = createSocket('udp4');
const send = (data) => new Promise((resolve) => socket.send(data, 7000, process.argv[1], resolve));
for (let i = 0; i < 1000; i++) {
  await send(Buffer.alloc(100));
  if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
// The end may be lost as well.
for (let i = 0; i < 50; i++) await send(Buffer.alloc(1));
socket.close();`;

async function arrived(lab: Lab): Promise<number> {
  const [from, to] = lab.hosts;
  const counter = to.exec(script(COUNT));
  await counter.waitFor(/^ready/, 10_000);
  from.exec(script(SPRAY, to.address));
  const count = Number((await counter.waitFor(/^count/, 10_000)).split(' ')[1]);
  await counter.waitForExit(5000);
  return count;
}

labTest('a link loses what was asked for', [{}, { loss: 30, lossOf: 'udp' }], async (t, lab) => {
  const some = await arrived(lab);
  t.true(some > 600 && some < 800, `${some} of 1000 arrived`);
  await lab.hosts[1].loss(0);
  t.is(await arrived(lab), 1000);
});

/** Whether a process is gone, or dead and only not yet collected by its parent. */
function hasEnded(pid: string): boolean {
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

labTest('nothing is left when a lab is closed', 1, async (t) => {
  const lab = await Lab.open(1);
  const { namespace } = lab.hosts[0];
  const sleeper = lab.hosts[0].exec(['sh', '-c', 'echo $$; sleep 1000 & echo $!; wait']);
  await sleeper.waitFor(() => sleeper.stdout.length === 2, 5000);
  t.true(existsSync(`/run/netns/${namespace}`));
  await lab.close();
  t.deepEqual(await sleeper.exited, { code: 137 });
  t.false(existsSync(lab.folder));
  t.false(readdirSync('/run/netns').some((name) => name.startsWith(namespace.slice(0, -2))));
  for (const pid of sleeper.stdout) t.true(hasEnded(pid), `process ${pid}`);
});
