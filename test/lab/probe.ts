/**
 * A program for the lab: multicasts each line of its input, and prints what it hears as `heard TEXT from ADDRESS`.
 * Notices cards that come and go.
 */
import { createInterface } from 'node:readline';
import { watchInterfaces } from '../../lib/net/interfaces.js';
import { Multicast } from '../../lib/net/udp.js';

const multicast = await Multicast.open({
  group: '239.255.47.48',
  port: 47748,
  enabled: true,
  onDatagram: (data, from) => console.log(`heard ${data} from ${from.host}`),
  onWarning: (message) => console.log(`warning ${message}`),
});
watchInterfaces(async () => {
  await multicast.refresh();
  console.log(`changed ${multicast.addresses().join(' ')}`);
}, 100);
// Only now: what changes after this line was printed is noticed.
console.log(`ready ${multicast.addresses().join(' ')}`);
for await (const line of createInterface({ input: process.stdin })) multicast.send(Buffer.from(line));
await multicast.close();
