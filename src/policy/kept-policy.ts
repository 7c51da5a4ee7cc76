import type { WorkerType } from "../util/worker-type.ts";
import type { Policy, RequestFeatures } from "./policy.ts";
import type { SessionAffinity } from "./session-affinity.ts";
import type { SessionTable } from "./session-table.ts";
import type { SignalCounts } from "./signal-counts.ts";

/** A policy in the registry, with what the gateway keeps about its requests. */
export interface KeptPolicy extends Policy {
  /** The sessions that the policy itself remembers. */
  readonly sessions?: SessionTable | undefined;
  /** Slot of the worker that the request's session has by these sessions; -1 where there is none. */
  homeOf?(request: RequestFeatures): number;
  /** Keeps sessions on their workers in front of the policy, where the operator wants it. */
  affinity?: SessionAffinity | undefined;
  /** Counts how often the policy has to do without what it needs. */
  signals?: SignalCounts | undefined;
}

/** A policy whose signals are counted. */
export interface SignalOwner {
  /** Empty for the policy of requests without a model. */
  readonly model: string;
  readonly role: WorkerType;
  readonly policy: string;
  /** What the policy does without the signal, as words that continue its name. */
  readonly without: string;
}
