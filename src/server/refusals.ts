import type { GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { ClientRequest, WholeReply } from "../transport/downstream.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import { type Auth, TOO_MANY } from "./auth.ts";
import { OneErrorReply } from "./error-reply.ts";
import { failedReply } from "./receipts.ts";
import { requestIdOf } from "./request-id.ts";

/** The answer to a wrong key beyond the bound, on one endpoint. */
interface BrushOff {
  readonly reply: OneErrorReply;
  /** Of the metric that counts it. */
  readonly labels: { readonly endpoint: string; readonly model: string; readonly code: string };
}

export interface RefusalsDeps {
  readonly auth: Auth;
  readonly metrics: Metrics;
}

/**
 * Makes the answers to requests for inference that fail. Of one with a wrong key beyond the bound only a count is left: thousands of them a
 * second would fill the log, and must not cost more than the answer.
 */
export class Refusals {
  readonly #deps: RefusalsDeps;
  readonly #brushOffs = new Map<Endpoint, BrushOff>();

  constructor(deps: RefusalsDeps) {
    this.#deps = deps;
  }

  /** Whether requests have to be screened: wrong keys come by the thousand. */
  get isFlooded(): boolean {
    return this.#deps.auth.isFlooded;
  }

  /**
   * The answer to a request with one wrong key too many, of which nothing but the head is looked at; undefined where the request is to be handled.
   * `idHeaders`: names of the headers that may have the request's id.
   */
  screen(
    endpoint: Endpoint,
    headers: HeaderReader,
    from: Pick<ClientRequest, "peerAddress">,
    idHeaders: readonly string[],
  ): WholeReply | undefined {
    if (!this.#deps.auth.isOneTooMany(headers, from)) return undefined;
    return this.#brushOff(endpoint, requestIdOf(headers, idHeaders));
  }

  /** The answer to a request that failed with this error. Settles its record. */
  of(error: GatewayError, endpoint: Endpoint, record: RequestRecord): WholeReply {
    if (error.code !== TOO_MANY.code) return failedReply(error, endpoint.dialect, record);
    record.isUnlisted = true;
    record.settle(error.status, error.code);
    return this.#brushOff(endpoint, record.requestId);
  }

  #brushOff(endpoint: Endpoint, requestId: string): WholeReply {
    const { reply, labels } = this.#brushOffs.get(endpoint) ?? this.#add(endpoint);
    this.#deps.metrics.increment("errors", labels);
    return reply.to(requestId);
  }

  #add(endpoint: Endpoint): BrushOff {
    const made: BrushOff = {
      reply: new OneErrorReply(TOO_MANY, endpoint.dialect),
      labels: { endpoint: endpoint.name, model: "other", code: TOO_MANY.code },
    };
    this.#brushOffs.set(endpoint, made);
    return made;
  }
}
