import type { GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { OutcomeSink } from "../worker/breaker-board.ts";
import type { Lease, LoadLedger } from "../worker/load-ledger.ts";
import type { Worker } from "../worker/worker.ts";
import type { InferenceRequest } from "./router.ts";

export interface AttemptDeps {
  readonly ledger: LoadLedger;
  readonly metrics: Metrics;
  readonly outcomes: OutcomeSink;
}

/**
 * One request at one worker, counted in the ledger from before the send until `end`: that is called when the last byte
 * has been read, when the worker failed, or when the client left.
 */
export class Attempt {
  readonly worker: Worker;
  readonly #deps: AttemptDeps;
  readonly #lease: Lease;
  readonly #request: InferenceRequest;
  readonly #isProbe: boolean;
  #isOver = false;

  /** `isProbe`: the request is to prove a worker whose breaker is half-open. */
  constructor(deps: AttemptDeps, worker: Worker, request: InferenceRequest, isProbe: boolean) {
    this.worker = worker;
    this.#deps = deps;
    this.#request = request;
    this.#isProbe = isProbe;
    this.#lease = deps.ledger.charge(worker.slot, request.features.promptTokens);
  }

  /** The first token has come: the prompt is prefilled. */
  prefillDone(): void {
    this.#lease.prefillDone();
  }

  /** Gives back what was counted and says how the worker did. Later calls do nothing. */
  end(error?: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#lease[Symbol.dispose]();
    this.#report(error);
    const { metrics } = this.#deps;
    metrics.increment("attempts", {
      model: metrics.bounded("model", this.#request.features.model),
      worker: metrics.bounded("worker", this.worker.url),
      outcome: error?.code ?? "ok",
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

/** A worker that was never reached did not fail because of the request, so each such fault counts for itself. */
function sourceOf({ body }: InferenceRequest, error: GatewayError | undefined): number {
  if (error?.row.retry === "reachable_elsewhere") return Math.random();
  return Number(Bun.hash.wyhash(body.bytes) & 0x7fffffffn);
}

function recheckAfter(error: GatewayError | undefined): "health" | "models" | undefined {
  if (error?.row.retry === "reachable_elsewhere") return "health";
  return error?.code === "upstream_model_missing" ? "models" : undefined;
}
