import type { Candidate, Policy, PolicyParts, RequestFeatures } from "./policy.ts";

// What the author of a module imports from "pointsman/policy".
export type { Candidate, Explanation, PickEnd, Picked, Policy, PolicyParts, RequestFeatures } from "./policy.ts";

/** The older form of a module's policy, without `pick`: it returns only an index. */
export interface SelectingPolicy {
  /** Index of the chosen candidate, or -1 for none of them. */
  select(candidates: readonly Candidate[], request: RequestFeatures): number;
  forget?(workerId: string, slot: number): void;
}

/** What `create()` of a module may return. If it has both methods, `pick` is used. */
export type ModulePolicy = Omit<Policy, "name"> | SelectingPolicy;

/** The default export of a policy module: a file of the operator's with a policy of their own. */
export interface PolicyModule {
  /** The policy's name in the configuration. */
  readonly name: string;
  /** Makes an instance for one model. */
  readonly create: (options: unknown, parts: PolicyParts) => ModulePolicy;
  /**
   * Reads a pattern's `config`, keys in camel case, and returns the options for `create`. Throws if they are wrong. A zod schema
   * fits. Without it the policy takes no options.
   */
  readonly options?: { readonly parse: (given: unknown) => unknown } | undefined;
}
