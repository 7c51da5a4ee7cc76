import type { GatewayError } from "../errors/errors.ts";
import { PredictionErrors } from "../observability/prediction-errors.ts";
import { DecisionLog } from "../router/decision-log.ts";
import { ModelRouter } from "../router/model-router.ts";
import { StreamWatch } from "../router/stream-watch.ts";
import {
  type InferencePort,
  type InferencePortParts,
  type InferencePortWays,
  openInferencePort,
} from "../server/inference-port.ts";
import type { RouteAddress } from "../server/control-app.ts";
import type { UnitCertificates } from "../server/serving-units.ts";
import type { Transport } from "../transport/upstream.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import { modelPlans } from "./model-plans.ts";
import type { Config } from "../config/schema.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { checkModelTexts } from "./model-texts.ts";
import { openRouters, type RouterParts } from "./routers.ts";
import { UNIT_KEYS } from "./live-keys.ts";
import { inferencePortSettings } from "./server-settings.ts";
import { grpcLimits } from "./settings.ts";
import type { Shares } from "./shares.ts";
import { openWorkerWires } from "./worker-wires.ts";

/**
 * The parts of a serving unit. A single thread and each of several threads differ in the gate, in the receiver of outcomes and of
 * questions for unknown models, and in the code that answers control routes.
 */
export interface ServingUnitParts<R extends RouteAddress>
  extends
    Omit<RouterParts, "watch" | "transport" | "grpc" | "retriesPerSec" | "decisions" | "predictionErrors">,
    Omit<
      InferencePortParts<R>,
      "settings" | "watch" | "route" | "plans" | "maxConnections" | "maxBytesInFlight" | "tls"
    > {
  /** Tells of changes of the configuration. */
  readonly live: Pick<LiveConfig, "register">;
  readonly certificates: UnitCertificates;
  readonly finder: ModelFinder;
  readonly shares: Shares;
}

/** Everything that serves requests on one thread, from the clients' sockets to the workers'. Disposing it closes all sockets at once. */
export interface ServingUnit extends Omit<InferencePort, "replace" | "replaceCertificate"> {
  /** See `ServingUnits.replaceCertificates`. */
  replaceCertificates(next: UnitCertificates): void;
  /** The sockets to HTTP workers. */
  readonly transport: Transport;
  /** Its last choices of workers; undefined where they are not kept. */
  readonly decisions: DecisionLog | undefined;
  /** Ends every request that waits for a worker with this error. */
  failAll(error: GatewayError): void;
}

/** Throws GatewayError for a wrong setting, Bun's error for an address that is not available. Then nothing is left open. */
export function startServingUnit<R extends RouteAddress>(parts: ServingUnitParts<R>): ServingUnit {
  const { config, clock, metrics, workerRegistry, finder, shares, certificates } = parts;
  using stack = new DisposableStack();
  const maxPerWorker = shares.connectionsPerWorker;
  const wires = openWorkerWires(
    { clock, workerRegistry, maxPerWorker, grpcLimits: grpcLimits(config), tls: certificates.workers },
    stack,
  );
  const { transport, grpc } = wires;
  stack.defer(
    workerRegistry.onChange((before, after) => {
      if (before && !after) metrics.release("worker", before.url);
    }),
  );
  const watch = stack.use(new StreamWatch(clock));
  const decisions = config.decisionLogSize === 0 ? undefined : new DecisionLog(config.decisionLogSize, clock);
  const predictionErrors = new PredictionErrors(metrics);
  const { retriesPerSec } = shares;
  const routersOf = openRouters(
    { ...parts, watch, transport, grpc, decisions, predictionErrors, retriesPerSec },
    stack,
  );
  const waysOf = (current: Config): InferencePortWays => {
    const router = new ModelRouter({ workers: workerRegistry, routers: routersOf(current), finder });
    return {
      settings: inferencePortSettings(current),
      plans: modelPlans(current),
      route: (request) => router.route(request),
    };
  };
  metrics.read("upstreamSockets", (set) => set({}, transport.openSockets));
  const port = stack.use(
    openInferencePort({
      ...parts,
      watch,
      ...waysOf(config),
      tls: certificates.main,
      maxConnections: shares.clientConnections,
      maxBytesInFlight: shares.bytesInFlight,
    }),
  );
  stack.defer(
    parts.live.register({
      name: "serving",
      keys: UNIT_KEYS,
      check: checkModelTexts,
      apply: (next) => port.replace(waysOf(next)),
    }),
  );
  const owned = stack.move();
  return {
    transport,
    decisions,
    port: port.port,
    get active() {
      return port.active;
    },
    beginToLeave: () => port.beginToLeave(),
    stopListening: () => port.stopListening(),
    replaceCertificates: (next) => {
      port.replaceCertificate(next.main);
      wires.replaceCertificates(next.workers);
    },
    failAll: (error) => {
      transport.failAll(error);
      grpc.failAll(error);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
