import type { Config } from "../config/schema.ts";
import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { ENDPOINTS, PARSE_ENDPOINTS } from "../protocol/endpoints.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { ClientRequest, Reply, WholeReply } from "../transport/downstream.ts";
import { HttpServer } from "../transport/http1-server/http-server.ts";
import type { ControlRequest } from "./control-app.ts";
import { sideConnectionLimit } from "../util/descriptor-limit.ts";
import { ByteBudget } from "./byte-budget.ts";
import { createCors } from "./cors.ts";
import type { DataPlane } from "./data-plane.ts";
import { errorReply } from "./error-reply.ts";
import { requestIdOf } from "./request-id.ts";
import type { Method } from "./route.ts";
import { RouteTable } from "./route-table.ts";
import { bound } from "./settings.ts";
import { unknownRoute } from "./unknown-route.ts";

type Handler = (request: ClientRequest, requestId: string, params: Readonly<Record<string, string>>) => Promise<Reply>;

/** What a route is known by from outside: its handler may be on another thread. */
export interface RouteAddress {
  readonly method: Method;
  readonly path: string;
}

export interface ListenerDeps<R extends RouteAddress> {
  readonly config: Config;
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  /** Undefined on a port without inference. */
  readonly dataPlane: DataPlane | undefined;
  readonly routes: readonly R[];
  readonly answer: (route: R, request: ControlRequest) => Promise<Reply>;
  /** Connections at once, which changes with what the process may open. */
  readonly maxConnections: () => number;
  readonly metrics: Metrics;
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

/** A port that is listened on. */
export type Listener = Pick<HttpServer, "port" | "connections" | "beginToLeave" | "stopListening" | "stop">;

/**
 * Listens, with the routes by their raw paths. Throws what Bun throws where the address cannot be had (EADDRINUSE,
 * EACCES).
 */
export function listen<R extends RouteAddress>(deps: ListenerDeps<R>): Listener {
  const { config, dataPlane } = deps;
  const cors = createCors(config.corsAllowedOrigins);
  const table = new RouteTable<Handler>();
  if (dataPlane) {
    for (const endpoint of [...ENDPOINTS, ...PARSE_ENDPOINTS]) {
      table.add("POST", endpoint.path, (request, requestId) => dataPlane.handle(endpoint, request, requestId));
    }
  }
  for (const route of deps.routes) {
    table.add(route.method, route.path, (request, requestId, params) =>
      deps.answer(route, { request, params, requestId }),
    );
  }
  const answer = async (request: ClientRequest): Promise<Reply> => {
    const requestId = requestIdOf(request.headers, config.requestIdHeaders);
    let reply: Reply;
    try {
      reply = await route(table, request, requestId, cors.preflight(request));
    } catch (thrown) {
      const error = asGatewayError(thrown);
      if (error.code === "internal_error") deps.onDefect(error, requestId);
      reply = errorReply(error, openaiDialect, requestId);
    }
    if (dataPlane?.isFull === true) reply.endsConnection = true;
    cors.allow(request, reply);
    return reply;
  };
  return new HttpServer({
    hostname: deps.hostname,
    port: deps.port,
    reusePort: deps.reusePort,
    idleMs: bound(config.clientIdleTimeoutSecs) * 1000,
    maxConnections: deps.maxConnections,
    maxPerAddress: bound(config.maxConnectionsPerClient),
    // The administration has its own: where requests have taken all there is, workers can still be added.
    account: dataPlane?.budget ?? new ByteBudget(config.maxPayloadSize),
    handle: answer,
    refuse: (error) => {
      deps.metrics.increment("refusals", { code: error.code });
      return refuse(error);
    },
    onDefect: (error) => deps.onDefect(asGatewayError(error), ""),
  });
}

/** The answer to what is no request: in which API it was meant is not known. */
function refuse(error: GatewayError): WholeReply {
  return errorReply(error, openaiDialect, crypto.randomUUID());
}

/** Throws unknown_url, method_not_allowed. */
function route(
  table: RouteTable<Handler>,
  request: ClientRequest,
  requestId: string,
  preflight: Reply | undefined,
): Promise<Reply> | Reply {
  if (preflight) return preflight;
  const match = table.find(request.path);
  if (!match) throw unknownRoute(request.path);
  const handler = match.handlers.get(request.method === "HEAD" ? "GET" : request.method);
  if (handler) return handler(request, requestId, match.params);
  if (isWebSocket(request)) {
    // Clients that try a WebSocket first go on with POST at once where they are told this, and wait and try again otherwise.
    throw new GatewayError("websocket_unsupported", "this route is not spoken over a WebSocket: POST to it", {
      headers: { upgrade: "HTTP/1.1", connection: "upgrade" },
    });
  }
  const allow = [...match.handlers.keys()];
  throw new GatewayError("method_not_allowed", `this route takes ${allow.join(", ")}`, { allow });
}

/** The first message of a WebSocket (RFC 6455, section 4.1). */
function isWebSocket({ method, headers }: ClientRequest): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** Of what scrapers ask there is nothing to hold but heads. */
const MAX_SCRAPERS_BYTES = 1_048_576;

/** Only the path of metrics, for scrapers: the port that those of other gateways know. */
export function listenForMetrics(
  config: Config,
  path: string,
  answer: (request: ClientRequest) => Promise<Reply>,
  onDefect: (error: unknown) => void,
): Listener {
  return new HttpServer({
    hostname: config.prometheusHost ?? config.host,
    port: config.prometheusPort,
    reusePort: config.reusePort,
    idleMs: bound(config.clientIdleTimeoutSecs) * 1000,
    maxConnections: sideConnectionLimit,
    maxPerAddress: Number.POSITIVE_INFINITY,
    account: new ByteBudget(MAX_SCRAPERS_BYTES),
    handle: async (request) =>
      request.path === path && (request.method === "GET" || request.method === "HEAD")
        ? answer(request)
        : refuse(unknownRoute(request.path)),
    refuse,
    onDefect,
  });
}

export function urlOf(port: number | undefined, host: string): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
