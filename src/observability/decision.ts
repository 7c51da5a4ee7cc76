import type { WorkerType } from "../util/worker-type.ts";

/** What a policy expected of one candidate. */
export interface ConsideredWorker {
  /** Its address. */
  readonly worker: string;
  /** In the decision's unit; lower is better. */
  readonly cost: number;
  /** The parts of the cost by name, in the same unit; empty where the policy gives only the sum. */
  readonly terms: Readonly<Record<string, number>>;
  /** Time from the send to the first token that the policy expected there, ms. */
  readonly predictedTtftMs: number | undefined;
  /** Prompt tokens that the policy expected in the worker's prefix cache. */
  readonly cachedTokens: number | undefined;
  /** Prompt tokens that the worker was prefilling for other requests with the same prefix. */
  readonly inFlightTokens: number | undefined;
}

/** One choice of a worker, explained. */
export interface Decision {
  readonly role: WorkerType;
  readonly policy: string;
  /** Address of the chosen worker. */
  readonly worker: string;
  /** A row of the policies' table of reasons. */
  readonly reason: string;
  /** How many workers it was chosen from. */
  readonly candidates: number;
  /** Further workers that take requests and were no candidates: of a lower priority, in their slow start, already lost by this request, or no fit for the pair. */
  readonly heldBack: number;
  /** `s`: costs are seconds. `points`: they are the policy's own measure. undefined where the policy gives none. */
  readonly unit: "s" | "points" | undefined;
  /** The cost of the chosen worker; undefined where the policy gives none. */
  readonly cost: number | undefined;
  /** The candidates with the least costs, the least first, and the chosen one. */
  readonly considered: readonly ConsideredWorker[];
  /** Prompt tokens that the policy expected the worker to prefill; undefined where it did not say. */
  readonly chargeTokens: number | undefined;
  /** Time from the send to the first token that the policy expected, ms; undefined where it did not say. */
  readonly predictedTtftMs: number | undefined;
  /** Prompt tokens that it expected in the worker's prefix cache; undefined where it did not say. */
  readonly predictedCachedTokens: number | undefined;
}
