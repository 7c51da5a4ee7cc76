import type { ClientRequest } from "../transport/downstream.ts";
import { readBody } from "./body.ts";
import type { Route } from "./route.ts";

/** Time for the body to arrive, ms. */
const BODY_TIMEOUT_MS = 10_000;

/**
 * Reads the body of a request that is not inference, if the route reads one and the request has one. Call it after the check of
 * the client's key. Throws what `readBody` throws.
 */
export async function readControlBody(
  { maxBodyBytes, takesYaml }: Pick<Route, "maxBodyBytes" | "takesYaml">,
  request: ClientRequest,
): Promise<Uint8Array | undefined> {
  if (maxBodyBytes === undefined || !request.hasBody) return undefined;
  return readBody(request, {
    maxBytes: maxBodyBytes,
    timeoutMs: BODY_TIMEOUT_MS,
    stallMs: BODY_TIMEOUT_MS,
    takesYaml,
  });
}
