import type * as Dns from "node:dns/promises";
import { lazy } from "../../util/lazy.ts";
import type { NameResolver } from "./dns-source.ts";

const dns = lazy((): typeof Dns => require("node:dns/promises"));

/**
 * Names as the system resolves them: addresses also by its file of hosts and its search domains, SRV records by its servers alone.
 * `servers`: other servers than the system's for SRV records, `ADDRESS:PORT` each.
 */
export function systemNames(servers?: readonly string[]): NameResolver {
  const resolver = lazy(() => {
    const made = new (dns().Resolver)({ timeout: 3000, tries: 3 });
    if (servers) made.setServers(servers);
    return made;
  });
  return {
    addresses: async (host) => (await dns().lookup(host, { all: true })).map(({ address }) => address),
    services: (name) => resolver().resolveSrv(name),
  };
}
