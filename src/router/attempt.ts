import type { GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { AttemptOutcome, OutcomeSink } from "../worker/breaker-board.ts";
import type { Lease, LoadLedger } from "../worker/load-ledger.ts";
import type { Worker } from "../worker/worker.ts";
import type { InferenceRequest } from "./router.ts";

export interface AttemptDeps {
  readonly ledger: LoadLedger;
  readonly metrics: Metrics;
  readonly outcomes: OutcomeSink;
}

/** The worker of one try, and what it is asked for. */
export interface Chosen {
  readonly worker: Worker;
  /** The request is to prove a worker whose breaker is half-open. */
  readonly isProbe: boolean;
}

/**
 * One request at one worker, counted in the ledger from before the send until `end`: that is called when the last byte
 * has been read, when the worker failed, or when the client left. With prefill and decode apart a try is two of them,
 * and each breaker hears of its own worker.
 */
export class Attempt {
  readonly worker: Worker;
  readonly #deps: AttemptDeps;
  readonly #lease: Lease;
  readonly #request: InferenceRequest;
  readonly #isProbe: boolean;
  #isOver = false;
  #failure: GatewayError | undefined;

  constructor(deps: AttemptDeps, { worker, isProbe }: Chosen, request: InferenceRequest) {
    this.worker = worker;
    this.#deps = deps;
    this.#request = request;
    this.#isProbe = isProbe;
    // A decode worker is sent the prompt and does not prefill it.
    const promptTokens = worker.spec.workerType === "decode" ? 0 : request.features.promptTokens;
    this.#lease = deps.ledger.charge(worker.slot, promptTokens);
  }

  /** What it ended with; undefined while it runs, where it went well and where it was abandoned. */
  get failure(): GatewayError | undefined {
    return this.#failure;
  }

  /** The first token has come: the prompt is prefilled. */
  prefillDone(): void {
    this.#lease.prefillDone();
  }

  /** Gives back what was counted and says how the worker did. Later calls do nothing. */
  end(error?: GatewayError): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#close(error?.code ?? "ok");
    this.#report(error);
  }

  /**
   * One of the two workers of a pair failed, and which cannot be told: its breaker hears of no fault, and it is looked at.
   */
  endUnsure(error: GatewayError): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#close(error.code);
    this.#deps.outcomes.report(this.worker.id, { ...ABANDONED, isProbe: this.#isProbe, recheck: "health" });
  }

  /** The other worker of the pair failed: nothing is said of this one. */
  abandon(): void {
    if (this.#isOver) return;
    this.#close("abandoned");
    if (this.#isProbe) this.#deps.outcomes.report(this.worker.id, ABANDONED);
  }

  #close(outcome: string): void {
    this.#isOver = true;
    this.#lease[Symbol.dispose]();
    const { metrics } = this.#deps;
    metrics.increment("attempts", {
      model: metrics.bounded("model", this.#request.features.model),
      worker: metrics.bounded("worker", this.worker.url),
      outcome,
    });
  }

  /** That a worker answered is counted in the ledger; only what says more than that is reported. */
  #report(error: GatewayError | undefined): void {
    const news = error ? error.row.breaker : "answer";
    const restMs = error?.details.restMs ?? 0;
    const recheck = recheckAfter(error);
    const isRefused = error?.code === "upstream_auth_failed";
    if (news !== "fault" && !this.#isProbe && restMs === 0 && recheck === undefined) return;
    const source = news === "fault" ? sourceOf(this.#request, error) : 0;
    this.#deps.outcomes.report(this.worker.id, { news, isProbe: this.#isProbe, source, restMs, recheck, isRefused });
  }
}

/** A proof that proved nothing: another request may be one. */
const ABANDONED: AttemptOutcome = {
  news: "nothing",
  isProbe: true,
  source: 0,
  restMs: 0,
  recheck: undefined,
  isRefused: false,
};

/** A worker that was never reached did not fail because of the request, so each such fault counts for itself. */
function sourceOf({ body }: InferenceRequest, error: GatewayError | undefined): number {
  if (error?.row.retry === "reachable_elsewhere") return Math.random();
  return Number(Bun.hash.wyhash(body.bytes) & 0x7fffffffn);
}

function recheckAfter(error: GatewayError | undefined): "health" | "models" | undefined {
  if (error?.row.retry === "reachable_elsewhere") return "health";
  return error?.code === "upstream_model_missing" ? "models" : undefined;
}
