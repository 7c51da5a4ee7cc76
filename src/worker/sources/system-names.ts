import { Resolver, lookup } from "node:dns/promises";
import type { NameResolver } from "./dns-source.ts";

/**
 * Names as the system resolves them: addresses also by its file of hosts and its search domains, SRV records by its servers alone.
 * `servers`: other servers than the system's for SRV records, `ADDRESS:PORT` each.
 */
export function systemNames(servers?: readonly string[]): NameResolver {
  const resolver = new Resolver({ timeout: 3000, tries: 3 });
  if (servers) resolver.setServers(servers);
  return {
    addresses: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    services: (name) => resolver.resolveSrv(name),
  };
}
