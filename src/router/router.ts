import type { RequestRecord } from "../observability/request-record.ts";
import type { RequestFeatures } from "../policy/policy.ts";
import type { JsonBody } from "../protocol/json/json-body.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import type { Reply } from "../transport/downstream.ts";

/** A request that has been read as far as routing needs. */
export interface InferenceRequest {
  readonly endpoint: Endpoint;
  /** Name of the model that is asked: the client's, or that of a route's target; undefined where the client named none. */
  readonly model: string | undefined;
  /** The name of the model that the client's answer has, where the worker knows the model by another one. */
  readonly answerName?: string | undefined;
  readonly isStream: boolean;
  /** The body as the client sent it; of a route's request with the name of the target. */
  readonly body: JsonBody;
  /** The client's headers, before any allow-list. */
  readonly headers: HeaderReader;
  readonly features: RequestFeatures;
  readonly record: RequestRecord;
  /** Aborted when the client leaves. */
  readonly signal: LeaveSignal;
}

/**
 * Sends one request to a worker (or two) and relays the answer. Throws GatewayError before the first byte; after it
 * the error is in the stream. Settles the record, unless it throws.
 */
export interface Router {
  /** Whether its workers take tokens. The gateway's tokenizer then answers the routes that only need a tokenizer. */
  readonly speaksTokens: boolean;
  /** Why it cannot serve the endpoint, as a sentence for the client; undefined where it can. */
  refusal(endpoint: Endpoint): string | undefined;
  /** Throws or rejects. `serving`: the workers of the request's model, as they were when the router was picked. */
  route(request: InferenceRequest, serving: ModelSnapshot): Promise<Reply>;
}
