import { asGatewayError } from "../../errors/errors.ts";
import type { Metrics } from "../../observability/metrics.ts";
import { modelLabel, type TokenCounts } from "../../observability/request-record.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { Attempt } from "../attempt.ts";
import { engineRequestId } from "../engine-request-id.ts";
import { lostBeforeAnswer } from "../worker-error.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import type { PdConnector, PdRequest } from "../../engine/connector.ts";
import { PdExchange } from "./pd-exchange.ts";
import { PdResponse } from "./pd-response.ts";

/**
 * The outcome of the KV hand-over. `missing`: prefill did not say where the cache is, so decode prefills. `skipped`: prefill was not asked,
 * as the connector hands over one sequence only. `not_needed`: it was not asked, as decode prefills for itself at less cost.
 */
export type HandoverOutcome = "handed_over" | "missing" | "skipped" | "not_needed" | "failed";

/** Why prefill and decode workers cannot serve an endpoint; undefined where they may. */
export function pdRefusal({ work }: Endpoint): string | undefined {
  return work === "embed" ? "prefill and decode workers generate text; this route needs a regular worker" : undefined;
}

/** Counts the outcome of a KV hand-over in the metrics. */
export function countHandover(
  metrics: Metrics,
  { record }: InferenceRequest,
  { name }: PdConnector,
  outcome: HandoverOutcome,
): void {
  metrics.increment("kvTransfers", { model: modelLabel(record, metrics), connector: name, outcome });
}

export interface PdTryParts<Request extends InferenceRequest> {
  readonly metrics: Metrics;
  readonly request: Request;
  readonly connector: PdConnector;
  readonly prefill: Attempt;
  readonly decode: Attempt;
}

/** How a sender lets a worker prefill. */
export interface Prefilling<Answer> {
  readonly answered: () => Promise<Answer>;
  /** undefined where only a later step knows the outcome. */
  readonly outcomeOf: (answer: Answer) => HandoverOutcome | undefined;
  /** The worker's own counts; undefined where it tells none. */
  readonly tokensOf: (answer: Answer) => TokenCounts | undefined;
}

/** One try of a request at a prefill and a decode worker, whose connector hands the KV cache over. */
export class PdTry<Request extends InferenceRequest = InferenceRequest> {
  readonly request: Request;
  readonly connector: PdConnector;
  readonly exchange: PdExchange;
  /** The connector's input for the parts of both legs. */
  readonly asked: PdRequest;
  readonly #metrics: Metrics;

  constructor({ metrics, request, connector, prefill, decode }: PdTryParts<Request>) {
    const { endpoint, body, record, signal } = request;
    this.request = request;
    this.connector = connector;
    this.exchange = new PdExchange(prefill, decode, signal);
    this.asked = {
      endpoint,
      body,
      prefill: prefill.worker,
      decode: decode.worker,
      requestId: engineRequestId(record),
    };
    this.#metrics = metrics;
  }

  /** Runs `work`. If it fails, both legs are ended. */
  async run(work: (pd: this) => Promise<WorkerResponse>): Promise<WorkerResponse> {
    try {
      return await work(this);
    } catch (error) {
      this.exchange.close(error);
      throw error;
    }
  }

  countHandover(outcome: HandoverOutcome): void {
    countHandover(this.#metrics, this.request, this.connector, outcome);
  }

  /** Waits for prefill, and reports its outcome to the exchange and the metrics. Throws prefill's error. */
  async prefilled<Answer>({ answered, outcomeOf, tokensOf }: Prefilling<Answer>): Promise<Answer> {
    const { exchange, request } = this;
    const { record } = request;
    const startedAtMs = record.elapsedMs;
    try {
      const answer = await answered();
      exchange.prefillDone(tokensOf(answer));
      const labels = { model: modelLabel(record, this.#metrics) };
      this.#metrics.observe("prefillDuration", labels, (record.elapsedMs - startedAtMs) / 1000);
      const outcome = outcomeOf(answer);
      if (outcome !== undefined) this.countHandover(outcome);
      return answer;
    } catch (thrown) {
      const error = lostBeforeAnswer(asGatewayError(thrown));
      if (!exchange.prefillSignal.aborted) this.countHandover("failed");
      exchange.prefillFailed(error);
      throw error;
    }
  }

  /** Decode's answer for the client. Throws prefill's error if that ended both legs, otherwise decode's own. */
  async decoded(decode: () => WorkerResponse | Promise<WorkerResponse>): Promise<PdResponse> {
    const { exchange } = this;
    exchange.decodeAsked();
    try {
      return new PdResponse(exchange, await decode());
    } catch (error) {
      throw exchange.decodeFailed(asGatewayError(error));
    }
  }
}
