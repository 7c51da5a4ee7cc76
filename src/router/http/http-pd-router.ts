import { asGatewayError, GatewayError } from "../../errors/errors.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import { memberAt } from "../../protocol/json/splice.ts";
import type { UpstreamResponse } from "../../transport/upstream.ts";
import type { Worker } from "../../worker/worker.ts";
import type { Attempt } from "../attempt.ts";
import { checkStatus } from "../relay.ts";
import { RewrittenResponse } from "../rewritten-response.ts";
import type { InferenceRequest } from "../router.ts";
import type { Legs, Try } from "../try.ts";
import { WorkerRouter, type WorkerRouterDeps } from "../worker-router.ts";
import { engineRequestId } from "../engine-request-id.ts";
import { HttpSender, type HttpSenderDeps } from "./http-sender.ts";
import type { LegChange, PdConnector, PdRequest } from "../../engine/connector.ts";
import { connectorOf, fitTogether } from "../../engine/connectors.ts";
import { newSharedIds, sequences } from "../../engine/shared-ids.ts";
import { PdExchange, PdResponse, type PrefillAnswer } from "../pd/pd-exchange.ts";
import { countHandover, pdRefusal, watchPrefill } from "../pd/pd-prefill.ts";
import { mergeRule } from "./pd-merge.ts";
import { type ParsedOutputDeps, type ParsedRequest, withParser } from "./parsed-request.ts";
import { parsed } from "./parsed-response.ts";
import { OPEN_BRACE } from "../../util/ascii.ts";
import type { WorkerType } from "../../util/worker-type.ts";

export type HttpPdRouterDeps = WorkerRouterDeps & HttpSenderDeps & ParsedOutputDeps;

const BOTH: Legs<WorkerType> = { prefill: "prefill", answer: "decode" };
const DECODE_ONLY: Legs<WorkerType> = { prefill: undefined, answer: "decode" };
/** Largest answer of a prefill worker: log-probabilities of a long prompt are some tens of MB. */
const MAX_PREFILL_BYTES = 64 * 1024 * 1024;

/**
 * A prefill and a decode worker for each request, over HTTP. What differs between engines is in `connectors.ts` of the engines; here is
 * the one order of steps:
 *
 * ```
 *   together:       prefill -----------+
 *                   decode ------------+--> decode's answer, with what only prefill knows
 *   prefill_first:  prefill -- answer --> decode --> the same
 * ```
 */
export class HttpPdRouter extends WorkerRouter<ParsedRequest> {
  override readonly kind = "http_pd";
  protected override readonly mode = "http";
  readonly #deps: HttpPdRouterDeps;
  readonly #sender: HttpSender;

  constructor(deps: HttpPdRouterDeps) {
    super(deps);
    this.#deps = deps;
    this.#sender = new HttpSender(deps);
  }

  override refusal(endpoint: Endpoint): string | undefined {
    return pdRefusal(endpoint);
  }

  protected override rolesFor({ work }: Endpoint): Legs<WorkerType> {
    return work === "generate" ? BOTH : DECODE_ONLY;
  }

  protected override fits(prefill: Worker, decode: Worker): boolean {
    return fitTogether(prefill, decode);
  }

  protected override prepare(request: InferenceRequest): ParsedRequest | Promise<ParsedRequest> {
    const { parsedOutput } = this.#deps;
    return parsedOutput ? withParser(request, parsedOutput) : request;
  }

  protected override send(request: ParsedRequest, tried: Try): Promise<UpstreamResponse> {
    const upstream = this.#send(request, tried);
    return request.parser ? parsed(upstream, request.parser) : upstream;
  }

  async #send(request: InferenceRequest, { prefill, answer: decode }: Try): Promise<UpstreamResponse> {
    const { body } = request;
    const { endpoint, record } = request;
    if (!prefill) return this.#plain(request, decode, body.bytes);
    const connector = connectorOf(prefill.worker);
    if (!connector.serves(endpoint)) {
      throw new GatewayError(
        "not_implemented",
        `${endpoint.path} cannot be served by workers with the ${connector.name} connector`,
      );
    }
    const pd: PdRequest = {
      endpoint,
      body,
      prefill: prefill.worker,
      decode: decode.worker,
      requestId: engineRequestId(record),
    };
    if (connector.isOneSequence && sequences(pd) > 1) {
      prefill.abandon();
      countHandover(this.#deps.metrics, { request, connector }, "skipped");
      return this.#plain(request, decode, body.with(new Map([["kv_transfer_params", "null"]])));
    }
    const exchange = new PdExchange(prefill, decode, request.signal);
    try {
      return connector.order === "together"
        ? await this.#together(request, exchange, connector, pd)
        : await this.#prefillFirst(request, exchange, connector, pd);
    } catch (error) {
      exchange.close(error);
      throw error;
    }
  }

