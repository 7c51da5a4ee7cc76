import type { Server } from "bun";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Fleet } from "../router/fleet.ts";
import type { RouterManager } from "../router/router-manager.ts";
import type { HealthChecker } from "../worker/health-checker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { fleetRoutes } from "./api/fleet.ts";
import { metricsRoute } from "./api/metrics.ts";
import { modelRoutes } from "./api/models.ts";
import { policyRoutes } from "./api/policies.ts";
import { probeRoutes } from "./api/probes.ts";
import { workerRoutes } from "./api/workers.ts";
import { createAuth } from "./auth.ts";
import { ControlApp, routesOf } from "./control-app.ts";
import { DataPlane } from "./data-plane.ts";
import { LocalGate } from "./gate.ts";
import { listen, type Listener, listenForMetrics, urlOf } from "./listener.ts";
import { authSettings, gateSettings } from "./settings.ts";

/** What the server needs; an AppContext fits it by shape. */
export interface ServerDeps {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly transport: { failAll(error: GatewayError): void };
  readonly workerRegistry: WorkerRegistry;
  readonly routerManager: RouterManager;
  readonly healthChecker: HealthChecker;
  readonly fleet: Fleet;
}

export interface DrainTimes {
  /** Readiness says no, and new connections are still taken, ms. */
  readonly delayMs: number;
  /** After that for requests to finish, ms. */
  readonly graceMs: number;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Where the administration has a port of its own. */
  readonly adminUrl: string | undefined;
  /** Where metrics have a port of their own. */
  readonly metricsUrl: string | undefined;
  /** Lets clients leave, and resolves when all requests have ended; what is left at the end is told that it is cut. */
  drain(times: DrainTimes): Promise<void>;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/** How often a drain looks whether the last request has ended, ms. */
const DRAIN_POLL_MS = 20;
/** Before the end of the grace, for what is left to be told, ms. */
const LAST_WORDS_MS = 500;

/** Listens on all ports. Throws what Bun throws where an address cannot be had, and listens on none then. */
export function startServer(deps: ServerDeps): RunningServer {
  const { config, metrics, logger } = deps;
  const auth = createAuth(authSettings(config));
  const gate = new LocalGate(gateSettings(config));
  const dataPlane = new DataPlane({
    config,
    metrics,
    logger,
    auth,
    gate,
    route: (request) => deps.routerManager.route(request),
    threads: 1,
  });
  metrics.read("admitted", (set) => set({}, dataPlane.active - gate.waiting));
  metrics.read("queueDepth", (set) => set({}, gate.waiting));
  let isDraining = false;
  const control = new ControlApp({
    auth,
    onDefect: (error, requestId) => dataPlane.onDefect(error, requestId),
    settled: () => Promise.resolve(),
    routes: [
      ...probeRoutes({ workerRegistry: deps.workerRegistry, fleet: deps.fleet, isDraining: () => isDraining }),
      metricsRoute(metrics),
      ...modelRoutes(deps),
      ...workerRoutes({ ...deps, maxBodyBytes: config.maxPayloadSize }),
      ...policyRoutes(deps.routerManager),
      ...fleetRoutes(deps.fleet),
    ],
  });
  const hasAdminPort = config.adminPort !== undefined;
  const open: Disposable[] = [];
  try {
    const listenOn = (where: Pick<Listening, "hostname" | "port" | "reusePort" | "plane">): Listener => {
      const listener = listen({
        ...where,
        config,
        dataPlane: where.plane === "main" ? dataPlane : undefined,
        routes: routesOf(control.routes, where.plane, hasAdminPort),
        answer: (route, request) => control.answer(route, request),
        onDefect: (error, requestId) => dataPlane.onDefect(error, requestId),
      });
      open.push({ [Symbol.dispose]: () => void listener.stop() });
      return listener;
    };
    const main = listenOn({ hostname: config.host, port: config.port, reusePort: config.reusePort, plane: "main" });
    const admin =
      config.adminPort === undefined
        ? undefined
        : listenOn({ hostname: config.adminHost, port: config.adminPort, reusePort: false, plane: "admin" });
    const metricsServer = startMetricsServer(config, metrics);
    return {
      url: urlOf(main.port, config.host),
      port: main.port,
      adminUrl: admin && urlOf(admin.port, config.adminHost),
      metricsUrl: metricsServer && urlOf(metricsServer.port, config.prometheusHost),
      async drain({ delayMs, graceMs }) {
        isDraining = true;
        main.beginToLeave();
        await Bun.sleep(delayMs);
        main.stopListening();
        const end = performance.now() + graceMs;
        const isOver = (): boolean => dataPlane.active === 0;
        await waitUntil(isOver, end - LAST_WORDS_MS);
        const farewell = new GatewayError("server_shutting_down", "the gateway is shutting down", {
          retryAfterSecs: 1,
        });
        gate.refuseAll(farewell);
        deps.transport.failAll(farewell);
        await waitUntil(isOver, end);
      },
      async stop() {
        await Promise.all([main.stop(), admin?.stop(), metricsServer?.stop(true)]);
      },
    };
  } catch (error) {
    for (const listener of open) listener[Symbol.dispose]();
    throw error;
  }
}

interface Listening {
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly plane: "main" | "admin";
}

/** With an admin port metrics are there and nowhere else. */
function startMetricsServer(config: Config, metrics: Metrics): Server<undefined> | undefined {
  if (config.prometheusPort === 0 || config.adminPort !== undefined) return undefined;
  const { handle, path } = metricsRoute(metrics);
  return listenForMetrics(config.prometheusHost, config.prometheusPort, path, () =>
    handle({ request: new Request("http://metrics"), requestId: "", params: {}, query: new URLSearchParams() }),
  );
}

async function waitUntil(isTrue: () => boolean, end: number): Promise<void> {
  while (!isTrue() && performance.now() < end) await Bun.sleep(DRAIN_POLL_MS);
}
