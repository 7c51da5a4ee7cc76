import type { BreakerNews, GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { PredictionErrors } from "../observability/prediction-errors.ts";
import { modelLabel, type TokenCounts } from "../observability/request-record.ts";
import type { TracedChoice } from "../observability/traces/request-trace.ts";
import type { Picked, PickOutcome, PieceHearer } from "../policy/policy.ts";
import type { AttemptOutcome, OutcomeSink } from "../worker/attempt-outcome.ts";
import type { Clock } from "../util/clock.ts";
import type { FailedLoad } from "../worker/failed-load.ts";
import type { Lease, LoadLedger } from "../worker/load-ledger.ts";
import type { Worker } from "../worker/worker.ts";
import type { Chosen } from "./chosen.ts";
import type { DecisionLog, LoggedRequest } from "./decision-log.ts";
import type { FailedRequest, FailureLog } from "./failure-log.ts";
import type { InferenceRequest } from "./router.ts";

export interface AttemptDeps {
  readonly ledger: LoadLedger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly outcomes: OutcomeSink;
  readonly failedLoad: FailedLoad;
  readonly failureLog: FailureLog;
  /** undefined where choices are not kept. */
  readonly decisions: DecisionLog | undefined;
  readonly predictionErrors: PredictionErrors;
}

/** The parts of a request that an attempt needs. */
export type AttemptedRequest = FailedRequest & {
  readonly features: Pick<InferenceRequest["features"], "model" | "promptTokens">;
  readonly record: Pick<
    InferenceRequest["record"],
    "noteFailure" | "startedAt" | "isModelListed" | "prefillWorkerId" | "tokens" | "trace"
  > &
    LoggedRequest;
};

/** How long a probe blocks the next probe of its worker, ms, because answers may take long. */
const PROOF_MS = 30_000;

/**
 * One request at one worker. The ledger counts it from before the send until the attempt ends: when the last byte has been
 * read, when the worker failed, or when the client left. With prefill and decode apart a try is two attempts, and the breaker
 * and the policy of each worker hear of its own attempt.
 */
export class Attempt {
  readonly worker: Worker;
  readonly #deps: AttemptDeps;
  readonly #lease: Lease;
  readonly #request: AttemptedRequest;
  readonly #isProbe: boolean;
  readonly #pick: Picked | undefined;
  readonly #heardBy: Chosen["heardBy"];
  /** Time of the charge on the clock, ms. */
  readonly chargedAt: number;
  /** Time of the end on the clock, ms; undefined while it runs. */
  endedAt: number | undefined;
  /** Prompt tokens that pended at the worker after the charge; 0 where nobody needs it. */
  readonly #pendingTokens: number;
  /** Ticket of the choice in the log of decisions. */
  readonly #ticket: number;
  /** Number of the attempt among the spans of the request, where it is traced. */
  readonly #span: number;
  #hasFirstToken = false;
  #holdsProbe: boolean;
  #cancelProof: (() => void) | undefined;
  #isOver = false;
  #failure: GatewayError | undefined;

  constructor(deps: AttemptDeps, chosen: Chosen, request: AttemptedRequest) {
    const { worker, isProbe, pick, heardBy } = chosen;
    this.worker = worker;
    this.#pick = pick;
    this.#heardBy = heardBy;
    this.chargedAt = deps.clock.now();
    this.#ticket = deps.decisions?.begin(chosen, request.record, this.chargedAt) ?? 0;
    this.#span = request.record.trace?.begin(tracedChoice(chosen)) ?? 0;
    this.#deps = deps;
    this.#request = request;
    this.#isProbe = isProbe;
    this.#holdsProbe = isProbe;
    if (isProbe) this.#cancelProof = deps.clock.after(PROOF_MS, () => this.#letOthersProve());
    const { promptTokens } = request.features;
    // A decode worker gets the prompt, but does not prefill it.
    const toPrefill = worker.spec.workerType === "decode" ? 0 : promptTokens;
    this.#lease = deps.ledger.charge(worker.slot, pick?.chargeTokens ?? toPrefill, pick?.contextTokens ?? promptTokens);
    this.#pendingTokens = heardBy?.affinity ? deps.ledger.pendingPromptTokens(worker.slot) : 0;
  }

  /** The error of a failed attempt; undefined while it runs, and after it was answered or abandoned. */
  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  /** The first token has arrived, so the prompt is prefilled. Later calls do nothing. */
  prefillDone(): void {
    if (this.#isOver || this.#hasFirstToken) return;
    this.#hasFirstToken = true;
    this.#lease.prefillDone();
    const { clock, decisions } = this.#deps;
    const ms = clock.now() - this.chargedAt;
    this.#pick?.onFirstToken?.(ms);
    // No tokens pend at a decode worker, so its first token says nothing about how fast it prefills.
    this.#heardBy?.affinity?.rates.learn(this.worker.slot, this.#pendingTokens, ms);
    decisions?.firstToken(this.#ticket, ms);
    this.#request.record.trace?.firstToken(this.#span);
    const predictedMs = this.#pick?.predictedTtftMs;
    if (predictedMs !== undefined) this.#notePrediction(predictedMs, ms);
  }

  /** Hears of each piece of the stream; undefined where nobody wants to. */
  get hearer(): PieceHearer | undefined {
    return hearsPieces(this.#pick) ? this.#pick : undefined;
  }

  #noteCached(found: number | undefined, model: string): void {
    const predicted = this.#pick?.predictedCachedTokens;
    if (predicted === undefined || found === undefined) return;
    // The cached tokens of a pair are those of its prefill worker.
    if (this.worker.role === "decode" && this.#request.record.prefillWorkerId !== undefined) return;
    const { metrics, predictionErrors } = this.#deps;
    predictionErrors.noteCached(metrics.bounded("worker", this.worker.url), model, predicted, found);
  }

  /** A first token that never came was late by now, if it was expected before. Whole answers have none that the gateway sees. */
  #noteLateness(ms: number): void {
    const predictedMs = this.#pick?.predictedTtftMs;
    if (predictedMs === undefined || this.#hasFirstToken || ms <= predictedMs) return;
    if (this.#request.record.isStream || this.worker.role === "prefill") this.#notePrediction(predictedMs, ms);
  }

  #notePrediction(predictedMs: number, ms: number): void {
    const { metrics, predictionErrors } = this.#deps;
    const worker = metrics.bounded("worker", this.worker.url);
    predictionErrors.note(worker, modelLabel(this.#request.record, metrics), predictedMs, ms);
  }

  /**
   * Ends the attempt: gives the charge back and reports the outcome. The record must have the worker's usage before; `own` is that of
   * a prefill worker, whose answer is not the client's. Later calls do nothing.
   */
  end(error?: GatewayError, own?: TokenCounts): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#close(error?.code ?? "ok", error, own);
    this.#report(error);
  }

  /**
   * Ends the attempt where one worker of a pair failed and the gateway cannot know which. The breaker gets no fault, and the health
   * checker probes the worker.
   */
  endUnsure(error: GatewayError): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#close(error.code, error);
    this.#deps.outcomes.report(this.worker.id, { ...NOTHING, ...this.#proof(), recheck: "health" });
  }

  /** Ends the attempt because the other worker of the pair failed. Nothing is reported about this worker. */
  abandon(): void {
    if (this.#isOver) return;
    this.#close("abandoned");
    // The probe proved nothing, so another request may probe.
    if (this.#isProbe) this.#deps.outcomes.report(this.worker.id, { ...NOTHING, ...this.#proof() });
  }

  #proof(): Pick<AttemptOutcome, "isProbe" | "holdsProbe"> {
    return { isProbe: this.#isProbe, holdsProbe: this.#holdsProbe };
  }

  #letOthersProve(): void {
    this.#deps.outcomes.report(this.worker.id, { ...NOTHING, ...this.#proof() });
    this.#holdsProbe = false;
  }

  #close(outcome: string, error?: GatewayError, own?: TokenCounts): void {
    this.#isOver = true;
    this.#cancelProof?.();
    const { metrics, failedLoad, clock, decisions } = this.#deps;
    const { record } = this.#request;
    const model = modelLabel(record, metrics);
    const tokens = own ?? record.tokens;
    if (error && isUnserved(error)) {
      failedLoad.keep(this.#lease, model);
      record.noteFailure(this.worker.url, error.code);
    } else {
      this.#lease[Symbol.dispose]();
      if (outcome === "ok") {
        failedLoad.answered(model, record.startedAt);
        this.#heardBy?.signals?.onAnswer(tokens);
      }
    }
    metrics.increment("attempts", { model, worker: metrics.bounded("worker", this.worker.url), outcome });
    this.endedAt = clock.now();
    const ms = this.endedAt - this.chargedAt;
    decisions?.end(this.#ticket, outcome, ms, tokens);
    record.trace?.end(this.#span, error?.code);
    this.#noteCached(tokens?.cachedTokens, model);
    this.#noteLateness(ms);
    if (this.#pick?.onEnd) this.#pick.onEnd({ outcome: pickOutcome(outcome, error), ms, usage: tokens });
  }

  /** Reports an outcome. A plain answer is only counted in the ledger. */
  #report(error: GatewayError | undefined): void {
    if (!error) {
      if (this.#isProbe) this.#deps.outcomes.report(this.worker.id, { ...NOTHING, ...this.#proof(), news: "answer" });
      return;
    }
    const { news } = error;
    const restMs = error.details.restMs ?? 0;
    const recheck = recheckAfter(error);
    const isFailure = FAILURES.has(news) || error.code === "upstream_auth_failed";
    const isDeclined = news === "answer" && error.row.retry === "declined";
    if (!isFailure && !isDeclined && !this.#isProbe && restMs === 0 && recheck === undefined) return;
    const message = isFailure ? this.#deps.failureLog.tell(this.worker, error, this.#request) : undefined;
    this.#deps.outcomes.report(this.worker.id, {
      news,
      ...this.#proof(),
      source: isFailure || isDeclined ? sourceOf(this.#request, error) : undefined,
      restMs,
      isDeclined,
      recheck,
      error: { code: error.code, message: message ?? error.message },
    });
  }
}

function hearsPieces(pick: Picked | undefined): pick is Picked & PieceHearer {
  return pick?.onPiece !== undefined;
}

function tracedChoice({ worker, policy, reason, candidates, pick, decision }: Chosen): TracedChoice {
  return {
    url: worker.url,
    address: worker.spec.url,
    role: worker.spec.workerType,
    policy,
    reason,
    candidates,
    considered: decision?.considered.map(({ worker: url, cost }) => `${url} ${cost.toPrecision(3)}`),
    predictedTtftMs: pick?.predictedTtftMs,
    predictedCachedTokens: pick?.predictedCachedTokens,
  };
}

const NOTHING: AttemptOutcome = {
  news: "nothing",
  isProbe: false,
  holdsProbe: false,
  source: undefined,
  restMs: 0,
  isDeclined: false,
  recheck: undefined,
  error: undefined,
};

const FAILURES: ReadonlySet<BreakerNews> = new Set<BreakerNews>(["fault", "doubtful", "failure"]);

/** Whether the worker did not serve the request: it failed, is full, or does not have the model. A bad request counts as answered. */
function isUnserved({ code, row }: GatewayError): boolean {
  if (code === "upstream_stale_socket") return false;
  return row.source === "worker" || code === "upstream_model_missing";
}

function pickOutcome(outcome: string, error: GatewayError | undefined): PickOutcome {
  if (error && isUnserved(error)) return "failed";
  return outcome === "ok" ? "answered" : "abandoned";
}

/** A worker that was never reached did not fail because of the request. */
function sourceOf({ body }: FailedRequest, error: GatewayError): number | undefined {
  if (error.row.retry === "reachable_elsewhere") return undefined;
  return Number(Bun.hash.wyhash(body.bytes) & 0x7fffffffn);
}

function recheckAfter({ code, row }: GatewayError): "health" | "models" | undefined {
  if (row.retry === "reachable_elsewhere") return "health";
  return code === "upstream_model_missing" ? "models" : undefined;
}
