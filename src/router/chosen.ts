import type { Decision } from "../observability/decision.ts";
import type { KeptPolicy } from "../policy/kept-policy.ts";
import type { PickReason } from "../policy/pick-reasons.ts";
import type { Picked } from "../policy/policy.ts";
import type { Worker } from "../worker/worker.ts";

/** The worker that was chosen for one leg of a try. */
export interface Chosen {
  readonly worker: Worker;
  /** Whether the request is a probe of a worker with a half-open breaker. */
  readonly isProbe: boolean;
  /** The policy's hooks and its charge for the attempt; undefined where the policy returned only an index. */
  readonly pick: Picked | undefined;
  /** The policy, where it chose: its sessions and signals hear of the attempt. undefined for a probe. */
  readonly heardBy?: Pick<KeptPolicy, "affinity" | "signals"> | undefined;
  /** Name of the policy of the leg. */
  readonly policy: string;
  readonly reason: PickReason;
  /** How many workers it was chosen from. */
  readonly candidates: number;
  /** undefined where nobody wants the choice explained. */
  readonly decision: Decision | undefined;
}
