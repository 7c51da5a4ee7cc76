export type ParsedWorkerUrl =
  | { readonly ok: true; readonly url: string; readonly connectionMode: "http" | "grpc" }
  | { readonly ok: false; readonly reason: string };

const MODES: ReadonlyMap<string, "http" | "grpc"> = new Map([
  ["http:", "http"],
  ["https:", "http"],
  ["grpc:", "grpc"],
  ["grpcs:", "grpc"],
]);

/**
 * The address of a worker: `http(s)://host[:port]`, `grpc(s)://host:port`, or `host:port`, which is taken as HTTP.
 * The result is an origin: scheme and host in lower case, no trailing slash. Path, query, fragment and user are refused.
 */
export function parseWorkerUrl(text: string): ParsedWorkerUrl {
  const trimmed = text.trim();
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
  if (url.username !== "" || url.password !== "") return { ok: false, reason: "it must not carry a user or password" };
  if (!/^\/*$/.test(url.pathname) || url.search !== "" || url.hash !== "") {
    return { ok: false, reason: "it must not have a path, query or fragment" };
  }
  return { ok: true, url: `${url.protocol}//${url.host.toLowerCase()}`, connectionMode };
}
