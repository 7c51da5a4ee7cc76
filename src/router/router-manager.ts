import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { PolicyRegistry } from "../policy/policy-registry.ts";
import { changeAddress } from "../worker/change-address.ts";
import type { HealthChecker } from "../worker/health-checker.ts";
import type { Worker } from "../worker/worker.ts";
import { isProbedAlike, isSameSpec, type WorkerSpec } from "../worker/worker-spec.ts";
import type { WorkerDrainer } from "../worker/worker-drainer.ts";
import { originOf, type WorkerFactory } from "../worker/worker-factory.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { RankKeeper, type RankSettings } from "./rank-keeper.ts";

export interface RouterManagerDeps {
  readonly workers: WorkerRegistry;
  readonly policies: PolicyRegistry;
  readonly logger: Logger;
  readonly factory: WorkerFactory;
  readonly health: Pick<HealthChecker, "watch" | "mayBeBack" | "onUnhealthy">;
  readonly drainer: WorkerDrainer;
  /** Why a worker of this type is refused; undefined where it is accepted. */
  readonly accepts: (type: WorkerType) => string | undefined;
  /** Time that a removed worker has to finish its requests, ms. */
  readonly drainTimeoutMs: number;
  /** Whether a worker that fails its checks is removed for good. */
  readonly removesUnhealthy: boolean;
  /** Whether data-parallel ranks are workers of their own. */
  readonly ranks: RankSettings;
}

/** The answer of the administration API to a change of workers. */
export interface WorkerApiResponse {
  readonly success: boolean;
  readonly message: string;
  readonly worker: Worker | undefined;
}

/**
 * The one door through which workers are added, changed and removed, whichever source wants it, so that the registries of the
 * context change together. The routers see each change with their next request.
 */
export class RouterManager implements Disposable {
  #deps: RouterManagerDeps;
  readonly #ranks: RankKeeper;
  readonly #stopListening: () => void;

