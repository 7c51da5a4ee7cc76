import type { KeptPolicy } from "../policy/kept-policy.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { Worker } from "../worker/worker.ts";
import type { InferenceRequest } from "./router.ts";
import type { Legs } from "./try.ts";

/** The parts of a request that the choice depends on. */
export type SelectionRequest = Pick<InferenceRequest, "features"> & {
  readonly record: Pick<InferenceRequest["record"], "decisions">;
};

/** One of the workers that a request needs: its candidates, and the policy that chooses among them. */
export interface Leg {
  readonly role: WorkerType;
  readonly snapshot: ModelSnapshot;
  readonly policy: KeptPolicy;
}

/** The legs of a request and what limits the choice of their workers. */
export interface Choice {
  readonly legs: Legs<Leg>;
  /** Ids of workers that this request has already lost. */
  readonly lost: ReadonlySet<string>;
  /** Whether a decode worker can take over from a prefill worker. */
  readonly fits: (prefill: Worker, decode: Worker) => boolean;
  /** Whether a decode worker may prefill the prompt itself, where the policy chooses both workers at once. */
  readonly prefillsAlone: (decode: Worker) => boolean;
}
