import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { AttemptDeps } from "../router/attempt.ts";
import { FailureLog } from "../router/failure-log.ts";
import { TokenAnswers } from "../router/grpc/token-answers.ts";
import { RetryBudget } from "../router/retry-budget.ts";
import { RouterFactory } from "../router/router-factory.ts";
import { Routers } from "../router/routers.ts";
import type { StreamWatch } from "../router/stream-watch.ts";
import type { GrpcClient } from "../transport/grpc/grpc-client.ts";
import type { Transport } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import type { OutcomeSink } from "../worker/attempt-outcome.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import { WantedWorkers } from "../worker/wanted-workers.ts";
import { createModelTexts } from "./model-texts.ts";
import type { Registries } from "./registries.ts";
import { modelTextSettings, routerSettings, streamSettings } from "./settings.ts";

/** Parts that the routers of one serving unit need. */
export interface RouterParts extends Omit<Registries, "policyMemory" | "policyFollower"> {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly transport: Transport;
  readonly grpc: GrpcClient;
  /** The gateway's entry in `Via`. */
  readonly via: string;
  readonly outcomes: OutcomeSink;
  readonly finder: Pick<ModelFinder, "wanted">;
  /** Looks at the streams of the unit. */
  readonly watch: StreamWatch;
  /** Second attempts a second that are always allowed. */
  readonly retriesPerSec: number;
  /** Keeps the unit's choices; undefined where they are not kept. */
  readonly decisions: AttemptDeps["decisions"];
  readonly predictionErrors: AttemptDeps["predictionErrors"];
}

/** Second attempts for each request. */
const RETRY_RATIO = 0.2;

/**
 * Opens what the routers of a serving unit share for good: the retry budget, the watch over streams, the models' texts. `stack` closes
 * it. The returned function makes the routers of one configuration, each at its first request.
 */
export function openRouters(parts: RouterParts, stack: DisposableStack): (config: Config) => Routers {
  const { clock, logger, workerRegistry, policyRegistry, transport, ledger, metrics, outcomes } = parts;
  const { grpc, tokenizers, watch } = parts;
  const kept = {
    workers: workerRegistry,
    policies: policyRegistry,
    transport,
    via: parts.via,
    ledger,
    metrics,
    clock,
    outcomes,
    failedLoad: stack.use(new FailedLoad(clock)),
    failureLog: new FailureLog(logger, clock),
    random: Math.random,
    wanted: new WantedWorkers(clock, parts.finder),
    decisions: parts.decisions,
    predictionErrors: parts.predictionErrors,
    budget: new RetryBudget({ ratio: RETRY_RATIO, minPerSec: parts.retriesPerSec }, clock),
  };
  const { texts, promptTokens } = createModelTexts(parts, stack);
  const tokenAnswers = new TokenAnswers({ workers: workerRegistry, tokenizers, texts });
  return (config) => {
    const deps = { ...kept, streams: { watch, clock, ...streamSettings(config) }, ...routerSettings(config) };
    texts.replace(modelTextSettings(config));
    const grpcDeps = { ...deps, grpc, texts };
    const httpDeps = { ...deps, promptTokens };
    const makers = {
      http: () => RouterFactory.createHttpRouter(httpDeps),
      http_pd: () => RouterFactory.createHttpPdRouter(httpDeps),
      grpc: () => RouterFactory.createGrpcRouter(grpcDeps),
      grpc_pd: () => RouterFactory.createGrpcPdRouter(grpcDeps),
    };
    return new Routers(makers, tokenAnswers);
  };
}
