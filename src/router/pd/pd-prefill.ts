import { modelLabel } from "../../observability/request-record.ts";
import { asGatewayError } from "../../errors/errors.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { InferenceRequest } from "../router.ts";
import type { PdConnector } from "../../engine/connector.ts";
import type { PdExchange } from "./pd-exchange.ts";

/** What became of the KV cache of a request. `missing`: decode prefills for itself. `skipped`: prefill was not asked. */
export type HandoverOutcome = "handed_over" | "missing" | "skipped" | "failed";

export interface PdTry {
  readonly request: InferenceRequest;
  readonly connector: PdConnector;
  readonly exchange: PdExchange;
}

/** Why prefill and decode workers cannot serve an endpoint; undefined where they may. */
export function pdRefusal({ work }: Endpoint): string | undefined {
  return work === "embed" ? "prefill and decode workers generate text; this route needs a regular worker" : undefined;
}

export function countHandover(
  metrics: Metrics,
  { request, connector }: Pick<PdTry, "request" | "connector">,
  outcome: HandoverOutcome,
): void {
  const model = modelLabel(request.record, metrics);
  metrics.increment("kvTransfers", { model, connector: connector.name, outcome });
}

/**
 * What prefill came to. Tells the exchange and the metrics how it went. `outcomeOf`: undefined where only what comes later
 * can tell. Throws what prefill failed with.
 */
export async function watchPrefill<Answer>(
  metrics: Metrics,
  pd: PdTry,
  prefill: () => Promise<Answer>,
  outcomeOf: (answer: Answer) => HandoverOutcome | undefined,
): Promise<Answer> {
  const { exchange, request } = pd;
  const startedAt = performance.now();
  try {
    const answer = await prefill();
    exchange.prefillDone();
    const model = modelLabel(request.record, metrics);
    metrics.observe("prefillDuration", { model }, (performance.now() - startedAt) / 1000);
    const outcome = outcomeOf(answer);
    if (outcome !== undefined) countHandover(metrics, pd, outcome);
    return answer;
  } catch (thrown) {
    const error = asGatewayError(thrown);
    if (!exchange.prefillSignal.aborted) countHandover(metrics, pd, "failed");
    exchange.prefillFailed(error);
    throw error;
  }
}
