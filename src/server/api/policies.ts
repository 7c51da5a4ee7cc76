import type { RouterManager } from "../../router/router-manager.ts";
import type { Route } from "../route.ts";
import { jsonReply } from "../../transport/downstream.ts";

/** `GET /policies`: the default, the patterns, and which policy each model has and why. */
export function policyRoutes(manager: RouterManager): Route[] {
  return [{ method: "GET", path: "/policies", access: "admin", handle: () => jsonReply(manager.describePolicies()) }];
}
