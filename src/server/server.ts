import type { BunRequest, Server } from "bun";
import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { createRecordSink } from "../observability/request-record.ts";
import { ENDPOINTS } from "../protocol/endpoints.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { Fleet } from "../router/fleet.ts";
import type { RouterManager } from "../router/router-manager.ts";
import type { HealthChecker } from "../worker/health-checker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { Admission } from "./admission.ts";
import { fleetRoutes } from "./api/fleet.ts";
import { handleInference, type InferenceDeps } from "./api/inference.ts";
import { metricsRoute } from "./api/metrics.ts";
import { modelRoutes } from "./api/models.ts";
import { policyRoutes } from "./api/policies.ts";
import { probeRoutes } from "./api/probes.ts";
import { workerRoutes } from "./api/workers.ts";
import { createAuthenticate } from "./auth.ts";
import { createCors } from "./cors.ts";
import { errorResponse } from "./error-response.ts";
import { requestIdOf } from "./request-id.ts";
import { type Call, matchesPath, type Method, type Route } from "./route.ts";

/** What the server needs; an AppContext fits it by shape. */
export interface ServerDeps {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly workerRegistry: WorkerRegistry;
  readonly routerManager: RouterManager;
  readonly healthChecker: HealthChecker;
  readonly fleet: Fleet;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Where metrics have a port of their own. */
  readonly metricsUrl: string | undefined;
  /** Readiness fails, new work is refused, and it resolves when all requests have ended or `graceMs` is over. */
  drain(graceMs: number): Promise<void>;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/** How often a drain looks whether the last request has ended, ms. */
const DRAIN_POLL_MS = 20;

type BunRoutes = Record<string, Partial<Record<Method, (request: BunRequest) => Promise<Response>>>>;

/** Listens. Throws what Bun throws where the address cannot be had (EADDRINUSE, EACCES). */
export function startServer(deps: ServerDeps): RunningServer {
  const { config, metrics } = deps;
  const admission = createAdmission(config);
  metrics.read("admitted", (set) => set({}, admission.admitted));
  metrics.read("queueDepth", (set) => set({}, admission.waiting));
  let isDraining = false;
  const app = createApp(deps, admission, () => isDraining);
  const server = Bun.serve({
    hostname: config.host,
    port: config.port,
    // Long generations are silent for minutes; the gateway's own time bounds are the ones that hold.
    idleTimeout: 0,
    // Counted by the gateway itself, which answers with a body.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    // Without it `development: false` shares the port, and a second gateway by mistake would take half of the requests.
    reusePort: false,
    routes: app.routes,
    fetch: app.fallback,
    error: app.onError,
  });
  const metricsServer = startMetricsServer(config, metrics, () => void server.stop(true));
  return {
    url: urlOf(server, config.host),
    port: server.port ?? config.port,
    metricsUrl: metricsServer && urlOf(metricsServer, config.prometheusHost),
    async drain(graceMs) {
      isDraining = true;
      const until = performance.now() + graceMs;
      while ((admission.admitted > 0 || admission.waiting > 0) && performance.now() < until)
        await Bun.sleep(DRAIN_POLL_MS);
    },
    async stop() {
      await Promise.all([server.stop(true), metricsServer?.stop(true)]);
    },
  };
}

function createAdmission(config: Config): Admission {
  return new Admission({
    maxConcurrent: config.maxConcurrentRequests > 0 ? config.maxConcurrentRequests : Number.POSITIVE_INFINITY,
    queueSize: config.queueSize,
    queueTimeoutMs: config.queueTimeoutSecs * 1000,
  });
}

/** The port that scrapers of other gateways know. `onFailure` closes what listens already, where it cannot be had. */
function startMetricsServer(config: Config, metrics: Metrics, onFailure: () => void): Server<undefined> | undefined {
  if (config.prometheusPort === 0) return undefined;
  const { handle, path } = metricsRoute(metrics);
  const answer = (request: BunRequest): Response | Promise<Response> =>
    handle({ request, requestId: "", params: {}, query: new URLSearchParams() });
  try {
    return Bun.serve({
      hostname: config.prometheusHost,
      port: config.prometheusPort,
      reusePort: false,
      development: false,
      routes: { [path]: { GET: answer } },
      fetch: () => new Response("not found\n", { status: 404 }),
    });
  } catch (error) {
    onFailure();
    throw error;
  }
}

function urlOf(server: { readonly port?: number | undefined }, host: string): string {
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${shown.includes(":") ? `[${shown}]` : shown}:${server.port}`;
}

interface App {
  readonly routes: BunRoutes;
  readonly fallback: (request: Request) => Response;
  readonly onError: (error: unknown) => Response;
}

/** The route table on Bun's router, which matches the raw path, with what is common to all routes around it. */
function createApp(deps: ServerDeps, admission: Admission, isDraining: () => boolean): App {
  const { config, logger } = deps;
  const authenticate = createAuthenticate(config.apiKey);
  const cors = createCors(config.corsAllowedOrigins);
  const onDefect = (error: GatewayError, requestId: string): void =>
    logger.error({ request_id: requestId, error: String(error.cause), stack: stackOf(error.cause) }, "defect");
  const inference: InferenceDeps = {
    authenticate,
    admission,
    bounds: { maxBytes: config.maxPayloadSize, timeoutMs: config.requestTimeoutSecs * 1000 },
    recordSink: createRecordSink(logger, deps.metrics),
    isModelRequired: config.enableIgw,
    route: (request) => deps.routerManager.route(request),
    isDraining,
    onDefect,
  };
  const table: Route[] = [
    ...probeRoutes({ workerRegistry: deps.workerRegistry, fleet: deps.fleet, isDraining }),
    metricsRoute(deps.metrics),
    ...modelRoutes(deps),
    ...workerRoutes({ ...deps, maxBodyBytes: config.maxPayloadSize }),
    ...policyRoutes(deps.routerManager),
    ...fleetRoutes(deps.fleet),
  ];
  const routes: BunRoutes = {};
  for (const endpoint of ENDPOINTS) {
    routes[endpoint.path] = {
      POST: async (request) => {
        const requestId = requestIdOf(request.headers, config.requestIdHeaders);
        if (!hasGoodHost(request)) return errorResponse(badHost(), endpoint.dialect, requestId);
        return cors.allow(request, await handleInference(inference, endpoint, request, requestId));
      },
    };
  }
  for (const route of table) {
    routes[route.path] = {
      ...routes[route.path],
      [route.method]: async (request: BunRequest) => {
        const requestId = requestIdOf(request.headers, config.requestIdHeaders);
        return cors.allow(request, await answer(route, request, requestId));
      },
    };
  }

  async function answer(route: Route, request: BunRequest, requestId: string): Promise<Response> {
    try {
      if (!hasGoodHost(request)) throw badHost();
      if (route.access !== "public") authenticate(request.headers);
      const response = await route.handle(callOf(request, requestId));
      response.headers.set("x-request-id", requestId);
      return response;
    } catch (thrown) {
      const error = asGatewayError(thrown);
      if (error.code === "internal_error") onDefect(error, requestId);
      return errorResponse(error, openaiDialect, requestId);
    }
  }

  return {
    routes,
    fallback: (request) => cors.allow(request, cors.preflight(request) ?? noRoute(request, routes, config)),
    onError: (thrown) => {
      const error = asGatewayError(thrown);
      const requestId = crypto.randomUUID();
      onDefect(error, requestId);
      return errorResponse(error, openaiDialect, requestId);
    },
  };
}

function callOf(request: BunRequest, requestId: string): Call {
  const mark = request.url.indexOf("?");
  const query = new URLSearchParams(mark < 0 ? "" : request.url.slice(mark + 1));
  return { request, requestId, params: request.params, query };
}

/** A known path with another method, or no path of ours. */
function noRoute(request: Request, routes: BunRoutes, config: Config): Response {
  const requestId = requestIdOf(request.headers, config.requestIdHeaders);
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

function stackOf(cause: unknown): string | undefined {
  return cause instanceof Error ? cause.stack : undefined;
}
