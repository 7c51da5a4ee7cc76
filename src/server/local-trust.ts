import { GatewayError } from "../errors/errors.ts";
import type { ClientRequest } from "../transport/downstream.ts";

/**
 * Where no key stands before the administration, being on this machine is what opens it. Three things can pretend to be:
 * a proxy on this machine that speaks for somebody else, a web page in a browser of this machine (CWE-352), and a name
 * of somebody else's that resolves to loopback (DNS rebinding, CWE-350).
 *
 * `hosts`: names, besides those of loopback, under which the gateway is asked. Throws forbidden.
 */
export function checkLocal(
  { headers, peerAddress }: Pick<ClientRequest, "headers" | "peerAddress">,
  hosts: readonly string[],
): void {
  if (!isLoopbackAddress(peerAddress)) refuse("the administration is open to this machine only");
  if (PROXY_HEADERS.some((name) => headers.has(name))) {
    refuse("the administration is open to this machine only, and a proxy speaks for somebody else");
  }
  const host = headers.get("host") ?? "";
  if (!isOwnHost(hostName(host), hosts)) refuse("the administration is not known under this host name");
  const site = headers.get("sec-fetch-site");
  const isForeignSite = site !== null && site !== "same-origin" && site !== "none";
  if (isForeignSite || isForeignOrigin(headers.get("origin"), host)) {
    refuse("pages of another site may not use the administration");
  }
}

/**
 * Without a key a page under a name that somebody resolved to loopback could talk to the gateway as if it were its own
 * server. Such a request comes from a browser of this machine, with no proxy between, under a host name that is not ours.
 * Throws forbidden.
 */
export function checkNotRebound(
  caller: Pick<ClientRequest, "headers" | "peerAddress">,
  hosts: readonly string[],
): void {
  const { headers } = caller;
  const isOfBrowser = headers.has("origin") || headers.has("sec-fetch-site");
  if (!isOfBrowser || isOwnHost(hostName(headers.get("host") ?? ""), hosts)) return;
  if (!isLoopbackAddress(caller.peerAddress) || PROXY_HEADERS.some((name) => headers.has(name))) return;
  throw new GatewayError(
    "forbidden",
    "pages may not use the gateway under this host name: set `api_key`, or give the name as `host`",
  );
}

function refuse(reason: string): never {
  throw new GatewayError("forbidden", `${reason}: set \`admin_api_key\`, and send it as \`Authorization: Bearer KEY\``);
}

/** What proxies add to say for whom, or for which address, they ask. One that adds none of these cannot be told from a program of this machine. */
const PROXY_HEADERS = [
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-forwarded-server",
  "x-forwarded-client-cert",
  "x-original-forwarded-for",
  "x-real-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "true-client-ip",
  "cf-connecting-ip",
  "fly-client-ip",
  "x-envoy-external-address",
  "x-envoy-original-path",
] as const;

/** 127.0.0.0/8, ::1, and the former as IPv6 shows it. */
function isLoopbackAddress(address: string): boolean {
  return address === "::1" || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/i.test(address);
}

/** Names that mean this machine wherever they are resolved. */
function isOwnHost(name: string, hosts: readonly string[]): boolean {
  return name === "localhost" || name.endsWith(".localhost") || isLoopbackAddress(name) || hosts.includes(name);
}

/** Without port and brackets, in lower case. */
function hostName(host: string): string {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name.startsWith("[") ? name.slice(1, -1) : name;
}

function isForeignOrigin(origin: string | null, host: string): boolean {
  return origin !== null && origin !== `http://${host}` && origin !== `https://${host}`;
}
