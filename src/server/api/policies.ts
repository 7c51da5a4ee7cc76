import type { RouterManager } from "../../router/router-manager.ts";
import type { Route } from "../route.ts";
import { jsonReply } from "../../transport/downstream.ts";

/** `GET /policies`: the default, the patterns, and the policy of each model with the reason. */
export function policyRoutes(manager: RouterManager): Route[] {
  return [{ method: "GET", path: "/policies", access: "admin", handle: () => jsonReply(manager.describePolicies()) }];
}
