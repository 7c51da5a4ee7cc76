import type { Config } from "../config/schema.ts";
import { workerSpec } from "../config/worker-spec.ts";
import { createLogger, type Logger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import { Fleet } from "../router/fleet.ts";
import { RouterManager } from "../router/router-manager.ts";
import { HttpTransport } from "../transport/http1/http-transport.ts";
import type { Transport } from "../transport/upstream.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { BreakerBoard, type OutcomeSink } from "../worker/breaker-board.ts";
import { HealthChecker } from "../worker/health-checker.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { fetchHealth, fetchJson } from "../worker/probe-client.ts";
import { WorkerDrainer } from "../worker/worker-drainer.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import { createPolicyRegistry, createRouters, forgetDeparted } from "./data-path.ts";
import { acceptedTypes, breakerSettings, healthSettings } from "./settings.ts";
import { exposeState } from "./state-metrics.ts";

/**
 * Everything that lives as long as the gateway, made once before any router. Who needs a part is given that part; the
 * context itself goes only to the server, which it fits by shape.
 */
export interface AppContext extends AsyncDisposable {
  readonly config: Config;
  /** A slot: workers that speak in tokens need one, and such workers are not built yet. */
  readonly tokenizer: undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Lines of other threads, whole ones. */
  readonly writeLog: (text: string) => void;
  readonly ledger: LoadLedger;
  readonly transport: Transport;
  readonly workerRegistry: WorkerRegistry;
  readonly policyRegistry: PolicyRegistry;
  /** What the policies of all threads share. */
  readonly policyMemory: PolicyMemory;
  /** Where attempts on all threads report. */
  readonly outcomes: OutcomeSink;
  readonly healthChecker: HealthChecker;
  readonly routerManager: RouterManager;
  readonly fleet: Fleet;
}

/** Parts that a test brings itself. What it brings it also closes. */
export type AppContextOverrides = Partial<
  Omit<AppContext, keyof AsyncDisposable | "config" | "tokenizer" | "policyMemory" | "outcomes" | "writeLog">
> & {
  readonly clock?: Clock;
};

/**
 * Builds the context: registries first, with the workers of file and command line, then what stands on them. Disposing
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
  const workerRegistry = overrides.workerRegistry ?? new WorkerRegistry({ ledger });
  const policyMemory = new PolicyMemory();
  const policyRegistry = overrides.policyRegistry ?? (await createPolicyRegistry(config, policyMemory));
  const transport = overrides.transport ?? stack.use(new HttpTransport(clock));
  const health = healthSettings(config);
  const healthChecker =
    overrides.healthChecker ??
    stack.use(new HealthChecker({ registry: workerRegistry, clock, logger, fetchHealth, fetchJson, ...health }));
  const outcomes = stack.use(
    new BreakerBoard({
      registry: workerRegistry,
      ledger,
      clock,
      logger,
      settings: breakerSettings(config),
      recheck: (id, what) => healthChecker.probeNow(id, what),
    }),
  );
  const drainer = stack.use(new WorkerDrainer({ registry: workerRegistry, clock }));
  const fleet =
    overrides.fleet ?? new Fleet({ workers: workerRegistry, transport, clock, timeoutMs: health.defaults.timeoutMs });
  const routers = createRouters(
    { config, clock, logger, metrics, ledger, workerRegistry, policyRegistry, transport, outcomes, threads: 1 },
    stack,
  );
  const routerManager =
    overrides.routerManager ??
    stack.use(
      new RouterManager({
        workers: workerRegistry,
        policies: policyRegistry,
        factory: new WorkerFactory({ ledger }),
        health: healthChecker,
        drainer,
        routers,
        accepts: acceptedTypes(config),
        logger,
        drainTimeoutMs: config.drainTimeoutSecs * 1000,
      }),
    );
  for (const worker of config.initialWorkers) routerManager.addWorker(workerSpec(worker));
  forgetDeparted({ workerRegistry, transport, metrics });
  exposeState({ metrics, workerRegistry, transport });
  const owned = stack.move();
  return {
    config,
    tokenizer: undefined,
    metrics,
    logger,
    writeLog: (text) => ownLogger.writeLines(text),
    ledger,
    transport,
    workerRegistry,
    policyRegistry,
    policyMemory,
    outcomes,
    healthChecker,
    routerManager,
    fleet,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
