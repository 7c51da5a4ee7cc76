import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Policy } from "../policy/policy.ts";
import type { PolicyMemory } from "../policy/policy-memory.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { FailureLog } from "../router/failure-log.ts";
import { RetryBudget } from "../router/retry-budget.ts";
import { RouterFactory } from "../router/router-factory.ts";
import { Routers } from "../router/routers.ts";
import { StreamWatch } from "../router/stream-watch.ts";
import type { Transport } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import type { OutcomeSink } from "../worker/attempt-outcome.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { guardPolicy, loadPolicyModule } from "./policy-module.ts";
import type { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import { ModelTexts } from "../router/grpc/model-text.ts";
import { TokenAnswers } from "../router/grpc/token-routes.ts";
import { fetchTokenizer } from "../router/grpc/worker-tokenizer.ts";
import { modelTextSettings, policyConfigs, routerSettings, streamSettings } from "./settings.ts";

/** What a request meets between the server and the worker, on whichever thread. */
export interface DataPathParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ledger: LoadLedger;
  readonly workerRegistry: WorkerRegistry;
  readonly policyRegistry: PolicyRegistry;
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  readonly tokenizers: TokenizerRegistry;
  readonly outcomes: OutcomeSink;
  /** Requests are served on this thread, so that tokenizers are loaded ahead of them. */
  readonly isServing: boolean;
  /** Threads that share the budget of second attempts. */
  readonly threads: number;
}

/** Second attempts: 20 % of the requests and 10 a second. */
const RETRY_BUDGET = { ratio: 0.2, minPerSec: 10 };

/**
 * The routers, each made when the first request asks for it, and what they leave to be closed with `stack`. They share one
 * retry budget and one watch over streams.
 */
export function createRouters(parts: DataPathParts, stack: AsyncDisposableStack): Routers {
  const { config, clock, logger, workerRegistry, policyRegistry, transport, ledger, metrics, outcomes, threads } =
    parts;
  const { grpc, tokenizers } = parts;
  const deps = {
    workers: workerRegistry,
    policies: policyRegistry,
    transport,
    ledger,
    metrics,
    clock,
    outcomes,
    failedLoad: stack.use(new FailedLoad(clock)),
    failureLog: new FailureLog(logger, clock),
    random: Math.random,
    budget: new RetryBudget({ ...RETRY_BUDGET, minPerSec: RETRY_BUDGET.minPerSec / threads }, clock),
    streams: { watch: stack.use(new StreamWatch(clock)), clock, ...streamSettings(config) },
    ...routerSettings(config),
  };
  const texts = stack.use(
    new ModelTexts({
      tokenizers,
      workers: workerRegistry,
      logger,
      fetchTokenizer: (worker) => fetchTokenizer(grpc, clock, worker),
      settings: modelTextSettings(config),
      isEager: parts.isServing,
    }),
  );
  const tokenAnswers = new TokenAnswers({ workers: workerRegistry, tokenizers, texts });
  const grpcDeps = { ...deps, grpc, texts, tokenAnswers };
  const makers = {
    http: () => RouterFactory.createHttpRouter(deps),
    http_pd: () => RouterFactory.createPdRouter(deps),
    grpc: () => RouterFactory.createGrpcRouter(grpcDeps),
    grpc_pd: () => RouterFactory.createGrpcPdRouter(grpcDeps),
  };
  return new Routers(makers, tokenAnswers);
}

export interface PolicyParts extends Pick<DataPathParts, "config" | "logger" | "clock"> {
  readonly memory: PolicyMemory;
  /** Put around each policy of the operator's module, whose code has no bound. */
  readonly note?: (policy: Policy) => Policy;
}

/** Throws GatewayError where a policy is not known or a policy module does not load. */
export async function createPolicyRegistry({
  config,
  memory,
  logger,
  clock,
  note = (policy) => policy,
}: PolicyParts): Promise<PolicyRegistry> {
  const { defaultPolicy, roleDefaults, cacheAware, patterns } = policyConfigs(config);
  const custom = config.policyModule === undefined ? undefined : await loadPolicyModule(config.policyModule);
  const registry = new PolicyRegistry({
    defaultPolicy,
    roleDefaults,
    cacheAware,
    memory,
    custom: custom ? [guardPolicy({ name: custom.name, create: () => note(custom.create()) }, logger, clock)] : [],
  });
  for (const { match, policy } of patterns) registry.registerPattern(match, policy);
  return registry;
}

interface ForgettingParts extends Pick<DataPathParts, "workerRegistry" | "grpc" | "metrics"> {
  readonly transports: readonly Pick<Transport, "forget">[];
}

/** A worker that has left leaves no sockets and no series behind. */
export function forgetDeparted({ workerRegistry, transports, grpc, metrics }: ForgettingParts): void {
  workerRegistry.onChange((before, after) => {
    if (after || !before) return;
    for (const transport of transports) transport.forget(before.url);
    grpc.forget(before.url);
    metrics.release("worker", before.url);
  });
}
