import { asGatewayError, type GatewayError, whyLeft } from "../errors/errors.ts";
import { Attempt, type AttemptDeps, type Chosen } from "./attempt.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { InferenceRequest } from "./router.ts";
import { type Choice, Selection, type SelectionDeps } from "./selection.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

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

/** Sends to the workers of one try, in the order of the legs, and returns what came, once its first byte is there. */
export type SendAttempts<T> = (attempts: readonly Attempt[]) => Promise<T>;

/**
 * Chooses workers, sends, and where that fails before the client has seen a byte chooses once more. In this order:
 *
 * 1. An error whose row says `never`, and a client that has left, end it.
 * 2. At most `maxAttempts` in all.
 * 3. The worker that failed is left out, while there is another. Of a pair, that is the one whose attempt failed, or both.
 * 4. The same worker again only where it closed an idle connection as the request went out.
 * 5. Not beyond the budget.
 */
export async function dispatch<T>(
  deps: DispatchDeps,
  request: InferenceRequest,
  choice: Choice,
  send: SendAttempts<T>,
): Promise<T> {
  deps.budget.onRequest();
  const selection = new Selection(deps, request, choice);
  let chosen = selection.first();
  for (let count = 1; ; count += 1) {
    const attempts = begin(deps, request, chosen);
    try {
      return await send(attempts);
    } catch (thrown) {
      const error = asGatewayError(thrown);
      const failed = endAll(attempts, error);
      if (count >= deps.retry.maxAttempts || error.row.retry === "never" || request.signal.aborted) throw error;
      const hasOthers = failed.filter(({ worker }) => selection.leaveOut(worker)).length > 0;
      const isSameAgain = !hasOthers && error.code === "upstream_stale_socket";
      if ((!hasOthers && !isSameAgain) || !deps.budget.tryRetry()) throw error;
      if (isSameAgain) await pause(deps, request.signal);
      else chosen = selection.next();
      deps.metrics.increment("retries", { code: error.code });
    }
  }
}

/** Counts one try, and says in the record who was chosen. */
function begin(deps: DispatchDeps, request: InferenceRequest, chosen: readonly Chosen[]): Attempt[] {
  const { record } = request;
  record.attempts += 1;
  for (const { worker } of chosen) {
    if (worker.spec.workerType === "prefill") {
      record.prefillWorkerId = worker.id;
      record.prefillWorkerUrl = worker.url;
    } else {
      record.workerId = worker.id;
      record.workerUrl = worker.url;
    }
  }
  return chosen.map((one) => new Attempt(deps, one, request));
}

/** Ends what the sender has not ended, and returns what failed: where nobody said which, it is the last, who answers. */
function endAll(attempts: readonly Attempt[], error: GatewayError): readonly Attempt[] {
  const told = attempts.filter(({ failure }) => failure !== undefined);
  const failed = told.length > 0 ? told : attempts.slice(-1);
  for (const attempt of attempts) {
    if (failed.includes(attempt)) attempt.end(error);
    else attempt.abandon();
  }
  return failed;
}

function pause(deps: DispatchDeps, signal: LeaveSignal): Promise<void> {
  const { backoffMs, jitterRatio } = deps.retry;
  const delayMs = backoffMs * (1 - jitterRatio * Math.random());
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = deps.clock.after(delayMs, resolve);
  const onAbort = (): void => {
    cancel();
    reject(whyLeft(signal.reason));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}
