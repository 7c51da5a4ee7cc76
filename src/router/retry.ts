import { asGatewayError, whyLeft } from "../errors/errors.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { AttemptDeps } from "./attempt.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { InferenceRequest } from "./router.ts";
import type { Choice } from "./choice.ts";
import { Selection, type SelectionDeps } from "./selection.ts";
import { beginTry, failTry, type Try } from "./try.ts";

export interface RetrySettings {
  /** 1 or 2: a generation is started at most twice. */
  readonly maxAttempts: number;
  /** Before a second try at the same worker, ms. Another worker is tried at once. */
  readonly backoffMs: number;
  /** Share of the backoff that is random, 0 to 1. */
  readonly jitterRatio: number;
}

export interface DispatchDeps extends AttemptDeps, SelectionDeps {
  readonly retry: RetrySettings;
  readonly budget: RetryBudget;
}

/** Sends the request to the workers of one try. Resolves once the first byte of the answer is there. */
export type SendTry<T> = (tried: Try) => Promise<T>;

/**
 * Chooses workers and sends. Where the try fails before the client has seen a byte, it chooses once more. These rules
 * decide, in this order:
 *
 * 1. A request is not sent again after an error whose row says `never`, nor after its client has left.
 * 2. A request is sent at most `maxAttempts` times.
 * 3. A worker that failed is left out, if another one can take its place. Of a pair this is the worker whose attempt
 *    failed, or both.
 * 4. The same worker is asked again only if it closed an idle connection just as the request went out.
 * 5. The budget of retries must allow it.
 *
 * Rejects with the GatewayError of the last try.
 */
export async function dispatch<T>(
  deps: DispatchDeps,
  request: InferenceRequest,
  choice: Choice,
  send: SendTry<T>,
): Promise<T> {
  deps.budget.onRequest(request.record.startedAt);
  const selection = new Selection(deps, request, choice);
  let chosen = selection.first();
  for (let count = 1; ; count += 1) {
    const tried = beginTry(deps, request, chosen);
    try {
      return await send(tried);
    } catch (thrown) {
      const error = asGatewayError(thrown);
      const failed = failTry(tried, error);
      if (count >= deps.retry.maxAttempts || error.row.retry === "never" || request.signal.aborted) throw error;
      const hasOthers = failed.filter((worker) => selection.leaveOut(worker, error)).length > 0;
      const isSameAgain = !hasOthers && error.code === "upstream_stale_socket";
      if ((!hasOthers && !isSameAgain) || !deps.budget.tryRetry()) throw error;
      if (isSameAgain) await pause(deps, request.signal);
      chosen = isSameAgain ? selection.again(chosen) : selection.next();
      deps.metrics.increment("retries", { code: error.code });
    }
  }
}

function pause(deps: DispatchDeps, signal: LeaveSignal): Promise<void> {
  const { backoffMs, jitterRatio } = deps.retry;
  const delayMs = backoffMs * (1 - jitterRatio * deps.random());
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = deps.clock.after(delayMs, resolve);
  const onAbort = (): void => {
    cancel();
    reject(whyLeft(signal.reason));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}
