import type { Route } from "../route.ts";
import { jsonReply } from "../../transport/downstream.ts";

/** The part of a PolicyRegistry that describes its policies. */
export interface DescribedPolicies {
  describe(): object;
}

/** `GET /policies`: the default, the patterns, and the policy of each model with the reason. */
export function policyRoutes(policies: DescribedPolicies): Route[] {
  return [{ method: "GET", path: "/policies", access: "viewer", handle: () => jsonReply(policies.describe()) }];
}
