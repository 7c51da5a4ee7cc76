import type { Tracer } from "../observability/traces/tracer.ts";
import type { KeyLimits } from "../keys/limits.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { KeyTally } from "../observability/request-record.ts";
import { recordTraffic, type TrafficSink, wallNow } from "../observability/recorded-request.ts";
import type { ModelPlans } from "../router/model-plans.ts";
import type { InferenceRequest } from "../router/router.ts";
import type { StreamWatch } from "../router/stream-watch.ts";
import type { Reply } from "../transport/downstream.ts";
import type { PortTls } from "../transport/tls/server-tls.ts";
import type { Clock } from "../util/clock.ts";
import { lazy } from "../util/lazy.ts";
import type * as Parses from "./api/parse.ts";
import type { Auth } from "./auth.ts";
import type { ControlRequest, RouteAddress } from "./control-app.ts";
import { DataPlane, type DataPlaneSettings, type DataPlaneWays } from "./data-plane.ts";
import type { Gate } from "./gate.ts";
import { listen, type Listener, type ListenerSettings } from "./listener.ts";
import { Pressure, type PressureSettings } from "./pressure.ts";

const parses = lazy((): typeof Parses => require("./api/parse.ts"));

export interface InferencePortSettings {
  readonly listener: ListenerSettings;
  readonly dataPlane: DataPlaneSettings;
  readonly pressure: PressureSettings;
}

export interface InferencePortParts<R extends RouteAddress> {
  readonly settings: InferencePortSettings;
  /** The clock of the transports. */
  readonly clock: Clock;
  readonly hostname: string;
  readonly port: number;
  /** Whether other sockets may listen on the same port. */
  readonly reusePort: boolean;
  /** The certificate of the port; undefined: it speaks no TLS. */
  readonly tls: PortTls | undefined;
  /** Most client connections of this port at once. It changes with the process's limit of open files. */
  readonly maxConnections: () => number;
  /** Most bytes of requests that this port holds at once. */
  readonly maxBytesInFlight: number;
  /** The gateway's entry in `Via`. */
  readonly via: string;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Looks at the streams of the unit. */
  readonly watch: StreamWatch;
  readonly auth: Auth;
  readonly limits: KeyLimits;
  /** Counts what each key has used. */
  readonly tally?: KeyTally | undefined;
  readonly gate: Gate;
  /** Which models answer for the names of the configuration; undefined where it has none. */
  readonly plans: ModelPlans | undefined;
  readonly route: (request: InferenceRequest) => Promise<Reply>;
  /** Decides which requests are traced; undefined where none is. */
  readonly tracer?: Tracer | undefined;
  /** Gets what a recording keeps of each request; undefined where nothing is recorded. */
  readonly recording?: TrafficSink | undefined;
  /** Routes other than inference, with their handlers. */
  readonly routes: readonly R[];
  readonly answer: (route: R, request: ControlRequest) => Promise<Reply>;
}

/** The port that clients send inference requests to. Disposing it closes every connection at once. */
export interface InferencePort
  extends Disposable, Pick<Listener, "port" | "beginToLeave" | "stopListening" | "replaceCertificate"> {
  /** Number of requests that have not ended, and of TLS handshakes that have not: their clients are about to ask. */
  readonly active: number;
  /** Changes what the next requests get. Requests in flight keep what they began with. */
  replace(ways: InferencePortWays): void;
}

/** The part of the port that a change of the configuration replaces. */
export type InferencePortWays = Pick<InferencePortParts<never>, "settings" | "plans" | "route">;

/**
 * Opens the port with its data plane, the checks of loop delay and memory, and their gauges. Throws Bun's error if the address
 * is not available (EADDRINUSE, EACCES); then nothing is left open.
 */
export function openInferencePort<R extends RouteAddress>(parts: InferencePortParts<R>): InferencePort {
  const { settings, metrics, clock, recording } = parts;
  using stack = new DisposableStack();
  const pressure = stack.use(new Pressure(settings.pressure, clock));
  const parsing = lazy(() => new (parses().Parsing)());
  const waysOf = ({ settings: { dataPlane: own }, plans, route: toWorkers }: InferencePortWays): DataPlaneWays => {
    const route = (request: InferenceRequest): Promise<Reply> =>
      request.endpoint.work === "parse" ? parsing().answer(request) : toWorkers(request);
    return { settings: own, plans, route: recording ? recorded(recording, route) : route };
  };
  const dataPlane = stack.use(new DataPlane({ ...parts, ...waysOf(parts), pressure }));
  const listener = listen({
    ...parts,
    settings: settings.listener,
    dataPlane,
    account: dataPlane.budget,
    onDefect: (error, requestId) => dataPlane.onDefect(error, requestId),
  });
  stack.defer(() => listener.stop());
  metrics.read("admitted", (set) => set({}, dataPlane.admitted));
  metrics.read("loopDelay", (set) => set({}, pressure.loopDelayMs / 1000));
  metrics.read("clientConnections", (set) => set({}, listener.connections));
  const owned = stack.move();
  return {
    port: listener.port,
    get active() {
      return dataPlane.active + listener.unfinished;
    },
    beginToLeave: () => listener.beginToLeave(),
    stopListening: () => listener.stopListening(),
    replace(ways) {
      pressure.replace(ways.settings.pressure);
      listener.replace(ways.settings.listener);
      dataPlane.replace(waysOf(ways));
    },
    replaceCertificate: (next) => listener.replaceCertificate(next),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

type Routing = (request: InferenceRequest) => Promise<Reply>;

/** Routes requests, and passes what a recording keeps of each to the sink. */
function recorded(sink: TrafficSink, route: Routing): Routing {
  return (request) => {
    // A request that a fallback is asked for comes by once more.
    const isNew = request.record.failedModels === undefined;
    if (request.endpoint.work === "generate" && isNew) recordTraffic(sink, request, wallNow);
    return route(request);
  };
}