  #plain(request: InferenceRequest, { worker }: Attempt, body: Uint8Array): Promise<UpstreamResponse> {
    return this.#sender.send(request, { worker, body, signal: request.signal });
  }

  async #together(
    request: InferenceRequest,
    exchange: PdExchange,
    connector: PdConnector,
    pd: PdRequest,
  ): Promise<UpstreamResponse> {
    const ids = newSharedIds(pd);
    const answer = this.#prefill(request, exchange, connector, pd, connector.prefill(pd, ids));
    // Its failure is told through the exchange; where nobody merges, nobody waits for it.
    answer.catch(() => undefined);
    const upstream = await this.#decode(request, exchange, pd, connector.decode(pd, ids));
    return this.#merged(exchange, connector, pd.body, upstream, answer);
  }

  async #prefillFirst(
    request: InferenceRequest,
    exchange: PdExchange,
    connector: PdConnector,
    pd: PdRequest,
  ): Promise<UpstreamResponse> {
    const ids = newSharedIds(pd);
    const answer = await this.#prefill(request, exchange, connector, pd, connector.prefill(pd, ids));
    const change = connector.decode(pd, ids);
    const members = new Map(change.members);
    const { metrics } = this.#deps;
    if (connector.handsOver !== undefined) {
      const params = answer && memberAt(answer, [connector.handsOver]);
      const isThere = params !== undefined && params[0] === OPEN_BRACE;
      // Without them decode prefills for itself: right, and slow, so that it is counted.
      members.set(connector.handsOver, isThere ? params : "null");
      countHandover(metrics, { request, connector }, isThere ? "handed_over" : "missing");
    } else countHandover(metrics, { request, connector }, "handed_over");
    const upstream = await this.#decode(request, exchange, pd, { ...change, members });
    return this.#merged(exchange, connector, pd.body, upstream, Promise.resolve(answer));
  }

  /** Prefill's whole answer. */
  #prefill(
    request: InferenceRequest,
    exchange: PdExchange,
    connector: PdConnector,
    pd: PdRequest,
    change: LegChange,
  ): PrefillAnswer {
    const { prefill, prefillSignal: signal } = exchange;
    return watchPrefill(
      this.#deps.metrics,
      { request, connector, exchange },
      async () => {
        const upstream = await this.#sender.send(request, { worker: prefill.worker, ...sent(pd, change), signal });
        await checkStatus(upstream, prefill, request.endpoint.path);
        return upstream.bytes(MAX_PREFILL_BYTES);
      },
      // Where decode comes later, what it is handed says how it went.
      () => (connector.order === "together" ? "handed_over" : undefined),
    );
  }

  async #decode(
    request: InferenceRequest,
    exchange: PdExchange,
    pd: PdRequest,
    change: LegChange,
  ): Promise<UpstreamResponse> {
    const { decode, decodeSignal: signal } = exchange;
    exchange.decodeAsked();
    try {
      return await this.#sender.send(request, { worker: decode.worker, ...sent(pd, change), signal });
    } catch (error) {
      throw exchange.decodeFailed(asGatewayError(error));
    }
  }

  #merged(
    exchange: PdExchange,
    connector: PdConnector,
    body: JsonBody,
    decode: UpstreamResponse,
    answer: PrefillAnswer,
  ): UpstreamResponse {
    const upstream = new PdResponse(exchange, decode);
    const rule = mergeRule(connector, body, answer);
    return rule ? new RewrittenResponse(upstream, rule) : upstream;
  }
}

/** Both legs have one id, which engines may look for each other by. */
function sent(
  { body, requestId: ofBoth }: PdRequest,
  { members, requestId = ofBoth, headers }: LegChange,
): { readonly body: Uint8Array; readonly requestId: string; readonly headers: string | undefined } {
  return { body: body.with(members), requestId, headers };
}
