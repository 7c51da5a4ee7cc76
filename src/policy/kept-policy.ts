import type { Policy } from "./policy.ts";
import type { SessionAffinity } from "./session-affinity.ts";
import type { SessionTable } from "./session-table.ts";
import type { SignalCounts } from "./signal-counts.ts";

/** A policy in the registry, with what the gateway keeps about its requests. */
export interface KeptPolicy extends Policy {
  /** The sessions that the policy itself remembers. */
  readonly sessions?: SessionTable | undefined;
  /** Keeps sessions on their workers in front of the policy, where the operator wants it. */
  affinity?: SessionAffinity | undefined;
  /** Counts how often the policy has to do without what it needs. */
  signals?: SignalCounts | undefined;
}
