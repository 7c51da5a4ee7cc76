import type { Logger } from "../observability/logger.ts";
import type { PolicyMemory, SharedPolicyMemory } from "../policy/policy-memory.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { isOtherStart } from "../worker/known-facts.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

export interface PolicyFollowerDeps {
  readonly workers: Pick<WorkerRegistry, "onChange">;
  readonly policies: PolicyRegistry;
  /** Shared memory of this registry's policies. */
  readonly memory: PolicyMemory;
  readonly logger: Logger;
}

/** A change of a worker that the policies have followed. */
export interface FollowedChange {
  readonly before: Worker | undefined;
  readonly after: Worker | undefined;
  /** Memory that the policies made for this change have allocated. */
  readonly memory: readonly SharedPolicyMemory[];
}

/**
 * Keeps the policies in step with the workers. A model's policy lives from the model's first worker to its last, and forgets a
 * worker that left or was lost. Other threads get changes from here and not from the registry, so that each change comes with the
 * memory of the policies that it made.
 */
export class PolicyFollower implements Disposable {
  readonly #deps: PolicyFollowerDeps;
  readonly #listeners = new Set<(change: FollowedChange) => void>();
  readonly #stopListening: () => void;

  constructor(deps: PolicyFollowerDeps) {
    this.#deps = deps;
    this.#stopListening = deps.workers.onChange((before, after) => this.#onChange(before, after));
  }

  /** Calls `listener` after each change of a worker, once the policies have followed it. The returned function removes it. */
  onFollowed(listener: (change: FollowedChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    this.#listeners.clear();
  }

  #onChange(before: Worker | undefined, after: Worker | undefined): void {
    this.#follow(before, after);
    const memory = this.#deps.memory.takeUntold();
    for (const listener of this.#listeners) listener({ before, after, memory });
  }

  #follow(before: Worker | undefined, after: Worker | undefined): void {
    const { policies } = this.#deps;
    const had = servedBy(before);
    const has = servedBy(after);
    for (const one of has) {
      if (!isIn(had, one)) policies.onWorkerAdded(one.model, after?.spec.policyHint, one.role);
    }
    // A worker that is lost, or is another process now, has an empty cache.
    const isLost = (before?.status === "ready" && after?.status === "not_ready") || isRestarted(before, after);
    for (const one of had) {
      const isGone = !isIn(has, one);
      if (before && (isGone || isLost)) this.#forget(one, before);
      if (isGone) policies.onWorkerRemoved(one.model, one.role);
    }
  }

  /** Makes a policy forget a worker. If the operator's policy throws, the worker leaves all the same. */
  #forget({ model, role }: Served, { id, slot }: Worker): void {
    const { policies, logger } = this.#deps;
    try {
      policies.forgetWorker(model, id, slot, role);
    } catch (error) {
      logger.error({ model, worker: id, error: String(error) }, "the policy failed to forget a worker");
    }
  }
}

/** A model and the worker's role in it. */
interface Served {
  readonly model: string;
  readonly role: WorkerType;
}

/** A pending worker has had no request, so nobody knows anything of its cache. */
function isRestarted(before: Worker | undefined, after: Worker | undefined): boolean {
  return before?.status !== "pending" && isOtherStart(before?.info.startedAt, after?.info.startedAt);
}

/** The models that a worker counts for: none once it is leaving. */
function servedBy(worker: Worker | undefined): readonly Served[] {
  if (!worker || worker.status === "draining") return [];
  const role = worker.spec.workerType;
  return worker.models.map((model) => ({ model, role }));
}

function isIn(list: readonly Served[], { model, role }: Served): boolean {
  return list.some((other) => other.model === model && other.role === role);
}
