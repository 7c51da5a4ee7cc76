import { AccessText, accessFields, cut, roundMs } from "./access-line.ts";
import type { Decision } from "./decision.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { RequestSeries } from "./request-series.ts";
import type { RequestTrace } from "./traces/request-trace.ts";
import type { Clock } from "../util/clock.ts";

/** Token counts of an answer, as the worker reported them; undefined where it did not. */
export interface TokenCounts {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly cachedTokens: number | undefined;
}

/** An attempt that did not serve the request. */
export interface FailedAttempt {
  readonly url: string;
  /** Code of the errors table. */
  readonly code: string;
}

/** A model of a route that could not answer. */
export interface FailedModel {
  readonly model: string;
  /** Code of the errors table. */
  readonly code: string;
}

/** Gets each record when its request is over. */
export interface RecordSink {
  /** Called once for each request, when its last byte has left or its client has gone. */
  settle(record: RequestRecord): void;
}

/** Counts what each key has used. */
export interface KeyTally {
  /** `model`: as a label of metrics. */
  count(key: string, model: string, record: RequestRecord): void;
}

/**
 * The facts of one request. The steps of the request fill it in, and it is settled once at the end. The access line and the
 * metrics are both made from it.
 */
export class RequestRecord {
  /** Of the characters that `requestIdOf` lets through, which all stand for themselves in JSON. */
  readonly requestId: string;
  readonly endpoint: string;
  /** Time on the record's clock, which is the transports' clock, ms. */
  readonly startedAt: number;
  /** The name of the model that is asked, once a worker may serve it: the client's name, unless that is a route's. */
  model: string | undefined;
  /** Name of the caller's key; undefined where the gateway has no keys, and until the caller is known. */
  key: string | undefined;
  /** It is neither logged nor counted: see `too_many_wrong_keys`. */
  isUnlisted = false;
  /** The client's name for the model, where it is the name of a route. */
  route: string | undefined;
  /** Models of the route that could not answer, in order; undefined where the first one asked did not fail. */
  failedModels: FailedModel[] | undefined;
  /** Whether a worker lists the model. Only then its name becomes a label, so that clients cannot create labels. */
  isModelListed = false;
  workerId: string | undefined;
  workerUrl: string | undefined;
  /** The prefill worker, where prefill and decode are apart; `workerId` is then the decode worker. */
  prefillWorkerId: string | undefined;
  prefillWorkerUrl: string | undefined;
  /** The policy of each leg, joined by `+`. */
  policy: string | undefined;
  /** One for each worker that a policy chose, in order; undefined where nobody wants the choices explained. */
  decisions: Decision[] | undefined;
  /** Why the last try goes to its workers, for the client; empty before the first try, undefined where the client did not ask. */
  receipt: string | undefined;
  /** Its spans, where it is traced. */
  trace: RequestTrace | undefined;
  /** Time from the send to the first token that the policy expected at the worker that answers, ms. */
  predictedTtftMs: number | undefined;
  attempts = 0;
  /** Attempts that failed, in order; undefined where none failed, as in nearly every request. */
  failedAttempts: FailedAttempt[] | undefined;
  /** `key` is the name of a token's bearer. */
  isBearer = false;
  isStream = false;
  /** Time from the start to the first event of a stream, ms. */
  ttftMs: number | undefined;
  lastEventMs: number | undefined;
  events = 0;
  /** Whether the gateway added the end marker that the worker left out. */
  isEndMarkerAdded = false;
  tokens: TokenCounts | undefined;
  /** Code of the errors table, where the request ended with an error. */
  errorCode: string | undefined;
  status = 0;
  durationMs = 0;
  readonly #sink: RecordSink;
  readonly #clock: Clock;
  /** Actions at the end; most requests have one or two. */
  #firstAction: (() => void) | undefined;
  #otherActions: (() => void)[] | undefined;
  #isSettled = false;

  constructor(requestId: string, endpoint: string, sink: RecordSink, clock: Clock) {
    this.requestId = requestId;
    this.endpoint = endpoint;
    this.#clock = clock;
    this.startedAt = clock.now();
    this.#sink = sink;
  }

