/** Where a socket listens, or sends from. */
export interface Endpoint {
  /** An address without brackets, for IPv6 link-local ones with its zone; a name only where a person gave it. */
  host: string;
  port: number;
}

/** "ip:port", with brackets round IPv6. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
