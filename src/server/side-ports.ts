import type { GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { HttpServer } from "../transport/http1-server/http-server.ts";
import type { PortTls } from "../transport/tls/server-tls.ts";
import { asGatewayError } from "../errors/errors.ts";
import { sideConnectionLimit } from "../util/descriptor-limit.ts";
import { ByteBudget } from "./byte-budget.ts";
import { type ControlApp, routesOf } from "./control-app.ts";
import { listen, type Listener, type ListenerSettings, urlOf } from "./listener.ts";
import { refuse } from "./port-answers.ts";
import type { Route } from "./route.ts";
import { unknownRoute } from "./unknown-route.ts";

export interface Address {
  readonly hostname: string;
  readonly port: number;
}

export interface SidePortSettings {
  /** The administration's own port; undefined: it is on the main port. */
  readonly admin: Address | undefined;
  /** The metrics port; undefined: there is none. */
  readonly metrics: Address | undefined;
  readonly reusePort: boolean;
  readonly listener: ListenerSettings;
  /** Largest body that the administration reads, bytes. */
  readonly maxBodyBytes: number;
}

/** The certificates of the ports beside the main one; undefined: the port speaks no TLS. */
export interface SideCertificates {
  readonly admin: PortTls | undefined;
  readonly metrics: PortTls | undefined;
}

export interface SidePortsDeps {
  readonly certificates: SideCertificates;
  readonly settings: SidePortSettings;
  readonly metrics: Metrics;
  readonly control: ControlApp;
  readonly metricsPortRoutes: readonly Route[];
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

/** The configured ports in addition to the main one. Disposing closes their connections at once. */
export interface SidePorts extends Disposable {
  readonly adminUrl: string | undefined;
  readonly metricsUrl: string | undefined;
  /** Changes the bounds of connections, and what the next requests get. */
  replace(settings: ListenerSettings): void;
  /** Accepts no new connections. */
  stopListening(): void;
  /** As `HttpServer.replaceCertificate`, for each port. */
  replaceCertificates(next: SideCertificates): void;
}

/** Throws Bun's error if an address is not available; then none of the ports is open. */
export function openSidePorts(deps: SidePortsDeps): SidePorts {
  const { certificates, settings } = deps;
  const { admin: adminAddress, metrics: metricsAddress } = settings;
  using stack = new DisposableStack();
  const admin = adminAddress && listenForAdmin(deps, adminAddress);
  stack.defer(() => admin?.stop());
  const metrics = metricsAddress && listenForMetrics(deps, metricsAddress);
  stack.defer(() => metrics?.stop());
  const owned = stack.move();
  return {
    adminUrl: admin && adminAddress && urlOf(admin.port, adminAddress.hostname, certificates.admin !== undefined),
    metricsUrl:
      metrics && metricsAddress && urlOf(metrics.port, metricsAddress.hostname, certificates.metrics !== undefined),
    replace: (settings) => {
      admin?.replace(settings);
      metrics?.replace({ idleMs: settings.idleMs, maxPerAddress: Number.POSITIVE_INFINITY });
    },
    stopListening: () => {
      admin?.stopListening();
      metrics?.stopListening();
    },
    replaceCertificates(next) {
      admin?.replaceCertificate(next.admin);
      metrics?.replaceCertificate(next.metrics);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function listenForAdmin(
  { settings, certificates, metrics, control, onDefect }: SidePortsDeps,
  address: Address,
): Listener {
  return listen({
    ...address,
    tls: certificates.admin,
    settings: settings.listener,
    reusePort: settings.reusePort,
    dataPlane: undefined,
    via: undefined,
    // The administration has its own budget: workers can still be added when requests have used up theirs.
    account: new ByteBudget(settings.maxBodyBytes),
    routes: routesOf(control.routes, "admin", true),
    answer: (route, request) => control.answer(route, request),
    maxConnections: sideConnectionLimit,
    metrics,
    onDefect,
  });
}

/** Most bytes held for scrapers, which send only heads. */
const MAX_SCRAPERS_BYTES = 1_048_576;

/** Listens for metrics and probes only, without a key, on the port that scrapers of other gateways know. */
function listenForMetrics(
  { settings, certificates, metrics, metricsPortRoutes, onDefect }: SidePortsDeps,
  address: Address,
): HttpServer {
  const handlers = new Map(metricsPortRoutes.map(({ path, handle }) => [path, handle]));
  return new HttpServer({
    tls: certificates.metrics,
    ...address,
    reusePort: settings.reusePort,
    idleMs: settings.listener.idleMs,
    maxConnections: sideConnectionLimit,
    maxPerAddress: Number.POSITIVE_INFINITY,
    account: new ByteBudget(MAX_SCRAPERS_BYTES),
    handle: async (request) => {
      const handle = request.method === "GET" || request.method === "HEAD" ? handlers.get(request.path) : undefined;
      if (!handle) return refuse(unknownRoute(request.path));
      return handle({
        request,
        requestId: "",
        params: {},
        query: new URLSearchParams(),
        body: undefined,
        principal: undefined,
        note: () => undefined,
      });
    },
    refuse,
    onHandshake: (result) => metrics.increment("tlsHandshakes", { result }),
    onDefect: (error) => onDefect(asGatewayError(error), ""),
  });
}
