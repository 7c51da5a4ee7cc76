import type { KvEventsSpec } from "../worker/worker-spec.ts";
import type { TcpAddress } from "./zmtp/tcp.ts";

/** A ZeroMQ endpoint. */
export interface Endpoint extends TcpAddress {
  /** The gateway waits there, and the engine connects. */
  readonly isBound: boolean;
}

/** The part of a worker that says where its engine publishes. */
export interface RankedAddress {
  readonly rank: { readonly index: number; readonly of: number } | undefined;
  readonly spec: { readonly url: string };
}

/** Where one rank of a worker publishes. */
export interface RankEndpoints {
  readonly live: Endpoint;
  readonly replay: Endpoint | undefined;
  /** The topics that are meant begin with this. */
  readonly topic: string;
}

/** The endpoints of all that a worker stands for: of one rank where it is one of several workers of an engine, otherwise of all ranks. */
export function endpointsFor(spec: KvEventsSpec, { rank, spec: { url } }: RankedAddress): readonly RankEndpoints[] {
  if (rank === undefined || rank.of === 1) return endpointsOf(spec, url);
  return endpointsOf({ ...spec, ranks: Math.max(spec.ranks, rank.of) }, url).slice(rank.index, rank.index + 1);
}

/**
 * The endpoints of an engine's ranks. `{host}` and `{port}` stand for the host and port of the worker's address, `{port+N}` and `{port-N}` for a
 * port beside it; each further rank has the next port, as engines do it. Throws RangeError for ports that do not exist or that two would have.
 */
export function endpointsOf(spec: KvEventsSpec, workerUrl: string): readonly RankEndpoints[] {
  const live = placeOf(spec.endpoint, workerUrl);
  const replay = spec.replayEndpoint === undefined ? undefined : placeOf(spec.replayEndpoint, workerUrl);
  const topic = filled(spec.topic, workerUrl);
  if (replay && replay.hostname === live.hostname && Math.abs(replay.port - live.port) < spec.ranks) {
    const ports = `${spec.ranks} ranks from port ${live.port} on, and their replays from ${replay.port} on`;
    throw new RangeError(`the KV events of ${workerUrl}: ${ports}, would have ports in common`);
  }
  return Array.from({ length: spec.ranks }, (_, rank) => ({
    live: { ...live, port: live.port + rank },
    replay: replay && { ...replay, port: replay.port + rank },
    topic,
  }));
}

function placeOf(template: string, workerUrl: string): Endpoint {
  const parsed = parseEndpoint(filled(template, workerUrl));
  if (typeof parsed !== "string") return parsed;
  // The configuration has checked the form; only a port that depends on the worker can still be wrong.
  throw new RangeError(`the KV events of ${workerUrl}: ${parsed}`);
}

function filled(template: string, workerUrl: string): string {
  const { hostname, port, protocol } = new URL(workerUrl);
  const own = port === "" ? (protocol.endsWith("s:") ? 443 : 80) : Number(port);
  return template
    .replaceAll("{host}", hostname)
    .replaceAll(/\{port(?:([+-])(\d{1,5}))?\}/g, (_, sign: string | undefined, by: string | undefined) =>
      String(own + (by === undefined ? 0 : Number(`${sign ?? "+"}${by}`))),
    );
}

/**
 * Reads `tcp://HOST:PORT`. With `*` as host, or with `@` before it (CZMQ's sign), the gateway binds the address. Returns why it is wrong as a sentence.
 */
export function parseEndpoint(text: string): Endpoint | string {
  const match = /^(@?)tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/[\]@]+):(\d{1,5})$/.exec(text);
  if (!match) return "an endpoint is tcp://HOST:PORT, or @tcp://HOST:PORT for one where the gateway waits for engines";
  const [, at = "", host = "", digits = ""] = match;
  const port = Number(digits);
  if (port < 1 || port > 65_535) return `there is no port ${digits}`;
  const hostname = host === "*" ? "0.0.0.0" : host.replace(/^\[(.*)\]$/, "$1");
  return { hostname, port, isBound: at === "@" || host === "*" };
}