  noteFailure(url: string, code: string): void {
    this.failedAttempts ??= [];
    this.failedAttempts.push({ url, code });
  }

  noteFailedModel(model: string, code: string): void {
    this.failedModels ??= [];
    this.failedModels.push({ model, code });
  }

  /** Time since the start, ms. */
  get elapsedMs(): number {
    return this.#clock.now() - this.startedAt;
  }

  /** Runs `action` when the request is over. */
  onSettled(action: () => void): void {
    if (this.#isSettled) action();
    else if (!this.#firstAction) this.#firstAction = action;
    else {
      this.#otherActions ??= [];
      this.#otherActions.push(action);
    }
  }

  /** Ends the request with this status. Later calls do nothing. `now`: the time of the clock, where the caller has read it. */
  settle(status: number, errorCode?: string, now = this.#clock.now()): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.status = status;
    this.errorCode = errorCode;
    this.durationMs = now - this.startedAt;
    this.#firstAction?.();
    if (this.#otherActions) for (const action of this.#otherActions) action();
    if (!this.isUnlisted) this.#sink.settle(this);
  }
}

/** Counts, writes the access line, and with `logsDecisions` before it a line for each decision that the record keeps. */
export function createRecordSink(
  logger: Logger,
  metrics: Metrics,
  logsDecisions = false,
  tally?: KeyTally,
): RecordSink {
  const series = new RequestSeries(metrics);
  const text = new AccessText();
  const membersOf = (record: RequestRecord): string => text.of(record);
  return {
    settle(record) {
      const model = count(record, metrics, series);
      if (record.key !== undefined) tally?.count(record.key, model, record);
      if (logsDecisions && record.decisions) {
        for (const decision of record.decisions) logger.debug(decisionLine(record, decision), "choice");
      }
      if (logger.infoMembers) logger.infoMembers(membersOf, record, "request");
      else logger.info(accessFields(record), "request");
    },
  };
}

function decisionLine({ requestId, ttftMs }: RequestRecord, decision: Decision): object {
  const { role, policy, worker, reason, candidates, unit, cost, considered } = decision;
  return {
    request_id: requestId,
    role,
    policy,
    worker_url: worker,
    reason,
    candidates,
    held_back: decision.heldBack || undefined,
    unit,
    cost,
    cheapest: considered.length > 0 ? considered.map((one) => ({ worker_url: one.worker, cost: one.cost })) : undefined,
    charge_tokens: decision.chargeTokens,
    predicted_ttft_ms: roundMs(decision.predictedTtftMs),
    ttft_ms: roundMs(ttftMs),
  };
}

/** Returns the model as a label. */
function count(record: RequestRecord, metrics: Metrics, series: RequestSeries): string {
  const endpoint = record.endpoint;
  const model = modelLabel(record, metrics);
  series.ofEndpoint(endpoint, model).count(record.status, record.durationMs / 1000);
  if (record.errorCode !== undefined) metrics.increment("errors", { endpoint, model, code: record.errorCode });
  if (record.workerUrl === undefined) return model;
  const worker = series.ofWorker(metrics.bounded("worker", record.workerUrl), model);
  const completion = record.tokens?.completionTokens ?? (record.isStream ? record.events : undefined);
  if (record.tokens?.promptTokens) worker.increment("promptTokens", record.tokens.promptTokens);
  if (record.tokens?.cachedTokens) worker.increment("cachedTokens", record.tokens.cachedTokens);
  if (completion) worker.increment("completionTokens", completion);
  if (record.isEndMarkerAdded) worker.increment("addedEndMarkers");
  if (record.ttftMs === undefined) return model;
  worker.observe("timeToFirstToken", record.ttftMs / 1000);
  if (completion !== undefined && completion > 1 && record.lastEventMs !== undefined) {
    const perToken = (record.lastEventMs - record.ttftMs) / (completion - 1);
    worker.observe("timePerOutputToken", perToken / 1000);
  }
  return model;
}

/** The model as a label of metrics. */
export function modelLabel(
  { model, isModelListed }: Pick<RequestRecord, "model" | "isModelListed">,
  metrics: Pick<Metrics, "bounded">,
): string {
  return model !== undefined && isModelListed ? metrics.bounded("model", cut(model)) : "other";
}
