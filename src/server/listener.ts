import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { ENDPOINTS, PARSE_ENDPOINTS } from "../protocol/endpoints.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { ClientRequest, Reply, WholeReply } from "../transport/downstream.ts";
import { HttpServer } from "../transport/http1-server/http-server.ts";
import type { RequestHead } from "../transport/http1-server/request-head.ts";
import type { PortTls } from "../transport/tls/server-tls.ts";
import { refuseLoop } from "../transport/via.ts";
import type { ControlRequest } from "./control-app.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { createCors } from "./cors.ts";
import type { DataPlane } from "./data-plane.ts";
import { errorReply } from "./error-reply.ts";
import { requestIdOf } from "./request-id.ts";
import type { Method } from "./route.ts";
import { RouteTable } from "./route-table.ts";
import { unknownRoute } from "./unknown-route.ts";

type Peer = Pick<ClientRequest, "peerAddress">;
type Handler = (request: ClientRequest, requestId: string, params: Readonly<Record<string, string>>) => Promise<Reply>;

/** The public part of a route. Its handler may be on another thread. */
export interface RouteAddress {
  readonly method: Method;
  readonly path: string;
}

export interface ListenerSettings {
  /** Origins whose pages may call; `*` for all. */
  readonly corsAllowedOrigins: readonly string[];
  /** Headers that may have the request's id; the first one present is used. */
  readonly requestIdHeaders: readonly string[];
  /** Time without a request after which a connection is closed, ms; Infinity for never. */
  readonly idleMs: number;
  /** Most connections of one address at once; Infinity for no bound. */
  readonly maxPerAddress: number;
}

export interface ListenerDeps<R extends RouteAddress> {
  readonly settings: ListenerSettings;
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  /** The certificate of the port; undefined: it speaks no TLS. */
  readonly tls: PortTls | undefined;
  /** undefined on a port without inference. */
  readonly dataPlane: DataPlane | undefined;
  /** The gateway's entry in `Via`, by which it knows requests that come back; undefined on a port without inference. */
  readonly via: string | undefined;
  readonly routes: readonly R[];
  readonly answer: (route: R, request: ControlRequest) => Promise<Reply>;
  /** Counts the bytes that are held of requests. */
  readonly account: ByteBudget;
  /** Most connections at once. It changes with the process's limit of open files. */
  readonly maxConnections: () => number;
  readonly metrics: Metrics;
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

/** An open port. */
export interface Listener extends Pick<
  HttpServer,
  "port" | "connections" | "unfinished" | "beginToLeave" | "stopListening" | "stop" | "replaceCertificate"
> {
  /** Changes the settings for the next requests, and the bounds of all connections. */
  replace(settings: ListenerSettings): void;
}

/**
 * Listens, and routes requests by their raw paths. Throws Bun's error if the address is not available (EADDRINUSE, EACCES).
 */
export function listen<R extends RouteAddress>(deps: ListenerDeps<R>): Listener {
  const { dataPlane, via } = deps;
  let { settings } = deps;
  let cors = createCors(settings.corsAllowedOrigins);
  const table = new RouteTable<Handler>();
  if (dataPlane) {
    for (const endpoint of INFERENCE) {
      table.add("POST", endpoint.path, (request, requestId) => dataPlane.handle(endpoint, request, requestId));
    }
  }
  const endpoints = new Map(dataPlane ? INFERENCE.map((endpoint) => [endpoint.path, endpoint]) : []);
  for (const route of deps.routes) {
    table.add(route.method, route.path, (request, requestId, params) =>
      deps.answer(route, { request, params, requestId }).catch((thrown: unknown) => refused(thrown, requestId)),
    );
  }
  const refused = (thrown: unknown, requestId: string): Reply => {
    const error = asGatewayError(thrown);
    if (error.code === "internal_error") deps.onDefect(error, requestId);
    return errorReply(error, openaiDialect, requestId);
  };
  const answer = (request: ClientRequest): Reply | Promise<Reply> => {
    const requestId = requestIdOf(request.headers, settings.requestIdHeaders);
    try {
      if (via !== undefined) refuseLoop(via, request.headers);
      return cors.preflight(request) ?? route(table, request, requestId);
    } catch (thrown) {
      return refused(thrown, requestId);
    }
  };
  const screen = ({ method, path, headers }: RequestHead, from: Peer): WholeReply | undefined => {
    if (dataPlane?.refusals.isFlooded !== true || method !== "POST") return undefined;
    const endpoint = endpoints.get(path);
    return endpoint && dataPlane.refusals.screen(endpoint, headers, from, settings.requestIdHeaders);
  };
  const finish = (request: Pick<ClientRequest, "headers">, reply: Reply): void => {
    if (dataPlane?.isFull === true) reply.endsConnection = true;
    cors.allow(request, reply);
  };
  const server = new HttpServer({
    tls: deps.tls,
    hostname: deps.hostname,
    port: deps.port,
    reusePort: deps.reusePort,
    onHandshake: (result) => deps.metrics.increment("tlsHandshakes", { result }),
    idleMs: settings.idleMs,
    maxConnections: deps.maxConnections,
    maxPerAddress: settings.maxPerAddress,
    account: deps.account,
    screen,
    handle: answer,
    finish,
    refuse: (error) => {
      deps.metrics.increment("refusals", { code: error.code });
      return refuse(error);
    },
    onDefect: (error) => deps.onDefect(asGatewayError(error), ""),
  });
  return {
    port: server.port,
    get connections() {
      return server.connections;
    },
    get unfinished() {
      return server.unfinished;
    },
    beginToLeave: () => server.beginToLeave(),
    stopListening: () => server.stopListening(),
    stop: () => server.stop(),
    replaceCertificate: (next) => server.replaceCertificate(next),
    replace(next) {
      settings = next;
      cors = createCors(next.corsAllowedOrigins);
      server.replace(next);
    },
  };
}

const INFERENCE = [...ENDPOINTS, ...PARSE_ENDPOINTS];

/** The answer to bytes that are not a request. Its API is unknown, so it has OpenAI's shape. */
export function refuse(error: GatewayError): WholeReply {
  return errorReply(error, openaiDialect, crypto.randomUUID());
}

/** Throws unknown_url, method_not_allowed. */
function route(table: RouteTable<Handler>, request: ClientRequest, requestId: string): Promise<Reply> | Reply {
  const match = table.find(request.path);
  if (!match) throw unknownRoute(request.path);
  const handler = match.handlers.get(request.method === "HEAD" ? "GET" : request.method);
  if (handler) return handler(request, requestId, match.params);
  if (isWebSocket(request)) {
    // Clients that try a WebSocket first continue with POST at once after this error. After other errors they wait and try again.
    throw new GatewayError("websocket_unsupported", "this route is not spoken over a WebSocket: POST to it", {
      headers: { upgrade: "HTTP/1.1", connection: "upgrade" },
    });
  }
  const allow = [...match.handlers.keys()];
  throw new GatewayError("method_not_allowed", `this route takes ${allow.join(", ")}`, { allow });
}

/** Whether the request opens a WebSocket (RFC 6455, section 4.1). */
function isWebSocket({ method, headers }: ClientRequest): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** The URL of a port; an IPv6 address gets its brackets. */
export function urlOf(port: number | undefined, host: string, isTls: boolean): string {
  return `${isTls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
