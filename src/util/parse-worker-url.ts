import { CARRIES_USER, carriesUser } from "./address-user.ts";

/** The protocol that the gateway speaks with a worker. */
export type ConnectionMode = "http" | "grpc";

type ParsedWorkerUrl =
  | {
      readonly ok: true;
      readonly url: string;
      readonly connectionMode: ConnectionMode;
      /** A path that was removed from the address: the one that clients of an OpenAI API use. */
      readonly leftOut?: "/v1";
    }
  | { readonly ok: false; readonly reason: string };

const MODES: ReadonlyMap<string, ConnectionMode> = new Map([
  ["http:", "http"],
  ["https:", "http"],
  ["grpc:", "grpc"],
  ["grpcs:", "grpc"],
]);

// oxlint-disable-next-line no-control-regex -- these are what it looks for
const NOT_WRITTEN_IN_ADDRESSES = /[\u0000-\u0020\u007f]/;

/**
 * The address of a worker: `http(s)://host[:port]`, `grpc(s)://host:port`, or `host:port`, which means HTTP (ADR 0010).
 * The result is an origin: scheme and host in lower case, no trailing slash. `/v1` after an HTTP address is removed,
 * because people copy it from the settings of a client. Any other path, query, fragment or user is refused.
 */
export function parseWorkerUrl(text: string): ParsedWorkerUrl {
  const trimmed = text.trim();
  // The URL parser drops tabs and line breaks. The gateway would then ask another address than the one that was written.
  if (NOT_WRITTEN_IN_ADDRESSES.test(trimmed)) {
    return { ok: false, reason: "it must not contain spaces or control characters" };
  }
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`;
  let url: URL;
  try {
    url = new URL(whole);
  } catch {
    return { ok: false, reason: "it is not a URL such as http://host:port" };
  }
  const connectionMode = MODES.get(url.protocol);
  if (!connectionMode)
    return { ok: false, reason: `the scheme ${url.protocol}// is not one of http, https, grpc, grpcs` };
  if (url.hostname === "") return { ok: false, reason: "it has no host" };
  if (carriesUser(url)) return { ok: false, reason: `it ${CARRIES_USER}` };
  if (url.port === "0") return { ok: false, reason: "nothing can be reached on port 0" };
  const hasVersion = connectionMode === "http" && /^\/+v1\/*$/.test(url.pathname);
  if ((!hasVersion && !/^\/*$/.test(url.pathname)) || url.search !== "" || url.hash !== "") {
    return { ok: false, reason: "it must not have a path (other than /v1), query or fragment" };
  }
  const origin = `${url.protocol}//${url.host.toLowerCase()}`;
  return { ok: true, url: origin, connectionMode, ...(hasVersion ? { leftOut: "/v1" } : {}) };
}

/** Most data-parallel ranks of one address. Far more than any engine has; a wrong number must not fill the registry. */
export const MAX_RANKS = 1024;
/** A data-parallel rank of an address, as workers are named. */
const RANK_NAME = /^(.+)@(\d{1,4})$/;

/** The name of a worker in the form of the registry: its address, or `ADDRESS@RANK`. Undefined where it is neither. */
export function workerNameOf(text: string): string | undefined {
  const [, address = text, rank] = RANK_NAME.exec(text.trim()) ?? [];
  const parsed = parseWorkerUrl(address);
  if (!parsed.ok) return undefined;
  return rank === undefined ? parsed.url : `${parsed.url}@${Number(rank)}`;
}

/** The protocol of a worker's address as `parseWorkerUrl` returns it. */
export function connectionModeOf(url: string): ConnectionMode {
  return url.startsWith("grpc") ? "grpc" : "http";
}

/** The notice for an address from which `/v1` was removed; undefined for other addresses. */
export function leftOutNotice(text: string): string | undefined {
  const parsed = parseWorkerUrl(text);
  if (!parsed.ok || parsed.leftOut === undefined) return undefined;
  return `the worker ${parsed.url} was given with ${parsed.leftOut}, which is left out: requests bring their own path`;
}
