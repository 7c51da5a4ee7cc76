import { GatewayError } from "../../errors/errors.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Worker } from "../worker.ts";
import { isSameSpec, type WorkerSpec } from "../worker-spec.ts";

/** The only way to add, change and remove workers. RouterManager fits it by shape. */
export interface WorkerDoor {
  /** Throws worker_exists, invalid_request. */
  addWorker(spec: WorkerSpec): unknown;
  /** Throws worker_not_found, invalid_request. */
  updateWorker(id: string, spec: WorkerSpec): unknown;
  /** Drains the worker, then removes it. */
  removeWorker(worker: Worker): unknown;
}

export interface ReconcilerDeps {
  /** The worker with this url that is not draining. */
  readonly registry: { getByUrl(url: string): Worker | undefined };
  readonly door: WorkerDoor;
  readonly logger: Logger;
}

/**
 * One worker that a source wants.
 * - `done`: the worker was added or changed for it. An operator may have changed or removed the worker since.
 * - `waiting`: another source has a worker with this url.
 * - `refused`: the door did not take it, and it is tried again with the next report.
 */
interface Want {
  readonly spec: WorkerSpec;
  state: "done" | "waiting" | "refused";
}

type Wants = Map<string, Want>;

/**
 * Makes the workers of the registry what the sources want.
 *
 * A worker belongs to the source that wanted it first. When that source wants it no more, it passes on to the next source that
 * wants it, and goes on serving; where there is none it is drained and removed. A source never touches a worker of another source,
 * so what callers of the API have added stays.
 *
 * What an operator did over the API (DELETE, PUT, PATCH) stands until a source says something new of that worker: until it leaves
 * the worker out and names it again, or names it with another spec. The same set once more is nothing new. A worker that was
 * removed because it failed its checks (`remove_unhealthy_workers`) stays away in the same way.
 */
export class Reconciler {
  readonly #deps: ReconcilerDeps;
  /** What each source wanted in its last report, by URL. Sources are in the order of their first reports. */
  readonly #wants = new Map<string, Wants>();

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
  }

  /**
   * Makes the set that a source wants so, in time linear in the set. New workers are added before others are removed, so that a model
   * whose workers are all replaced is served throughout. Returns why workers were not taken; a later report tries them again.
   */
  apply(source: string, wanted: readonly WorkerSpec[]): readonly GatewayError[] {
    const before = this.#wants.get(source);
    const after: Wants = new Map();
    const refusals: GatewayError[] = [];
    this.#wants.set(source, after);
    for (const spec of wanted) {
      const refusal = after.has(spec.url) ? namedTwice(spec) : this.#want(before?.get(spec.url), spec, after);
      if (refusal) refusals.push(refusal);
    }
    for (const want of before?.values() ?? []) {
      if (!after.has(want.spec.url)) this.#drop(want.spec);
    }
    return refusals;
  }

  /** Puts one worker of a report into `wants`. Returns why the door refused it. */
  #want(known: Want | undefined, spec: WorkerSpec, wants: Wants): GatewayError | undefined {
    const isNews = known === undefined || !isSameSpec(known.spec, spec);
    if (!isNews && known.state !== "refused") {
      wants.set(spec.url, known);
      return undefined;
    }
    const want: Want = { spec, state: "done" };
    wants.set(spec.url, want);
    const refusal = this.#make(want);
    if (refusal && isNews) {
      const fields = { source: spec.source, url: spec.url, reason: refusal.message };
      this.#deps.logger.warn(fields, "a worker that a source wants is not taken");
    }
    return refusal;
  }

  /** Adds or changes the worker. Returns why the door refused it. */
  #make(want: Want): GatewayError | undefined {
    const { registry, door } = this.#deps;
    const { spec } = want;
    const worker = registry.getByUrl(spec.url);
    if (worker && worker.spec.source !== spec.source) {
      want.state = "waiting";
      return undefined;
    }
    try {
      if (!worker) door.addWorker(spec);
      else if (!isSameSpec(worker.spec, spec)) door.updateWorker(worker.id, spec);
      want.state = "done";
      return undefined;
    } catch (error) {
      want.state = "refused";
      // One refused worker must not keep the others of the set out.
      return error instanceof GatewayError
        ? error
        : new GatewayError("internal_error", String(error), { cause: error });
    }
  }

  /** A source no longer wants this worker: it passes to another source, or is removed. */
  #drop({ url, source }: WorkerSpec): void {
    const { registry, door, logger } = this.#deps;
    const worker = registry.getByUrl(url);
    if (worker?.spec.source !== source) return;
    const heir = this.#heirOf(url);
    if (heir) {
      logger.info({ worker: worker.id, url, from: source, to: heir.spec.source }, "worker passes on to another source");
      if (this.#passOn(worker, heir)) return;
    }
    door.removeWorker(worker);
    // The URL is free as soon as the worker drains.
    if (heir) this.#make(heir);
  }

  /** Gives the worker the spec of the next source, without touching its requests. Returns false if the door refuses the change. */
  #passOn(worker: Worker, heir: Want): boolean {
    try {
      this.#deps.door.updateWorker(worker.id, heir.spec);
      heir.state = "done";
      return true;
    } catch {
      // The next source then gets a new worker.
      return false;
    }
  }

  #heirOf(url: string): Want | undefined {
    for (const wants of this.#wants.values()) {
      const want = wants.get(url);
      if (want?.state === "waiting") return want;
    }
    return undefined;
  }
}

function namedTwice({ source }: WorkerSpec): GatewayError {
  return new GatewayError("worker_exists", `a worker with this url is registered already: ${source} names it twice`, {
    param: "url",
  });
}
