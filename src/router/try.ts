import type { GatewayError } from "../errors/errors.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Worker } from "../worker/worker.ts";
import { Attempt, type AttemptDeps, type AttemptedRequest } from "./attempt.ts";
import type { Chosen } from "./chosen.ts";
import { receiptOf } from "./receipt.ts";

/** A value for the worker that answers a request, and one for the prefill worker, if there are two. */
export interface Legs<T> {
  readonly prefill: T | undefined;
  readonly answer: T;
}

/** One try of a request: the attempt at the worker that answers, and at the prefill worker, if there is one. */
export type Try = Legs<Attempt>;

type TriedRequest = AttemptedRequest & {
  readonly record: Pick<
    RequestRecord,
    "attempts" | "workerId" | "workerUrl" | "prefillWorkerId" | "prefillWorkerUrl" | "receipt" | "predictedTtftMs"
  >;
};

/** Charges the chosen workers in the ledger, counts the try in the request's record, and records the chosen workers. */
export function beginTry(deps: AttemptDeps, request: TriedRequest, chosen: Legs<Chosen>): Try {
  const { record } = request;
  const { prefill, answer } = chosen;
  record.attempts += 1;
  // A second try may do without a prefill worker.
  record.prefillWorkerId = prefill?.worker.id;
  record.prefillWorkerUrl = prefill?.worker.url;
  record.workerId = answer.worker.id;
  record.workerUrl = answer.worker.url;
  record.predictedTtftMs = answer.pick?.predictedTtftMs;
  if (record.receipt !== undefined) record.receipt = receiptOf(record.requestId, record.attempts, chosen);
  return {
    prefill: prefill && new Attempt(deps, prefill, request),
    answer: new Attempt(deps, answer, request),
  };
}

/**
 * Ends the attempts of a try that failed with this error, and returns the workers that failed. These are the workers whose
 * attempts the sender has ended with an error. Where the sender has ended none, the worker that answers has failed. Nothing
 * is said of the other worker.
 */
export function failTry({ prefill, answer }: Try, error: GatewayError): Worker[] {
  const failed = prefill?.failure ? [prefill.worker] : [];
  prefill?.abandon();
  if (answer.failure || failed.length === 0) {
    answer.end(error);
    failed.push(answer.worker);
  } else {
    answer.abandon();
  }
  return failed;
}