  constructor(deps: RouterManagerDeps) {
    this.#deps = deps;
    const { workers, factory, logger, ranks: settings } = deps;
    this.#ranks = new RankKeeper({
      workers,
      factory,
      logger,
      settings,
      removeRank: (worker) => void this.removeRank(worker),
    });
    this.#stopListening = deps.health.onUnhealthy((worker) => {
      if (this.#deps.removesUnhealthy) this.removeWorker(worker);
    });
  }

  /**
   * Changes how workers leave, and which data-parallel ranks are workers. Workers that drain keep their time. Where the ranks of an address become
   * workers, or no longer are, others take its place at once, with what is known of it, and it is drained.
   */
  replace(given: Pick<RouterManagerDeps, "drainTimeoutMs" | "removesUnhealthy" | "ranks">): void {
    this.#deps = { ...this.#deps, ...given };
    this.#ranks.replace(given.ranks);
    const { workers } = this.#deps;
    const addresses = new Set(workers.all().flatMap(({ spec, status }) => (status === "draining" ? [] : spec.url)));
    for (const address of addresses) {
      const [lowest] = workers.at(address);
      if (!lowest) continue;
      if (this.#isOtherwise(lowest, lowest.spec)) this.#exchange(lowest, lowest.spec);
      else if (lowest.rank && lowest.status !== "pending") this.#ranks.settle(lowest);
    }
  }

  /** Whether the ranks of the worker's address are workers, and should be none by this spec, or the other way round. */
  #isOtherwise({ rank }: Worker, spec: WorkerSpec): boolean {
    return (this.#ranks.first(spec) === undefined) !== (rank === undefined);
  }

  /** Puts rank 0, or the whole address, in the place of what is there, which is drained. In one turn, so that no request finds neither. */
  #exchange(before: Worker, spec: WorkerSpec): Worker {
    const { factory, workers, health, logger } = this.#deps;
    const made = factory.createFromUrl(spec.url, spec, this.#ranks.first(spec));
    const { info, status, statusSince, lastError } = before;
    const worker = isProbedAlike(before.spec, spec) ? made.with({ info, status, statusSince, lastError }) : made;
    this.removeWorker(before);
    workers.register(worker);
    logger.info({ worker: worker.id, url: worker.url, source: spec.source }, "worker added");
    if (worker.rank && worker.status !== "pending") this.#ranks.settle(worker);
    health.watch(worker.id);
    return worker;
  }

  /** Throws what `addWorker` would throw for this spec; where its source has a worker of this URL, what `updateWorker` would. */
  checkWorker(spec: WorkerSpec): void {
    this.#check(spec);
    const before = this.#deps.workers.getByUrl(originOf(spec.url));
    if (before?.spec.source === spec.source) this.#checkPolicy(before.with({ spec }), before.spec.policyHint);
  }

  /**
   * Registers a worker and begins to probe it. Where data-parallel ranks are workers, it is rank 0, and the others come once the engine has
   * said how many it has. Throws worker_exists, invalid_request.
   */
  addWorker(spec: WorkerSpec): WorkerApiResponse & { readonly worker: Worker } {
    const { factory, workers, health, logger } = this.#deps;
    this.#check(spec);
    const worker = factory.createFromUrl(spec.url, spec, this.#ranks.first(spec));
    workers.register(worker);
    health.watch(worker.id);
    logger.info(
      { worker: worker.id, url: worker.url, source: spec.source, model: spec.modelId, policy_hint: spec.policyHint },
      "worker added",
    );
    this.#warnOfUnchecked(spec);
    return { success: true, message: `Worker ${worker.id} added`, worker };
  }

  /**
   * Brings a data-parallel rank back that was removed, with the spec of the others of its address. Throws worker_exists, and invalid_request
   * where the ranks of the address are not workers or there is no such rank.
   */
  addRank(url: string, index: number): WorkerApiResponse & { readonly worker: Worker } {
    const worker = this.#ranks.bringBack(originOf(url), index);
    return { success: true, message: `Worker ${worker.id} added`, worker };
  }

  /**
   * Changes the spec of a worker, and of all other data-parallel ranks of its address. Its URL and its requests stay. The worker is probed
   * again if the change affects its probes. Where the ranks become workers of their own, or no longer are, others take its place, and it is
   * drained. Throws worker_not_found, invalid_request.
   */
  updateWorker(id: string, given: WorkerSpec): WorkerApiResponse & { readonly worker: Worker } {
    const { workers, health } = this.#deps;
    const { before, spec } = this.#checkChange(id, given);
    if (this.#isOtherwise(before, spec)) return this.#updated(this.#exchange(before, spec).id, spec);
    changeAddress(workers, spec.url, () => ({ spec }));
    if (!isProbedAlike(before.spec, spec)) health.watch(id);
    else this.#hearOfReturn(before, spec);
    return this.#updated(before.id, spec);
  }

  /**
   * Changes one data-parallel rank alone: whether it is cordoned, its priority, cost and labels. Another worker is changed as by
   * `updateWorker`. Throws worker_not_found, invalid_request.
   */
  updateRank(id: string, given: WorkerSpec): WorkerApiResponse & { readonly worker: Worker } {
    const { before, spec } = this.#checkChange(id, given);
    if (before.rank === undefined) return this.updateWorker(id, given);
    const { isCordoned, priority, cost, labels } = spec;
    if (!isSameSpec({ ...before.spec, isCordoned, priority, cost, labels }, spec)) {
      throw new GatewayError(
        "invalid_request",
        `the data-parallel ranks of an address differ in cordoned, priority, cost and labels alone; change ${spec.url} for all of them`,
      );
    }
    this.#deps.workers.update(id, { spec });
    this.#hearOfReturn(before, spec);
    return this.#updated(id, spec);
  }

  /** One that is uncordoned, by an operator or because its pod is ready again, is expected to serve, and is probed at once where it does not. */
  #hearOfReturn({ id, spec: before, status }: Worker, { isCordoned }: WorkerSpec): void {
    if (before.isCordoned && !isCordoned && status !== "ready") this.#deps.health.mayBeBack(id);
  }

  #checkChange(id: string, given: WorkerSpec): { readonly before: Worker; readonly spec: WorkerSpec } {
    const before = this.#deps.workers.get(id);
    if (!before || before.status === "draining") {
      throw new GatewayError("worker_not_found", "no worker has this id");
    }
    const spec = { ...given, url: originOf(given.url) };
    if (spec.url !== before.spec.url) {
      throw new GatewayError("invalid_request", "the url of a worker cannot change", { param: "url" });
    }
    this.#check(spec);
    this.#checkPolicy(before.with({ spec }), before.spec.policyHint);
    return { before, spec };
  }

  #updated(id: string, spec: WorkerSpec): WorkerApiResponse & { readonly worker: Worker } {
    const { workers, logger } = this.#deps;
    // A rank that the change itself has taken away is answered for by the lowest that is left.
    const worker = workers.get(id) ?? workers.getByUrl(spec.url);
    if (!worker) throw new GatewayError("worker_not_found", "no worker has this id");
    logger.info({ worker: worker.id, url: worker.url, source: spec.source }, "worker updated");
    this.#warnOfUnchecked(spec);
    return { success: true, message: `Worker ${id} updated`, worker };
  }

  /**
   * Drains a worker, with all other data-parallel ranks of its address: they get no new request from now, and their requests in flight may
   * finish. `gone` resolves when they have left the registry. Throws worker_not_found, also where it is draining already.
   */
  removeWorker(worker: Worker): WorkerApiResponse & { readonly gone: Promise<void> } {
    const all = this.#deps.workers.at(worker.spec.url);
    // One that drains already is no longer among them, and is refused.
    const removed = all.some(({ id }) => id === worker.id) ? all : [worker];
    const gone = Promise.all(removed.map((one) => this.removeRank(one).gone)).then(() => undefined);
    return { success: true, message: `Worker ${worker.id} removed`, worker: undefined, gone };
  }

  /** Drains this worker alone, and leaves the other ranks of its address. Otherwise as `removeWorker`. */
  removeRank({ id, url, spec }: Worker): WorkerApiResponse & { readonly gone: Promise<void> } {
    const { workers, drainer, drainTimeoutMs, logger } = this.#deps;
    const fields = { worker: id, url, source: spec.source };
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const draining = workers.beginDrain(id);
    logger.info({ ...fields, in_flight: draining.requestsInFlight }, "worker drains");
    drainer.drain(draining, drainTimeoutMs, () => {
      workers.remove(id);
      logger.info(fields, "worker removed");
      resolve();
    });
    return { success: true, message: `Worker ${id} removed`, worker: undefined, gone };
  }

  /** Throws invalid_request. */
  #check({ workerType, policyHint }: WorkerSpec): void {
    const { accepts, policies } = this.#deps;
    const refusal = accepts(workerType);
    if (refusal !== undefined) throw new GatewayError("invalid_request", refusal, { param: "worker_type" });
    if (policyHint !== undefined) policies.checkName(policyHint);
  }

  #warnOfUnchecked({ url, tls }: WorkerSpec): void {
    if (tls?.insecureSkipVerify !== true) return;
    this.#deps.logger.warn({ url }, "the worker's certificate is not checked: whoever is on the way reads everything");
  }

  /** A model's first worker decides its policy, so a later hint would change nothing. Throws invalid_request. */
  #checkPolicy({ models, spec }: Worker, hintBefore: string | undefined): void {
    const { policyHint, workerType } = spec;
    if (policyHint === undefined || policyHint === hintBefore) return;
    const { policies } = this.#deps;
    for (const model of models) {
      const name = policies.getPolicy(model, workerType)?.name;
      if (name === undefined || name === policyHint) continue;
      throw new GatewayError(
        "invalid_request",
        `the model ${JSON.stringify(model)} has the policy ${name} since its first worker came; give it another in model_policies, or when all of its workers have left`,
        { param: "policy" },
      );
    }
  }

  [Symbol.dispose](): void {
    this.#ranks[Symbol.dispose]();
    this.#stopListening();
  }
}
