import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Fleet } from "../engine/fleet.ts";
import type { RouterManager } from "../router/router-manager.ts";
import type { HealthChecker } from "../worker/health-checker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { fleetRoutes } from "./api/fleet.ts";
import { FolderOfPaths } from "./api/folder-of-paths.ts";
import { metricsRoute } from "./api/metrics.ts";
import { modelRoutes } from "./api/models.ts";
import { policyRoutes } from "./api/policies.ts";
import { probeRoutes } from "./api/probes.ts";
import { type TokenizerAdmin, tokenizerRoutes } from "./api/tokenizers.ts";
import { workerRoutes } from "./api/workers.ts";
import { createAuth } from "./auth.ts";
import { ControlApp, routesOf } from "./control-app.ts";
import { logDefect } from "./data-plane.ts";
import { LocalGate } from "./gate.ts";
import { listen, type Listener, listenForMetrics, urlOf } from "./listener.ts";
import { sideConnectionLimit } from "../util/descriptor-limit.ts";
import type { Route } from "./route.ts";
import type { ServingUnits, StartServingUnits } from "./serving-units.ts";
import { authSettings, gateSettings } from "./settings.ts";

/** What the server needs; an AppContext fits it by shape. */
export interface ServerDeps {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly tokenizers: TokenizerAdmin;
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

/**
 * Listens on all ports; `startUnits` opens the main one. Rejects with what it rejects with, and with what Bun throws where an
 * address cannot be had; then no port is open.
 */
export async function startServer(deps: ServerDeps, startUnits: StartServingUnits): Promise<RunningServer> {
  const { config, metrics, logger } = deps;
  const auth = createAuth(authSettings(config));
  const gate = new LocalGate(gateSettings(config));
  let units: ServingUnits | undefined;
  let isDraining = false;
  const onDefect = ({ cause }: GatewayError, requestId: string): void => logDefect(logger, cause, requestId);
  const metricsPage = metricsRoute(metrics, async () => (await units?.snapshots()) ?? []);
  const paths = new FolderOfPaths(config.tokenizerFolder);
  const control = new ControlApp({
    auth,
    onDefect,
    settled: async () => units?.settled(),
    routes: [
      ...probeRoutes({ workerRegistry: deps.workerRegistry, fleet: deps.fleet, isDraining: () => isDraining }),
      metricsPage,
      ...modelRoutes(deps),
      ...workerRoutes({ ...deps, paths, maxBodyBytes: config.maxPayloadSize }),
      ...policyRoutes(deps.routerManager),
      ...fleetRoutes(deps.fleet),
      ...tokenizerRoutes({ tokenizers: deps.tokenizers, paths, maxBodyBytes: config.maxPayloadSize }),
    ],
  });
  metrics.read("queueDepth", (set) => set({}, gate.waiting));
  await using open = new AsyncDisposableStack();
  const routes = routesOf(control.routes, "main", config.adminPort !== undefined);
  const main = await startUnits({ auth, gate, control, routes });
  units = main;
  open.defer(() => main.stop());
  const admin = startAdminListener(deps, control, onDefect);
  open.defer(() => admin?.stop());
  const metricsServer = startMetricsServer(config, metricsPage, (error) => logDefect(logger, error, ""));
  open.defer(() => metricsServer?.stop());
  const running = open.move();
  return {
    url: urlOf(main.port, config.host),
    port: main.port,
    adminUrl: admin && urlOf(admin.port, config.adminHost),
    metricsUrl: metricsServer && urlOf(metricsServer.port, config.prometheusHost ?? config.host),
    async drain({ delayMs, graceMs }) {
      isDraining = true;
      main.beginToLeave();
      // Who takes over has these ports as well, and what is asked there from now is meant for it.
      if (config.reusePort) for (const listener of [admin, metricsServer]) listener?.stopListening();
      await Bun.sleep(delayMs);
      main.stopListening();
      const end = performance.now() + graceMs;
      const isOver = (): boolean => main.active === 0;
      await waitUntil(isOver, end - LAST_WORDS_MS);
      const farewell = new GatewayError("server_shutting_down", "the gateway is shutting down", { retryAfterSecs: 1 });
      gate.refuseAll(farewell);
      main.failAll(farewell);
      await waitUntil(isOver, end);
    },
    stop: () => running.disposeAsync(),
  };
}

function startAdminListener(
  { config, metrics }: ServerDeps,
  control: ControlApp,
  onDefect: (error: GatewayError, requestId: string) => void,
): Listener | undefined {
  if (config.adminPort === undefined) return undefined;
  return listen({
    config,
    hostname: config.adminHost,
    port: config.adminPort,
    reusePort: config.reusePort,
    dataPlane: undefined,
    routes: routesOf(control.routes, "admin", true),
    answer: (route, request) => control.answer(route, request),
    maxConnections: sideConnectionLimit,
    metrics,
    onDefect,
  });
}

/** With an admin port metrics are there and nowhere else. */
function startMetricsServer(
  config: Config,
  { handle, path }: Route,
  onDefect: (error: unknown) => void,
): Listener | undefined {
  if (config.prometheusPort === 0 || config.adminPort !== undefined) return undefined;
  return listenForMetrics(
    config,
    path,
    async (request) => handle({ request, requestId: "", params: {}, query: new URLSearchParams() }),
    onDefect,
  );
}

async function waitUntil(isTrue: () => boolean, end: number): Promise<void> {
  while (!isTrue() && performance.now() < end) await Bun.sleep(DRAIN_POLL_MS);
}
