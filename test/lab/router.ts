/**
 * A router between the subnets of a lab: it passes unicast on, and neither multicast nor broadcast. Owns its namespace,
 * with a card ethN at 10.N.0.254 on the bridge of subnet N. Made and removed by Lab.
 */
import { filter, ip, removeNamespace, shell } from './namespace.js';

/** The last byte of the router's address in each subnet; hosts count from 1. */
const LAST = 254;

export const subnetAddress = (subnet: number, last: number) => `10.${subnet}.0.${last}`;
/** Where the hosts of a subnet send what is for others. */
export const gateway = (subnet: number) => subnetAddress(subnet, LAST);

export class Router {
  readonly namespace: string;
  readonly #bridge: string;
  readonly #subnets: readonly number[];

  constructor(namespace: string, bridge: string, subnets: readonly number[]) {
    this.namespace = namespace;
    this.#bridge = bridge;
    this.#subnets = subnets;
  }

  /** Makes it. @param bridgeOf the name of a subnet's bridge */
  async plug(bridgeOf: (subnet: number) => string): Promise<void> {
    const name = this.namespace;
    await ip('netns', 'add', name);
    await ip('-n', name, 'link', 'set', 'lo', 'up');
    for (const subnet of this.#subnets) {
      const [port, card] = [`router${subnet}`, `eth${subnet}`];
      await ip('-n', this.#bridge, 'link', 'add', port, 'type', 'veth', 'peer', 'name', card, 'netns', name);
      await ip('-n', this.#bridge, 'link', 'set', port, 'master', bridgeOf(subnet), 'up');
      await ip('-n', name, 'address', 'add', `${gateway(subnet)}/24`, 'dev', card);
      await ip('-n', name, 'link', 'set', card, 'up');
    }
    await shell(name, 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    await this.filter([]);
  }

  /**
   * What it drops besides multicast and broadcast: rules of nftables as they stand in a forward chain, for example
   * `ip saddr 10.1.0.1 ip daddr 10.2.0.2 tcp flags syn / syn,ack drop`. None drops nothing more.
   */
  async filter(rules: readonly string[]): Promise<void> {
    const broadcasts = ['255.255.255.255', ...this.#subnets.map((subnet) => subnetAddress(subnet, 255))];
    const all = [
      'ip daddr 224.0.0.0/4 drop',
      'ip6 daddr ff00::/8 drop',
      `ip daddr { ${broadcasts.join(', ')} } drop`,
      'meta pkttype { multicast, broadcast } drop',
      ...rules,
    ];
    await filter(this.namespace, [
      'add chain inet lab forward { type filter hook forward priority 0; policy accept; }',
      ...all.map((rule) => `add rule inet lab forward ${rule}`),
    ]);
  }

  async remove(): Promise<void> {
    await removeNamespace(this.namespace);
  }
}
