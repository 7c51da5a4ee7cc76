import type { GatewayError } from "../errors/errors.ts";
import { ModelRouter } from "../router/model-router.ts";
import { type InferencePort, type InferencePortParts, openInferencePort } from "../server/inference-port.ts";
import type { RouteAddress } from "../server/listener.ts";
import { GrpcTransport } from "../transport/grpc/grpc-transport.ts";
import { HttpTransport } from "../transport/http1/http-transport.ts";
import type { Transport } from "../transport/upstream.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import { createRouters, type RouterParts } from "./routers.ts";
import { inferencePortSettings } from "./server-settings.ts";
import { grpcLimits } from "./settings.ts";
import type { Shares } from "./shares.ts";

/**
 * What a serving unit stands on. The only thread and each of several differ in the gate, in where outcomes and questions for
 * an unknown model go, and in who answers the routes that are not inference.
 */
export interface ServingUnitParts<R extends RouteAddress>
  extends
    Omit<RouterParts, "transport" | "grpc" | "retriesPerSec">,
    Omit<InferencePortParts<R>, "settings" | "route" | "maxConnections" | "maxBytesInFlight"> {
  readonly finder: ModelFinder;
  readonly shares: Shares;
}

/** The whole way of a request on one thread, from the clients' sockets to the workers'. Disposing it closes all of them at once. */
export interface ServingUnit extends InferencePort {
  /** The sockets to HTTP workers. */
  readonly transport: Transport;
  /** Ends every request that waits for a worker with this error. */
  failAll(error: GatewayError): void;
}

/** Throws what stands against it: GatewayError for a setting, what Bun throws for the address. Then nothing is left open. */
export function startServingUnit<R extends RouteAddress>(parts: ServingUnitParts<R>): ServingUnit {
  const { config, clock, metrics, workerRegistry, finder, shares } = parts;
  using stack = new DisposableStack();
  const transport = stack.use(new HttpTransport(clock, shares.connectionsPerWorker));
  const grpc = stack.use(new GrpcTransport(grpcLimits(config), clock));
  stack.defer(
    workerRegistry.onChange((before, after) => {
      if (!before || after) return;
      transport.forget(before.url);
      grpc.forget(before.url);
      metrics.release("worker", before.url);
    }),
  );
  const routers = createRouters({ ...parts, transport, grpc, retriesPerSec: shares.retriesPerSec }, stack);
  const router = new ModelRouter({ workers: workerRegistry, routers, finder });
  metrics.read("upstreamSockets", (set) => set({}, transport.openSockets));
  const port = stack.use(
    openInferencePort({
      ...parts,
      settings: inferencePortSettings(config),
      maxConnections: shares.clientConnections,
      maxBytesInFlight: shares.bytesInFlight,
      route: (request) => router.route(request),
    }),
  );
  const owned = stack.move();
  return {
    transport,
    port: port.port,
    get active() {
      return port.active;
    },
    beginToLeave: () => port.beginToLeave(),
    stopListening: () => port.stopListening(),
    failAll: (error) => {
      transport.failAll(error);
      grpc.failAll(error);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
