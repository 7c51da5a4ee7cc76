import type { GatewayError } from "../errors/errors.ts";
import type { AuditLog } from "../observability/audit-log.ts";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { Auth } from "./auth.ts";
import { ControlApp, routesOf } from "./control-app.ts";
import { type ControlRoutesDeps, type ControlRoutesSettings, createControlRoutes } from "./control-routes.ts";
import { logDefect } from "./data-plane.ts";
import { drain, type DrainTimes } from "./drain.ts";
import { type GateSettings, LocalGate } from "./gate.ts";
import { type ListenerSettings, urlOf } from "./listener.ts";
import type { ModelPlans } from "../router/model-plans.ts";
import type { ServingUnits, StartServingUnits, UnitCertificates } from "./serving-units.ts";
import { openSidePorts, type SideCertificates, type SidePortSettings } from "./side-ports.ts";

/** The settings of the server that change while it runs. */
export interface LiveServerSettings {
  readonly gate: GateSettings;
  /** Which models answer for the names of the configuration; undefined where it has none. */
  readonly plans: ModelPlans | undefined;
  /** Whether a decode worker may prefill for itself. */
  readonly skipsPrefill: boolean;
  readonly listener: ListenerSettings;
}

export interface ServerSettings extends SidePortSettings, ControlRoutesSettings, LiveServerSettings {
  /** Host name of the main port, as the log shows it. */
  readonly hostname: string;
}

/** Parts that the server needs. An AppContext fits it by shape, except for the settings. */
export interface ServerDeps extends ControlRoutesDeps {
  readonly settings: ServerSettings;
  readonly auth: Auth;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly certificates: ServerCertificates;
}

/** The certificates of the gateway, which change while the server runs. */
export interface ServerCertificates {
  readonly current: SideCertificates & UnitCertificates;
  /** Calls `listener` with the next ones. The returned function removes the listener. */
  onChange(listener: (next: ServerCertificates["current"]) => void): () => void;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** URL of the administration's own port, if it has one. */
  readonly adminUrl: string | undefined;
  /** URL of the metrics port, if there is one. */
  readonly metricsUrl: string | undefined;
  /** Changes what the next requests get. Requests in flight keep what they began with. */
  replace(settings: LiveServerSettings): void;
  /** Lets requests finish, and resolves when all have ended. Clients that are left at the end get an error. */
  drain(times: DrainTimes): Promise<void>;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/**
 * Listens on all ports; `startUnits` opens the main one. Rejects with the error of `startUnits`, or with Bun's error if an address
 * is not available; then no port is open.
 */
export async function startServer(deps: ServerDeps, startUnits: StartServingUnits): Promise<RunningServer> {
  const { settings, auth, metrics, logger, clock, certificates } = deps;
  const gate = new LocalGate(settings.gate, clock);
  let units: ServingUnits | undefined;
  let isDraining = false;
  let { plans, skipsPrefill } = settings;
  const onDefect = ({ cause }: GatewayError, requestId: string): void => logDefect(logger, cause, requestId);
  const routes = createControlRoutes(deps, settings, {
    isDraining: () => isDraining,
    units: () => units,
    plans: () => plans,
    skipsPrefill: () => skipsPrefill,
  });
  const control = new ControlApp({
    auth,
    audit: deps.audit,
    onDefect,
    settled: async () => units?.settled(),
    routes: routes.all,
  });
  metrics.read("queueDepth", (set) => set({}, gate.waiting));
  await using open = new AsyncDisposableStack();
  const started = await startUnits({
    auth,
    gate,
    control,
    routes: routesOf(control.routes, "main", settings.admin !== undefined),
  });
  units = started;
  open.defer(() => started.stop());
  const sidePorts = open.use(
    openSidePorts({
      settings,
      certificates: certificates.current,
      metrics,
      control,
      metricsPortRoutes: routes.onMetricsPort,
      onDefect,
    }),
  );
  open.defer(
    certificates.onChange((next) => {
      started.replaceCertificates(next);
      sidePorts.replaceCertificates(next);
    }),
  );
  const running = open.move();
  return {
    url: urlOf(started.port, settings.hostname, certificates.current.main !== undefined),
    port: started.port,
    adminUrl: sidePorts.adminUrl,
    metricsUrl: sidePorts.metricsUrl,
    replace(next) {
      gate.replace(next.gate);
      ({ plans, skipsPrefill } = next);
      sidePorts.replace(next.listener);
    },
    drain(times) {
      isDraining = true;
      return drain({ units: started, gate, reusePort: settings.reusePort, sidePorts, clock }, times);
    },
    stop: () => running.disposeAsync(),
  };
}
