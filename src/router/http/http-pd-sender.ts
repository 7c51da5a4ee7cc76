import { GatewayError } from "../../errors/errors.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import { ChangedResponse } from "../changed-response.ts";
import type { LegChange, PdRequest } from "../../engine/connector.ts";
import { connectorOf, fitTogether, prefillsAlone } from "../../engine/connectors.ts";
import { pinnedBody, rankHeader } from "../../engine/pinned-request.ts";
import { newSharedIds, sequences } from "../../engine/shared-ids.ts";
import type { PrefillAnswer } from "../pd/pd-exchange.ts";
import { countHandover, pdRefusal, PdTry } from "../pd/pd-try.ts";
import { checkStatus } from "../relay.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import { DECODE_ONLY, PAIR, type Sender } from "../sender.ts";
import type { Legs, Try } from "../try.ts";
import type { Forwarding, HttpForwarder } from "./http-forwarder.ts";
import { handedOver, prefillTokens } from "./prefill-answer.ts";
import { MergedResponse } from "./merged-response.ts";
import { mergeOf } from "./pd-merge.ts";

/** Largest answer of a prefill worker: log-probabilities of a long prompt are some tens of MB. */
const MAX_PREFILL_BYTES = 64 * 1024 * 1024;

/** Only the gateway may set it. */
const PARAMS = "kv_transfer_params";
const NO_PARAMS: ReadonlyMap<string, string> = new Map([[PARAMS, "null"]]);

/**
 * Sends to a prefill and a decode worker over HTTP. The differences between engines are in their `connectors.ts`; the two
 * orders of the steps are here:
 *
 * ```
 *   together:       prefill -----------+
 *                   decode ------------+--> decode's answer, with prefill's facts
 *   prefill_first:  prefill -- answer --> decode --> decode's answer, with prefill's facts
 * ```
 */
export class HttpPdSender implements Sender {
  readonly mode = "http";
  readonly speaksTokens = false;
  readonly fits = fitTogether;
  readonly prefillsAlone = prefillsAlone;
  readonly #forwarder: HttpForwarder;
  readonly #metrics: Metrics;

  constructor(forwarder: HttpForwarder, metrics: Metrics) {
    this.#forwarder = forwarder;
    this.#metrics = metrics;
  }

  refusal(endpoint: Endpoint): string | undefined {
    return pdRefusal(endpoint);
  }

  rolesFor({ work }: Endpoint): Legs<WorkerType> {
    return work === "generate" ? PAIR : DECODE_ONLY;
  }

  prepare(request: InferenceRequest): InferenceRequest {
    return request;
  }

  async send(request: InferenceRequest, { prefill, answer: decode }: Try): Promise<WorkerResponse> {
    const { endpoint } = request;
    if (!prefill) return this.#withoutPrefill(request, decode.worker);
    const connector = connectorOf(prefill.worker);
    if (!connector.serves(endpoint)) {
      const why = `${endpoint.path} cannot be served by workers with the ${connector.name} connector`;
      throw new GatewayError("not_implemented", why);
    }
    if (connector.isOneSequence && sequences(request) > 1) {
      prefill.abandon();
      countHandover(this.#metrics, request, connector, "skipped");
      return this.#alone(request, decode.worker, NO_PARAMS);
    }
    const pd = new PdTry({ metrics: this.#metrics, request, connector, prefill, decode });
    return pd.run(() => (connector.order === "together" ? this.#together(pd) : this.#prefillFirst(pd)));
  }

  /** The choice was for the decode worker only: the route needs no other, or a separate prefill would cost more. */
  #withoutPrefill(request: InferenceRequest, worker: Forwarding["worker"]): Promise<WorkerResponse> {
    const { body, endpoint } = request;
    if (endpoint.work === "generate") countHandover(this.#metrics, request, connectorOf(worker), "not_needed");
    const isClients = body.raw(PARAMS) !== undefined;
    return this.#alone(request, worker, isClients ? NO_PARAMS : undefined);
  }

  /** Sends to the decode worker only, which prefills for itself. */
  #alone(
    request: InferenceRequest,
    worker: Forwarding["worker"],
    members: LegChange["members"] | undefined,
  ): Promise<WorkerResponse> {
    const { body, signal } = request;
    const to = { worker, body: pinnedBody(worker, body, members), headers: rankHeader(worker), signal };
    return this.#forwarder.forward(request, to);
  }

  async #together(pd: PdTry): Promise<WorkerResponse> {
    const { connector, asked } = pd;
    const ids = newSharedIds(asked);
    const answer = this.#prefill(pd, connector.prefill(asked, ids));
    // The exchange reports its failure. Where nothing is merged, this promise is not awaited.
    answer.catch(() => undefined);
    const decoded = await this.#decode(pd, connector.decode(asked, ids));
    const merge = mergeOf(connector, asked.body);
    return merge ? new MergedResponse(decoded, merge, answer) : decoded;
  }

  async #prefillFirst(pd: PdTry): Promise<WorkerResponse> {
    const { connector, asked } = pd;
    const ids = newSharedIds(asked);
    const answer = await this.#prefill(pd, connector.prefill(asked, ids));
    const change = connector.decode(asked, ids);
    const decoded = await this.#decode(pd, { ...change, members: handedOver(pd, change, answer) });
    const merge = mergeOf(connector, asked.body);
    merge?.know(answer);
    return merge ? new ChangedResponse(decoded, merge) : decoded;
  }

  /** Prefill's whole answer. */
  #prefill(pd: PdTry, change: LegChange): PrefillAnswer {
    const { request, exchange, connector } = pd;
    const { prefill, prefillSignal: signal } = exchange;
    return pd.prefilled({
      answered: async () => {
        const { worker } = prefill;
        const upstream = await this.#forwarder.forward(request, { worker, ...sent(pd.asked, worker, change), signal });
        await checkStatus(upstream, prefill, request.endpoint.path);
        return upstream.bytes(MAX_PREFILL_BYTES);
      },
      // Where decode comes later, the hand-over shows the outcome.
      outcomeOf: () => (connector.order === "together" ? "handed_over" : undefined),
      tokensOf: (answer) => prefillTokens(answer, request),
    });
  }

  #decode(pd: PdTry, change: LegChange): Promise<WorkerResponse> {
    const { decode, decodeSignal: signal } = pd.exchange;
    const to = { worker: decode.worker, ...sent(pd.asked, decode.worker, change), signal };
    return pd.decoded(() => this.#forwarder.forward(pd.request, to));
  }
}

/** Both legs have one request id, because engines may find each other by it. A leg for a rank names the rank, whatever the connector does. */
function sent(
  { body, requestId: ofBoth }: PdRequest,
  worker: Forwarding["worker"],
  { members, requestId = ofBoth, headers }: LegChange,
): { readonly body: Uint8Array; readonly requestId: string; readonly headers: string | undefined } {
  return { body: pinnedBody(worker, body, members), requestId, headers: rankHeader(worker) ?? headers };
}
