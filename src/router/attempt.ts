import type { GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Lease, LoadLedger } from "../worker/load-ledger.ts";
import type { Worker } from "../worker/worker.ts";
import type { InferenceRequest } from "./router.ts";

export interface AttemptDeps {
  readonly ledger: LoadLedger;
  readonly metrics: Metrics;
  /** Told when a worker could not be reached, so that it is probed at once. */
  readonly onUnreachable: (worker: Worker) => void;
}

/**
 * One request at one worker, counted in the ledger from before the send until `end`: that is called when the last byte
 * has been read, when the worker failed, or when the client left.
 */
export class Attempt {
  readonly worker: Worker;
  readonly #deps: AttemptDeps;
  readonly #lease: Lease;
  readonly #model: string;
  #isOver = false;

  constructor(deps: AttemptDeps, worker: Worker, request: InferenceRequest) {
    this.worker = worker;
    this.#deps = deps;
    this.#model = request.features.model;
    this.#lease = deps.ledger.charge(worker.slot, request.features.promptTokens);
  }

  /** The first token has come: the prompt is prefilled. */
  prefillDone(): void {
    this.#lease.prefillDone();
  }

  /** Gives back what was counted and tells the breaker how it went. Later calls do nothing. */
  end(error?: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#lease[Symbol.dispose]();
    const { breaker } = this.worker;
    const news = error ? error.row.breaker : "answer";
    if (news === "answer") breaker.onSuccess();
    else if (news === "fault") breaker.onFault();
    else breaker.releaseProbe();
    if (error?.row.retry === "reachable_elsewhere") this.#deps.onUnreachable(this.worker);
    const { metrics } = this.#deps;
    metrics.increment("attempts", {
      model: metrics.bounded("model", this.#model),
      worker: metrics.bounded("worker", this.worker.url),
      outcome: error?.code ?? "ok",
    });
  }
}
