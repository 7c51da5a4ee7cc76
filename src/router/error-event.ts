import type { GatewayError } from "../errors/errors.ts";
import { errorFacts } from "../protocol/error-facts.ts";
import type { StreamReader } from "../protocol/stream-reader.ts";
import type { InferenceRequest } from "./router.ts";

/** The event for an error within a stream, in the client's API. `reader` knows the state of the stream. */
export function errorEvent({ endpoint, record }: InferenceRequest, error: GatewayError, reader: StreamReader): string {
  const facts = errorFacts(error, record.requestId);
  return reader.errorEvent?.(facts) ?? endpoint.dialect.errorEvent(facts);
}
