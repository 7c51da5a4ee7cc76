import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import type { Auth } from "../server/auth.ts";
import { callerOf, type ControlRequest } from "../server/control-app.ts";
import { readControlBody } from "../server/control-body.ts";
import { errorReply } from "../server/error-reply.ts";
import type { Reply } from "../transport/downstream.ts";
import type { ControlLink } from "./control-link.ts";
import type { ControlReply, ControlRoute } from "./messages.ts";

export interface AskControlDeps {
  readonly link: ControlLink;
  readonly auth: Auth;
}

/** Passes a request for a control route to the control thread. A request without a valid key is refused here, before its body is read. */
export async function askControl(
  { link, auth }: AskControlDeps,
  route: ControlRoute & { readonly index: number },
  { request, params, requestId }: ControlRequest,
): Promise<Reply> {
  try {
    const isRefused = await isKnownAndRefused(auth, route, request);
    const body = isRefused ? undefined : await readControlBody(route, request);
    const { method, path, query, peerAddress } = request;
    const { value } = await link.call(
      {
        what: "control",
        route: route.index,
        method,
        path,
        query,
        peerAddress,
        headers: request.headers.entries(),
        params: { ...params },
        requestId,
        body,
      },
      request.signal,
    );
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- from our own other thread
    return value as ControlReply;
  } catch (thrown) {
    return errorReply(asGatewayError(thrown), openaiDialect, requestId);
  }
}

/**
 * Whether the caller is known and may not use the route: then the control thread refuses it, because that is written down in the audit log.
 * Throws invalid_api_key, too_many_wrong_keys, and forbidden for a caller without a name.
 */
async function isKnownAndRefused(
  auth: Auth,
  route: ControlRoute,
  request: ControlRequest["request"],
): Promise<boolean> {
  try {
    await callerOf(auth, route, request);
    return false;
  } catch (error) {
    if (error instanceof GatewayError && error.details.caller !== undefined) return true;
    throw error;
  }
}
