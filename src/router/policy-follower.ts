import type { Logger } from "../observability/logger.ts";
import type { PolicyMemory, SharedPolicyMemory } from "../policy/policy-memory.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

export interface PolicyFollowerDeps {
  readonly workers: Pick<WorkerRegistry, "onChange">;
  readonly policies: PolicyRegistry;
  /** What the policies of this registry allocate. */
  readonly memory: PolicyMemory;
  readonly logger: Logger;
}

/** A change of a worker that the policies have followed. */
export interface FollowedChange {
  readonly before: Worker | undefined;
  readonly after: Worker | undefined;
  /** What policies allocated that were made for it. */
  readonly memory: readonly SharedPolicyMemory[];
}

/**
 * Keeps the policies in step with the workers: a model's policy lives from the model's first worker to its last, and forgets
 * a worker that left or fell silent. Other threads hear of a change from here and not from the registry, so that each change
 * comes with the memory of the policies that it made.
 */
export class PolicyFollower implements Disposable {
  readonly #deps: PolicyFollowerDeps;
  readonly #listeners = new Set<(change: FollowedChange) => void>();
  readonly #stopListening: () => void;

  constructor(deps: PolicyFollowerDeps) {
    this.#deps = deps;
    this.#stopListening = deps.workers.onChange((before, after) => this.#onChange(before, after));
  }

  /** Calls back after each change of a worker, once the policies have followed it. The returned function stops it. */
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
    // A worker that fell silent comes back with an empty cache.
    const isLost = before?.status === "ready" && after?.status === "not_ready";
    for (const one of had) {
      const isGone = !isIn(has, one);
      if (before && (isGone || isLost)) this.#forget(one, before);
      if (isGone) policies.onWorkerRemoved(one.model, one.role);
    }
  }

  /** A policy of the operator's that fails here keeps no worker from leaving. */
  #forget({ model, role }: Served, { id, slot }: Worker): void {
    const { policies, logger } = this.#deps;
    try {
      policies.forgetWorker(model, id, slot, role);
    } catch (error) {
      logger.error({ model, worker: id, error: String(error) }, "the policy failed to forget a worker");
    }
  }
}

/** A model, and what of its requests a worker does. */
interface Served {
  readonly model: string;
  readonly role: WorkerType;
}

/** What a worker counts for: nothing once it is leaving. */
function servedBy(worker: Worker | undefined): readonly Served[] {
  if (!worker || worker.status === "draining") return [];
  const role = worker.spec.workerType;
  return worker.models.map((model) => ({ model, role }));
}

function isIn(list: readonly Served[], { model, role }: Served): boolean {
  return list.some((other) => other.model === model && other.role === role);
}
