import { GatewayError } from "../errors/errors.ts";
import type { LoadLedger } from "./load-ledger.ts";
import { ModelSnapshot } from "./model-snapshot.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import { RankTable } from "./rank-table.ts";
import type { Worker, WorkerChange } from "./worker.ts";
import type { WorkerType } from "../util/worker-type.ts";

/** One worker was added (`before` is undefined), changed, or removed (`after` is undefined). */
export type ChangeListener = (before: Worker | undefined, after: Worker | undefined) => void;

/** Keys of the snapshot of all workers, and of the workers that serve any model. No model id is empty. */
const ALL = "";
const ANY_MODEL = "\u0000any";

export interface WorkerRegistryDeps {
  readonly ledger: LoadLedger;
  /**
   * Whether a worker without listed models gets requests for any model. A gateway with one model wants that. With many
   * models, the worker would answer for another worker's model. Default: true.
   */
  readonly unlistedServeAny?: boolean;
  /** Largest share of a model's ready workers that may be ejected at once, 0 to 1; beyond it ejections are ignored. Default: 0.5. */
  readonly maxEjectedShare?: number;
}

/**
 * The workers of the gateway. A change invalidates the snapshots of the worker's models. The next reader builds the snapshot,
 * and all later readers share it.
 */
export class WorkerRegistry {
  readonly #ledger: LoadLedger;
  #maxEjectedShare: number;
  readonly #unlistedServeAny: boolean;
  readonly #byId = new Map<string, Worker>();
  /** Ids of the workers that do not drain, by url. */
  readonly #byUrl = new Map<string, string>();
  /** The addresses whose data-parallel ranks are workers of their own. */
  readonly #ranks = new RankTable();
  /** The workers of each model by id; those of any model under ANY_MODEL. */
  readonly #members = new Map<string, Map<string, Worker>>();
  /** Models that a known worker joined later, for example by its probe. Their workers are not in order of registration. */
  readonly #unordered = new Set<string>();
  /** Snapshots by model. */
  readonly #snapshots = new Map<string, ModelSnapshot>();
  readonly #listeners = new Set<ChangeListener>();
  /** Changes that listeners have not got yet. A listener that makes a change itself must not overtake earlier ones. */
  readonly #untold: Parameters<ChangeListener>[] = [];
  #isTelling = false;
  #version = 0;
  #all: readonly Worker[] | undefined;
  #models: readonly string[] | undefined;

  constructor(deps: WorkerRegistryDeps) {
    this.#ledger = deps.ledger;
    this.#unlistedServeAny = deps.unlistedServeAny ?? true;
    this.#maxEjectedShare = deps.maxEjectedShare ?? 0.5;
  }

  /** Changes which share of a model's ready workers may be ejected; the next readers get new snapshots. */
  replace({ maxEjectedShare }: { readonly maxEjectedShare: number }): void {
    this.#maxEjectedShare = maxEjectedShare;
    this.#snapshots.clear();
  }

  /** Increases with each change. */
  get version(): number {
    return this.#version;
  }

  /** How many workers do not drain. */
  count(): number {
    return this.#byUrl.size;
  }

  /** All workers, including those that are leaving, in order of registration. */
  all(): readonly Worker[] {
    this.#all ??= [...this.#byId.values()];
    return this.#all;
  }

  get(id: string): Worker | undefined {
    return this.#byId.get(id);
  }

