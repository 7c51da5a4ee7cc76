import { roundMs } from "../observability/access-line.ts";
import type { ConsideredWorker } from "../observability/decision.ts";
import type { LoggedLeg, LoggedTry } from "./decision-log.ts";

/** A try as `GET /debug/decisions` shows it. What is not known is left out. */
export function decisionView({ at, requestId, endpoint, model, isStream, attempt, legs }: LoggedTry): object {
  return {
    time: new Date(at).toISOString(),
    request_id: requestId,
    endpoint,
    model,
    stream: isStream,
    attempt,
    legs: legs.map(legView),
  };
}

function legView({ decision, ...leg }: LoggedLeg): object {
  return {
    role: leg.role,
    policy: leg.policy,
    worker: leg.worker,
    reason: leg.reason,
    candidates: leg.candidates,
    held_back: decision?.heldBack,
    charge_tokens: leg.chargeTokens,
    predicted_ttft_ms: roundMs(leg.predictedTtftMs),
    ttft_ms: roundMs(leg.ttftMs),
    predicted_cached_tokens: roundTokens(leg.predictedCachedTokens),
    cached_tokens: leg.cachedTokens,
    prompt_tokens: leg.promptTokens,
    outcome: leg.outcome,
    duration_ms: roundMs(leg.durationMs),
    unit: decision?.unit,
    cost: roundCost(decision?.cost),
    considered: decision && decision.considered.length > 0 ? decision.considered.map(consideredView) : undefined,
  };
}

/** A candidate as a policy weighed it. */
export function consideredView(one: ConsideredWorker): object {
  const terms = Object.entries(one.terms).map(([name, value]) => [name, roundCost(value)]);
  return {
    worker: one.worker,
    cost: roundCost(one.cost),
    terms: terms.length > 0 ? Object.fromEntries(terms) : undefined,
    predicted_ttft_ms: roundMs(one.predictedTtftMs),
    cached_tokens: roundTokens(one.cachedTokens),
    in_flight_tokens: roundTokens(one.inFlightTokens),
  };
}

/** To whole tokens. */
export function roundTokens(tokens: number | undefined): number | undefined {
  return tokens === undefined ? undefined : Math.round(tokens);
}

/** To a microsecond where it is seconds. */
export function roundCost(cost: number | undefined): number | undefined {
  return cost === undefined ? undefined : Math.round(cost * 1e6) / 1e6;
}
