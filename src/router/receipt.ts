import { roundMs } from "../observability/access-line.ts";
import { unicodeEscape } from "../util/unicode-escape.ts";
import { consideredView, roundCost, roundTokens } from "./decision-view.ts";
import type { Chosen } from "./chosen.ts";

/** The header with the receipt, in an answer whose client asked for one. */
export const RECEIPT_HEADER = "x-pointsman-decision";

/** Most candidates of a leg that a receipt has. */
const NAMED = 4;
/** Longest receipt, bytes: clients and proxies bound the headers of an answer, usually to 8 KiB in all. */
const MAX_BYTES = 4096;

/** The workers of a try. */
interface TriedWorkers {
  readonly prefill: Chosen | undefined;
  readonly answer: Chosen;
}

/**
 * Why a request goes to its workers, as the value of a header: JSON in ASCII. Where it would be too long it has fewer candidates, and at
 * last only the workers' addresses, cut.
 */
export function receiptOf(requestId: string, attempt: number, { prefill, answer }: TriedWorkers): string {
  const legs = prefill ? [prefill, answer] : [answer];
  for (let named = NAMED; named >= 0; named -= 1) {
    const text = asciiJson({ request_id: requestId, attempt, legs: legs.map((leg) => legView(leg, named)) });
    if (text.length <= MAX_BYTES) return text;
  }
  return asciiJson({
    request_id: requestId,
    attempt,
    legs: legs.map(({ worker }) => ({ worker: worker.url.slice(0, 256) })),
  });
}

function legView({ worker, pick, policy, reason, candidates, decision }: Chosen, named: number): object {
  const considered = decision?.considered.slice(0, named) ?? [];
  return {
    role: worker.spec.workerType,
    policy,
    worker: worker.url,
    reason,
    candidates,
    held_back: decision?.heldBack,
    charge_tokens: pick?.chargeTokens,
    predicted_ttft_ms: roundMs(pick?.predictedTtftMs ?? decision?.predictedTtftMs),
    predicted_cached_tokens: roundTokens(pick?.predictedCachedTokens ?? decision?.predictedCachedTokens),
    unit: decision?.unit,
    cost: roundCost(decision?.cost),
    considered: considered.length > 0 ? considered.map(consideredView) : undefined,
  };
}

/** JSON whose characters may all stand in a header; the name of an operator's policy may have any. */
function asciiJson(value: object): string {
  return JSON.stringify(value).replace(/[^\u0020-\u007e]/g, unicodeEscape);
}
