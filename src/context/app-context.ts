import type { Config } from "../config/schema.ts";
import { specOf } from "../config/worker-config.ts";
import { Fleet } from "../engine/fleet.ts";
import { createGrpcProber } from "../engine/grpc-prober.ts";
import { createHttpProber } from "../engine/http-prober.ts";
import { createProbeClient } from "../engine/probe-client.ts";
import { WorkerClient } from "../engine/worker-client.ts";
import { GatewayError } from "../errors/errors.ts";
import { createLogger, type Logger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { RouterManager } from "../router/router-manager.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import { GrpcTransport } from "../transport/grpc/grpc-transport.ts";
import { HttpTransport } from "../transport/http1/http-transport.ts";
import type { Transport } from "../transport/upstream.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import type { OutcomeSink } from "../worker/attempt-outcome.ts";
import { BreakerBoard } from "../worker/breaker-board.ts";
import { HealthChecker } from "../worker/health-checker.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { FleetModelFinder, type ModelFinder } from "../worker/model-finder.ts";
import { WorkerDrainer } from "../worker/worker-drainer.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import { openRegistries, type Registries } from "./registries.ts";
import {
  acceptedTypes,
  boardSettings,
  drainTimeoutMs,
  grpcLimits,
  healthSettings,
  modelTextSettings,
} from "./settings.ts";
import { exposeState } from "./state-metrics.ts";

/**
 * Everything that lives as long as the gateway: registries, routers, and what stands beside them. Who needs a part is given that part; the
 * context itself goes only to the server, which it fits by shape.
 */
export interface AppContext extends AsyncDisposable, Registries {
  readonly config: Config;
  /** Of all that waits. */
  readonly clock: Clock;
  /** With `enable_grpc`: that of `tokenizer_path`, loaded before anything listens. */
  readonly tokenizer: Tokenizer | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Lines of other threads, whole ones. */
  readonly writeLog: (text: string) => void;
  /** Sockets for the gateway's own questions to workers. Requests have others: probes stand in no line behind them. */
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  /** Where attempts on all threads report. */
  readonly outcomes: OutcomeSink;
  readonly healthChecker: HealthChecker;
  /** Looks for models that no worker is known to serve, for all threads. */
  readonly modelFinder: ModelFinder;
  readonly routerManager: RouterManager;
  readonly fleet: Fleet;
}

/** Longest that a request for an unknown model waits for the workers to say what they list, ms. */
const LOOK_FOR_MODEL_MS = 2000;

/** Parts that a test brings itself. What it brings it also closes. */
export type AppContextOverrides = Partial<
  Omit<
    AppContext,
    | keyof AsyncDisposable
    | "config"
    | "clock"
    | "tokenizer"
    | "policyMemory"
    | "policyFollower"
    | "outcomes"
    | "modelFinder"
    | "writeLog"
  >
> & {
  readonly clock?: Clock;
};

/**
 * Builds the context: registries first, then routers and health checks, and the workers of file and command line through the
 * same door as those of the API. Disposing
 * it closes everything in reverse; what was made before a failure half-way is closed as well. Throws GatewayError where
 * the configuration cannot be carried out (an unknown policy, a policy module that does not load).
 */
export async function createAppContext(config: Config, overrides: AppContextOverrides = {}): Promise<AppContext> {
  await using stack = new AsyncDisposableStack();
  const clock = overrides.clock ?? systemClock;
  const ownLogger = stack.use(createLogger(config.logLevel));
  const logger = overrides.logger ?? ownLogger;
  const metrics = overrides.metrics ?? new Metrics();
  const ledger = overrides.ledger ?? new LoadLedger({ threads: config.threads });
  const registries = await openRegistries(
    { config, ledger, policyMemory: new PolicyMemory(), logger, clock, given: overrides },
    stack,
  );
  const { workerRegistry, policyRegistry, tokenizers } = registries;
  const transport = overrides.transport ?? stack.use(new HttpTransport(clock, Number.POSITIVE_INFINITY));
  const grpc = overrides.grpc ?? stack.use(new GrpcTransport(grpcLimits(config), clock));
  const health = healthSettings(config);
  const client = new WorkerClient({ transport, grpc, clock });
  const probers = { http: createHttpProber(createProbeClient(client)), grpc: createGrpcProber(client) };
  const healthChecker =
    overrides.healthChecker ??
    stack.use(new HealthChecker({ registry: workerRegistry, clock, logger, probers, ...health }));
  const outcomes = stack.use(
    new BreakerBoard({
      registry: workerRegistry,
      ledger,
      clock,
      logger,
      metrics,
      settings: boardSettings(config),
      recheck: (id, what) => healthChecker.probeNow(id, what),
    }),
  );
  const modelFinder = new FleetModelFinder({
    clock,
    registry: workerRegistry,
    askListings: () => healthChecker.askListings(LOOK_FOR_MODEL_MS),
  });
  const drainer = stack.use(new WorkerDrainer({ registry: workerRegistry, clock }));
  const fleet = overrides.fleet ?? new Fleet({ workers: workerRegistry, client, timeoutMs: health.defaults.timeoutMs });
  const routerManager =
    overrides.routerManager ??
    new RouterManager({
      workers: workerRegistry,
      policies: policyRegistry,
      factory: new WorkerFactory({ ledger }),
      health: healthChecker,
      drainer,
      accepts: acceptedTypes(config),
      logger,
      drainTimeoutMs: drainTimeoutMs(config),
    });
  for (const worker of config.initialWorkers) routerManager.addWorker(specOf(worker, worker.source ?? "file"));
  stack.defer(
    workerRegistry.onChange((before, after) => {
      if (!before || after) return;
      transport.forget(before.url);
      grpc.forget(before.url);
    }),
  );
  exposeState({ metrics, workerRegistry, outcomes });
  const tokenizer = await startTokenizer(config, tokenizers);
  const owned = stack.move();
  return {
    config,
    clock,
    tokenizer,
    metrics,
    logger,
    writeLog: (text) => ownLogger.writeLines(text),
    ...registries,
    transport,
    grpc,
    outcomes,
    healthChecker,
    modelFinder,
    routerManager,
    fleet,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The seed's tokenizer: there before the routers serve. Throws where it is asked for and cannot be loaded. */
async function startTokenizer(config: Config, tokenizers: TokenizerRegistry): Promise<Tokenizer | undefined> {
  const { enableGrpc, tokenizerPath } = config;
  if (!enableGrpc || tokenizerPath === undefined) return undefined;
  const name = config.modelPath ?? tokenizerPath;
  const { chatTemplate } = modelTextSettings(config);
  if (!tokenizers.info(name)) {
    tokenizers.add(name, { path: tokenizerPath, ...(chatTemplate === undefined ? {} : { chatTemplate }) });
  }
  try {
    return await tokenizers.whenLoaded(name);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("invalid_request", `tokenizer_path ${tokenizerPath}: ${reason}`, { cause });
  }
}
