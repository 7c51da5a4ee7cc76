import { GatewayError } from "../errors/errors.ts";
import type { ClientRequest } from "../transport/downstream.ts";

/**
 * Checks that a request comes from this machine, which opens the administration where there is no key. Three senders can
 * pretend to be this machine: a proxy on it that passes on foreign requests, a web page in a browser on it (CWE-352), and a
 * foreign name that resolves to loopback (DNS rebinding, CWE-350).
 *
 * `hosts`: the gateway's names, in addition to those of loopback. Throws forbidden.
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
 * Without a key, a web page under a foreign name that resolves to loopback could use the gateway like its own server. Its
 * requests come from a browser on this machine, without a proxy, and under a host name that is not the gateway's. Throws
 * forbidden for them.
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

/** Headers in which proxies name their client. A proxy that adds none of them looks like a program on this machine. */
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

/** Whether the address is in 127.0.0.0/8 (also in its IPv6 form) or is ::1. */
function isLoopbackAddress(address: string): boolean {
  return address === "::1" || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/i.test(address);
}

/** Whether the name always means this machine. */
function isOwnHost(name: string, hosts: readonly string[]): boolean {
  return name === "localhost" || name.endsWith(".localhost") || isLoopbackAddress(name) || hosts.includes(name);
}

/** The host name without port and brackets, in lower case. */
function hostName(host: string): string {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name.startsWith("[") ? name.slice(1, -1) : name;
}

function isForeignOrigin(origin: string | null, host: string): boolean {
  return origin !== null && origin !== `http://${host}` && origin !== `https://${host}`;
}