  /** The worker with this url that does not drain. For the address of several ranks it is the lowest of them. */
  getByUrl(url: string): Worker | undefined {
    const id = this.#byUrl.get(url) ?? this.#ranks.at(url)[0];
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** The workers at this address that do not drain: one, or its ranks, the lowest first. */
  at(address: string): readonly Worker[] {
    const single = this.#byUrl.get(address);
    const ids = single === undefined ? this.#ranks.at(address) : [single];
    return ids.flatMap((id) => this.#byId.get(id) ?? []);
  }

  /** Whether some worker can be asked for this model: it lists the model, or serves any. */
  serves(model: string): boolean {
    return this.#members.has(model) || this.#members.has(ANY_MODEL);
  }

  /** Whether some worker lists this model, so that a client has not made its name up. */
  lists(model: string): boolean {
    return this.#members.has(model) && model !== ALL && model !== ANY_MODEL;
  }

  /** Ids of the models that workers list, or serve by their spec, sorted. */
  models(): readonly string[] {
    this.#models ??= [...this.#members.keys()].filter((model) => model !== ALL && model !== ANY_MODEL).sort();
    return this.#models;
  }

  /** Adds a worker and returns its id. Throws worker_exists if a worker with this URL is registered and not leaving. */
  register(worker: Worker): string {
    if (this.getByUrl(worker.url) ?? this.#byUrl.get(worker.spec.url)) {
      // The worker was made for this call and is not kept.
      this.#ledger.releaseSlot(worker.slot);
      throw new GatewayError("worker_exists", "a worker with this url is registered already", { param: "url" });
    }
    this.#name(worker);
    this.#publish(undefined, worker);
    return worker.id;
  }

  /** Puts a worker from another thread: it replaces the worker with its id, or is added. */
  put(worker: Worker): void {
    if (worker.status === "draining") this.#unname(worker);
    else this.#name(worker);
    this.#publish(this.#byId.get(worker.id), worker);
  }

  /** Replaces a worker by its next version, and returns that. Throws worker_not_found. */
  update(id: string, change: WorkerChange): Worker {
    const before = this.#byId.get(id);
    if (!before) throw new GatewayError("worker_not_found", "no worker has this id");
    const after = before.with(change);
    this.#publish(before, after);
    return after;
  }

  /** Takes a worker out of all snapshots; its requests go on. Throws worker_not_found, also for a worker that is already leaving. */
  beginDrain(id: string): Worker {
    const worker = this.#byId.get(id);
    if (!worker || worker.status === "draining") throw new GatewayError("worker_not_found", "no worker has this id");
    this.#unname(worker);
    return this.update(id, { status: "draining", statusSince: Date.now() });
  }

  /** Removes a worker. Returns false if there was none. */
  remove(id: string): boolean {
    const worker = this.#byId.get(id);
    if (!worker) return false;
    this.#leave(worker, this.#keysOf(worker));
    this.#byId.delete(id);
    this.#unname(worker);
    this.#ledger.releaseSlot(worker.slot);
    this.#changed(worker, undefined);
    return true;
  }

  /**
   * The snapshot of the workers that serve a model, or of all workers where no model is given; only those with this protocol and
   * type, where these are given. It is a lookup and copies nothing.
   */
  getWorkersForModel(model: string | undefined, mode?: ConnectionMode, type?: WorkerType): ModelSnapshot {
    const key = model ?? ALL;
    // A model that no worker lists is served by the workers that serve any. All these names share one snapshot, so that
    // made-up names take no memory.
    const known = key === ALL || this.#members.has(key) ? key : ANY_MODEL;
    const all = this.#snapshots.get(known) ?? this.#build(known);
    return mode === undefined ? all : all.of(mode, type);
  }

  /** Calls `listener` after each change of a worker, in order. The returned function removes it. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Puts a worker, or its next version, among the workers of its models; one that drains among none. */
  #publish(before: Worker | undefined, after: Worker): void {
    const has = after.status === "draining" ? [] : this.#keysOf(after);
    this.#byId.set(after.id, after);
    // A worker that stays with a model keeps its place there, because policies depend on the order.
    const left = before ? this.#keysOf(before).filter((key) => !has.includes(key)) : [];
    if (before) this.#leave(before, left);
    this.#join(after, has, before === undefined);
    this.#changed(before, after);
  }

  /** The url is the worker's from now on. */
  #name(worker: Worker): void {
    this.#byUrl.set(worker.url, worker.id);
    this.#ranks.add(worker);
  }

  /** The url is free from now on, unless another worker has it already. */
  #unname(worker: Worker): void {
    if (this.#byUrl.get(worker.url) === worker.id) this.#byUrl.delete(worker.url);
    this.#ranks.delete(worker);
  }

  #build(key: string): ModelSnapshot {
    const isName = key !== ALL && key !== ANY_MODEL;
    const snapshot = new ModelSnapshot([...(isName ? this.#ofWithAny(key) : this.#of(key))], {
      version: this.#version,
      isListed: isName,
      maxEjectedShare: this.#maxEjectedShare,
    });
    this.#snapshots.set(key, snapshot);
    return snapshot;
  }

  /** Workers under a key, in order of registration. */
  #of(key: string): Iterable<Worker> {
    let members = this.#members.get(key);
    if (members && this.#unordered.delete(key)) {
      const joined = members;
      members = new Map([...this.#byId].filter(([id]) => joined.has(id)));
      this.#members.set(key, members);
    }
    return members?.values() ?? [];
  }

  /** Workers that list the model, and workers that serve any, in order of registration. */
  #ofWithAny(key: string): Iterable<Worker> {
    const any = this.#members.get(ANY_MODEL);
    if (!any) return this.#of(key);
    const named = this.#members.get(key);
    return [...this.#byId.values()].filter(({ id }) => any.has(id) || named?.has(id) === true);
  }

  #join(worker: Worker, keys: readonly string[], isNew: boolean): void {
    for (const key of keys) {
      let members = this.#members.get(key);
      if (!members) {
        members = new Map();
        this.#members.set(key, members);
        this.#models = undefined;
      }
      if (!isNew && !members.has(worker.id)) this.#unordered.add(key);
      // Keeps the place of the worker's last version, if there was one.
      members.set(worker.id, worker);
    }
    this.#forgetSnapshots(worker);
  }

  #leave(worker: Worker, keys: readonly string[]): void {
    for (const key of keys) {
      const members = this.#members.get(key);
      if (!members?.delete(worker.id) || members.size > 0) continue;
      this.#members.delete(key);
      this.#unordered.delete(key);
      this.#models = undefined;
    }
    this.#forgetSnapshots(worker);
  }

  /** The keys under which a worker is found. */
  #keysOf(worker: Worker): readonly string[] {
    const { models } = worker;
    const isForAny = worker.servesAny || (models.length === 0 && this.#unlistedServeAny);
    return isForAny ? [ALL, ANY_MODEL, ...models] : [ALL, ...models];
  }

  /** A worker that serves any model is in every snapshot. */
  #forgetSnapshots(worker: Worker): void {
    if (this.#keysOf(worker).includes(ANY_MODEL)) {
      this.#snapshots.clear();
      return;
    }
    for (const key of this.#keysOf(worker)) this.#snapshots.delete(key);
  }

  #changed(before: Worker | undefined, after: Worker | undefined): void {
    this.#version += 1;
    this.#all = undefined;
    this.#untold.push([before, after]);
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      for (let change = this.#untold.shift(); change; change = this.#untold.shift()) {
        for (const listener of this.#listeners) listener(...change);
      }
    } finally {
      this.#isTelling = false;
    }
  }
}
