import { GatewayError } from "../../errors/errors.ts";
import { asRoutingKey } from "../../protocol/routing-key.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";
import type { Route } from "../route.ts";

/** The part of a PolicyRegistry that ends sessions. */
export interface KeptSessions {
  /** Forgets the worker of a session. Returns whether one was known. */
  finishSession(key: string): boolean;
}

/**
 * A client says that a session is over, so that its worker no longer counts it. Both routes do the same; the second one is where clients
 * of vllm-router look. A session that is not known is no error: it may be idle for too long, or finished already.
 */
export function sessionRoutes(sessions: KeptSessions): Route[] {
  const finish = (key: string | null | undefined): Reply => {
    const known = asRoutingKey(key);
    if (known === undefined)
      throw new GatewayError("invalid_request", "the session has no name", { param: "session_id" });
    return jsonReply({ finished: sessions.finishSession(known) });
  };
  return [
    { method: "DELETE", path: "/sessions/:key", access: "serving", handle: ({ params }) => finish(params["key"]) },
    {
      method: "POST",
      path: "/finish_session",
      access: "serving",
      handle: ({ query }) => finish(query.get("session_id")),
    },
  ];
}
