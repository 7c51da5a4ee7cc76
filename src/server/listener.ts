import type { BunRequest, Server } from "bun";
import type { Config } from "../config/schema.ts";
import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { ENDPOINTS } from "../protocol/endpoints.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { ControlRequest } from "./control-app.ts";
import { createCors } from "./cors.ts";
import type { DataPlane } from "./data-plane.ts";
import { errorResponse } from "./error-response.ts";
import { requestIdOf } from "./request-id.ts";
import { matchesPath, type Method } from "./route.ts";

type BunRoutes = Record<string, Partial<Record<Method, (request: BunRequest) => Promise<Response>>>>;

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
  readonly answer: (route: R, request: ControlRequest) => Promise<Response>;
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

/** A port that is listened on. */
export interface Listener {
  readonly port: number;
  /** From now answers end their connection, so that clients come back elsewhere. */
  beginToLeave(): void;
  /** No new connection; idle ones are closed, those with a request go on. */
  stopListening(): void;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/**
 * Listens, with the route table on Bun's router, which matches the raw path. Throws what Bun throws where the address
 * cannot be had (EADDRINUSE, EACCES).
 */
export function listen<R extends RouteAddress>(deps: ListenerDeps<R>): Listener {
  const { config, dataPlane } = deps;
  const cors = createCors(config.corsAllowedOrigins);
  let isLeaving = false;
  const finish = (request: Request, response: Response): Response => {
    if (isLeaving || dataPlane?.isFull === true) response.headers.set("connection", "close");
    return cors.allow(request, response);
  };
  // Bun's bound is one of the connection, and would cut a silent request: it is off from a request's head to its last word.
  // That costs 40 ns a request (Bun 1.4.5, 2026-11-24).
  const beginWork = (request: Request): void => server.timeout(request, 0);
  const endWork = (request: Request): void => server.timeout(request, config.clientIdleTimeoutSecs);
  const routes: BunRoutes = {};
  for (const endpoint of dataPlane ? ENDPOINTS : []) {
    routes[endpoint.path] = {
      POST: async (request) => {
        const requestId = requestIdOf(request.headers, config.requestIdHeaders);
        if (!hasGoodHost(request)) return finish(request, errorResponse(badHost(), endpoint.dialect, requestId));
        beginWork(request);
        const response = await dataPlane?.handle(endpoint, request, requestId, () => endWork(request));
        return finish(request, response ?? noRoute(request, requestId, routes));
      },
    };
  }
  for (const route of deps.routes) {
    routes[route.path] = {
      ...routes[route.path],
      [route.method]: async (request: BunRequest) => {
        const requestId = requestIdOf(request.headers, config.requestIdHeaders);
        if (!hasGoodHost(request)) return finish(request, errorResponse(badHost(), openaiDialect, requestId));
        beginWork(request);
        const response = await deps.answer(route, { request, params: request.params, requestId });
        endWork(request);
        return finish(request, response);
      },
    };
  }
  const server: Server<undefined> = Bun.serve({
    hostname: deps.hostname,
    port: deps.port,
    // In which a client asks nothing, or takes nothing of an answer that is whole.
    idleTimeout: config.clientIdleTimeoutSecs,
    // Counted by the gateway itself, which answers with a body.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    // Without it `development: false` shares the port, and a second gateway by mistake would take half of the requests.
    reusePort: deps.reusePort,
    routes,
    fetch: (request) => {
      const requestId = requestIdOf(request.headers, config.requestIdHeaders);
      return finish(request, cors.preflight(request) ?? noRoute(request, requestId, routes));
    },
    error: (thrown) => {
      const error = asGatewayError(thrown);
      const requestId = crypto.randomUUID();
      deps.onDefect(error, requestId);
      return errorResponse(error, openaiDialect, requestId);
    },
  });
  return {
    port: server.port ?? deps.port,
    beginToLeave: () => {
      isLeaving = true;
    },
    stopListening: () => void server.stop(false),
    stop: async () => server.stop(true),
  };
}

/** A known path with another method, or no path of ours. */
function noRoute(request: Request, requestId: string, routes: BunRoutes): Response {
  const path = pathOf(request.url);
  const allow = Object.entries(routes)
    .filter(([pattern]) => matchesPath(pattern, path))
    .flatMap(([, methods]) => Object.keys(methods));
  // A path that fits with its method and still came here was another one on the wire: the URL is normalised.
  const error =
    allow.length > 0 && !allow.includes(request.method)
      ? new GatewayError("method_not_allowed", `this route takes ${allow.join(", ")}`, { allow })
      : new GatewayError("unknown_url", "there is no such route");
  return errorResponse(error, openaiDialect, requestId);
}

function pathOf(url: string): string {
  const from = url.indexOf("/", url.indexOf("//") + 2);
  const mark = url.indexOf("?", from);
  return url.slice(from, mark < 0 ? undefined : mark);
}

/** A Host with a path, a query or user in it makes other URLs of the same request for whoever puts the two together. */
function hasGoodHost(request: Request): boolean {
  const host = request.headers.get("host");
  return host !== null && HOST.test(host);
}

const HOST = /^(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

function badHost(): GatewayError {
  return new GatewayError("bad_host", "the Host header is not a host name");
}

/** Only the path of metrics, for scrapers: the port that those of other gateways know. */
export function listenForMetrics(
  hostname: string,
  port: number,
  path: string,
  answer: () => Response | Promise<Response>,
): Server<undefined> {
  return Bun.serve({
    hostname,
    port,
    reusePort: false,
    development: false,
    routes: { [path]: { GET: answer } },
    fetch: () => new Response("not found\n", { status: 404 }),
  });
}

export function urlOf(port: number | undefined, host: string): string {
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${shown.includes(":") ? `[${shown}]` : shown}:${port}`;
}
