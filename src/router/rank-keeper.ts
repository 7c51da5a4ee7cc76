import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import { MAX_RANKS } from "../util/parse-worker-url.ts";
import { changeAddress } from "../worker/change-address.ts";
import type { Rank } from "../worker/rank-table.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerFactory } from "../worker/worker-factory.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";

/** Which engines' data-parallel ranks are workers of their own, for workers whose spec does not say. */
export interface RankSettings {
  /** Engines are asked how many ranks they have. */
  readonly isDpAware: boolean;
  /** Most ranks of an address that become workers; undefined: as many as the engine says. */
  readonly dpSize: number | undefined;
}

export interface RankKeeperDeps {
  readonly workers: WorkerRegistry;
  readonly factory: WorkerFactory;
  readonly logger: Logger;
  readonly settings: RankSettings;
  /** Drains one rank, then removes it. */
  readonly removeRank: (worker: Worker) => void;
}

/**
 * Gives each data-parallel rank of an engine a worker. An address begins with rank 0. Once the engine has said how many ranks it has, the
 * others come; when it says another number later, ranks come or leave. A rank that an operator has removed stays away until then.
 */
export class RankKeeper implements Disposable {
  readonly #deps: RankKeeperDeps;
  #settings: RankSettings;
  readonly #stopListening: () => void;

  constructor(deps: RankKeeperDeps) {
    this.#deps = deps;
    this.#settings = deps.settings;
    this.#stopListening = deps.workers.onChange((before, after) => {
      if (!before || !after?.rank || after.status === "draining") return;
      if (before.info !== after.info || before.spec.dpSize !== after.spec.dpSize) this.settle(after);
    });
  }

  /** Changes which ranks are workers, from the next worker on, and of an address that is settled again. */
  replace(settings: RankSettings): void {
    this.#settings = settings;
  }

  /** The rank of an address's first worker; undefined where the worker is all of the address. */
  first(spec: WorkerSpec): Rank | undefined {
    const given = this.#given(spec);
    return (given === undefined ? this.#settings.isDpAware : given > 1) ? { index: 0, of: 1 } : undefined;
  }

  /** Adds a rank that an operator has removed. Throws worker_exists, invalid_request. */
  bringBack(address: string, index: number): Worker {
    const [lowest] = this.#deps.workers.at(address);
    const of = lowest?.rank?.of;
    if (!lowest || of === undefined) {
      throw new GatewayError(
        "invalid_request",
        `no data-parallel rank of ${address} is a worker: add the address first`,
        {
          param: "url",
        },
      );
    }
    if (index < of) return this.#add(lowest, { index, of });
    throw new GatewayError("invalid_request", `the data-parallel ranks of ${address} are 0 to ${of - 1}`, {
      param: "dp_rank",
    });
  }

  /** Adds and removes ranks until the address has as many as it should have. */
  settle({ spec, info }: Worker): void {
    const { workers, logger, removeRank } = this.#deps;
    const there = workers.at(spec.url);
    const [lowest] = there;
    const before = lowest?.rank?.of;
    const of = this.#wanted(spec, info.dataParallelSize);
    if (!lowest || before === undefined || before === of) return;
    logger.info({ url: spec.url, before, ranks: of }, "data-parallel ranks behind an address");
    for (const worker of there) if ((worker.rank?.index ?? 0) >= of) removeRank(worker);
    changeAddress(workers, spec.url, ({ rank }) => rank && { rank: { index: rank.index, of } });
    try {
      for (let index = before; index < of; index += 1) this.#add(lowest, { index, of });
    } catch (error) {
      // The table of loads is full; the ranks that are there serve.
      logger.error({ url: spec.url, reason: String(error) }, "not all data-parallel ranks of an address are workers");
    }
  }

  /** How many ranks of the address should be workers. */
  #wanted(spec: WorkerSpec, told: number | undefined): number {
    const given = this.#given(spec);
    if (told === undefined) return given ?? 1;
    const fields = { url: spec.url, told, dp_size: given };
    if (given !== undefined && given > told) {
      this.#deps.logger.warn(fields, "an engine has fewer data-parallel ranks than dp_size: the others are left out");
    }
    const ranks = Math.min(told, given ?? told);
    if (ranks <= MAX_RANKS) return ranks;
    this.#deps.logger.warn(
      fields,
      `an engine says that it has more than ${MAX_RANKS} data-parallel ranks: it is one worker, and chooses the rank itself`,
    );
    return 1;
  }

  /** Adds a rank, with what is known of the others. */
  #add({ spec, info, status, statusSince, lastError }: Worker, rank: Rank): Worker {
    const { workers, factory, logger } = this.#deps;
    const worker = factory.createFromUrl(spec.url, spec, rank).with({ info, status, statusSince, lastError });
    workers.register(worker);
    logger.info({ worker: worker.id, url: worker.url, source: spec.source }, "worker added");
    return worker;
  }

  #given({ dpSize }: WorkerSpec): number | undefined {
    return dpSize ?? this.#settings.dpSize;
  }

  [Symbol.dispose](): void {
    this.#stopListening();
  }
}
