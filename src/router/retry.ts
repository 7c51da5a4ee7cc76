import { asGatewayError, clientClosed, GatewayError } from "../errors/errors.ts";
import type { Policy } from "../policy/policy.ts";
import type { Clock } from "../util/clock.ts";
import type { Worker } from "../worker/worker.ts";
import type { ModelSnapshot } from "../worker/worker-registry.ts";
import { Attempt, type AttemptDeps } from "./attempt.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { InferenceRequest } from "./router.ts";

export interface RetrySettings {
  /** 1 or 2: a generation is started at most twice. */
  readonly maxAttempts: number;
  /** Before a second try at the same worker, ms. Another worker is tried at once. */
  readonly backoffMs: number;
  /** Share of the backoff that is random, 0 to 1. */
  readonly jitterRatio: number;
}

export interface DispatchDeps extends AttemptDeps {
  readonly retry: RetrySettings;
  readonly budget: RetryBudget;
  readonly clock: Clock;
  /** For `Retry-After` where no worker can take a request now, s. */
  readonly capacityRetryAfterSecs: number;
}

/** Sends to the worker of the attempt and returns what came, once its first byte is there. */
export type SendAttempt<T> = (attempt: Attempt) => Promise<T>;

/** Who may be asked, and how they are chosen. */
export interface Choice {
  readonly snapshot: ModelSnapshot;
  readonly policy: Policy;
  /** Workers that this request has lost already, by id. */
  readonly lost: ReadonlySet<string>;
}

/**
 * Chooses a worker, sends, and where that fails before the client has seen a byte chooses once more. In this order:
 *
 * 1. An error whose row says `never`, and a client that has left, end it.
 * 2. At most `maxAttempts` in all.
 * 3. The worker that failed is left out, while there is another.
 * 4. The same worker again only where it closed an idle connection as the request went out.
 * 5. Not beyond the budget.
 */
export async function dispatch<T>(
  deps: DispatchDeps,
  request: InferenceRequest,
  { snapshot, policy, lost }: Choice,
  send: SendAttempt<T>,
): Promise<T> {
  deps.budget.onRequest();
  let candidates = without(snapshot.available, lost);
  const probed = takeProbe(deps, snapshot, lost);
  let worker = probed ?? choose(deps, policy, candidates, snapshot, request);
  for (let count = 1; ; count += 1) {
    const { record } = request;
    record.attempts += 1;
    record.workerId = worker.id;
    record.workerUrl = worker.url;
    const attempt = new Attempt(deps, worker, request, worker === probed && count === 1);
    try {
      return await send(attempt);
    } catch (thrown) {
      const error = asGatewayError(thrown);
      attempt.end(error);
      if (count >= deps.retry.maxAttempts || error.row.retry === "never" || request.signal.aborted) throw error;
      const failed = worker.id;
      candidates = candidates.filter((candidate) => candidate.id !== failed);
      const isSameAgain = candidates.length === 0 && error.code === "upstream_stale_socket";
      if ((candidates.length === 0 && !isSameAgain) || !deps.budget.tryRetry()) throw error;
      if (isSameAgain) await pause(deps, request.signal);
      else worker = choose(deps, policy, candidates, snapshot, request);
      deps.metrics.increment("retries", { code: error.code });
    }
  }
}

/** A worker whose breaker is half-open gets one request to prove itself with. */
function takeProbe(
  { ledger }: DispatchDeps,
  { probation }: ModelSnapshot,
  lost: ReadonlySet<string>,
): Worker | undefined {
  for (const worker of without(probation, lost)) if (ledger.tryAcquireProbe(worker.slot)) return worker;
  return undefined;
}

function without(workers: readonly Worker[], lost: ReadonlySet<string>): readonly Worker[] {
  return lost.size === 0 ? workers : workers.filter(({ id }) => !lost.has(id));
}

function choose(
  deps: DispatchDeps,
  policy: Policy,
  candidates: readonly Worker[],
  { resting }: ModelSnapshot,
  request: InferenceRequest,
): Worker {
  const index = candidates.length > 0 ? policy.select(candidates, request.features) : -1;
  const worker = candidates[index];
  if (worker) return worker;
  throw new GatewayError("no_available_workers", "no worker can take this request now", {
    retryAfterSecs: secsUntilRested(deps.clock.now(), resting) ?? deps.capacityRetryAfterSecs,
  });
}

/** When the first of them can be asked again, in whole seconds from now. */
function secsUntilRested(now: number, resting: readonly Worker[]): number | undefined {
  if (resting.length === 0) return undefined;
  const first = Math.min(...resting.map(({ restUntil = now }) => restUntil));
  return Math.max(1, Math.ceil((first - now) / 1000));
}

function pause(deps: DispatchDeps, signal: AbortSignal): Promise<void> {
  const { backoffMs, jitterRatio } = deps.retry;
  const delayMs = backoffMs * (1 - jitterRatio * Math.random());
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = deps.clock.after(delayMs, resolve);
  const onAbort = (): void => {
    cancel();
    reject(clientClosed(signal.reason));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}
