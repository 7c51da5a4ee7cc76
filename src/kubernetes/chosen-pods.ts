import type { Clock } from "../util/clock.ts";
import { pause } from "../util/pause.ts";
import { type LabelSelector, selectorQuery } from "../util/label-selector.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { RETRY_MS } from "../worker/sources/worker-source.ts";
import { ApiError, asApiError } from "./api-client.ts";
import { NO_POOLS, type Pool, type PoolName, poolPath, poolQuery, readPool } from "./inference-pool.ts";
import { ListWatch, type ObjectReader } from "./list-watch.ts";
import { type Pod, readPod } from "./pod.ts";
import type { PodRules } from "./pod-workers.ts";

/** Pods of one kind: who they are, and what their selector says of their role. */
export interface PodGroup {
  readonly selector: LabelSelector;
  readonly role: WorkerType | undefined;
}

/** Which pods are looked at. */
export interface PodChoice {
  /** Namespaces that are looked at; empty: all. */
  readonly namespaces: readonly string[];
  readonly groups: readonly PodGroup[];
  /** An InferencePool that names the pods and their ports, in place of `groups`. */
  readonly pool: PoolName | undefined;
}

/** A pod, and what the selector that chose it says of its role. */
export interface ChosenPod {
  readonly pod: Pod;
  readonly role: WorkerType | undefined;
}

export interface ChosenPodsParts {
  readonly api: ObjectReader;
  readonly choice: PodChoice;
  readonly clock: Clock;
  readonly random: () => number;
  /** The pods or the pool are other ones than before, or the server is there again. */
  readonly onChange: () => void;
}

interface Followed {
  readonly group: PodGroup;
  readonly list: ListWatch<Pod>;
  /** Why the collection cannot be followed at present. */
  failure: ApiError | undefined;
  /** Wait after its next failure, ms. */
  retryMs: number;
}

/** What the server does not show to the gateway, or does not have. */
const HIDDEN = new Set([401, 403, 404]);

/**
 * The pods that selectors choose, or an InferencePool: each of their collections is followed, and that of the pool. Where the pool is
 * gone, the pods of its last state are followed on, so that those that end are known. Where one of several collections cannot be
 * followed, as when rights in one namespace are revoked, the others are followed on, and that one is tried again after a while.
 */
export class ChosenPods {
  readonly #parts: ChosenPodsParts;
  readonly #pools: ListWatch<Pool> | undefined;
  #followed: readonly Followed[];
  /** The pool by which pods are followed. */
  #pool: Pool | undefined;
  /** Follows the pods of the pool as it is now; undefined while nothing is followed. */
  #followPool: (() => void) | undefined;

  constructor(parts: ChosenPodsParts) {
    const { choice } = parts;
    this.#parts = parts;
    this.#pools = choice.pool && this.#listOf(poolPath(choice.pool), poolQuery(choice.pool), readPool);
    this.#followed = choice.pool ? [] : this.#follow(choice.groups);
  }

  /** Whether all collections that the server shows were listed, so that the set of pods is whole. */
  get isListed(): boolean {
    const { length } = this.#followed;
    return length > 0 && this.#followed.every(({ list, failure }) => list.isListed || HIDDEN.has(failure?.status ?? 0));
  }

  /** Why the pods are not known, or may not be all or the right ones, though the server answers. */
  get lack(): string | undefined {
    const { pool } = this.#parts.choice;
    const failures = new Set(this.#followed.flatMap(({ failure }) => failure?.message ?? []));
    if (failures.size > 0) return [...failures].join("; ");
    if (!pool || !this.#pools?.isListed || this.#pools.values().length > 0) return undefined;
    return `there is no InferencePool ${pool.namespace}/${pool.name}`;
  }

  /** When the server last said something of the collection from which nothing has been heard for longest, in ms of the clock. */
  get heardAt(): number | undefined {
    const lists = [...(this.#pools ? [this.#pools] : []), ...this.#followed.map(({ list }) => list)];
    const times = lists.map(({ heardAt }) => heardAt);
    return times.includes(undefined) ? undefined : Math.min(...times.filter((time) => time !== undefined));
  }

  /** The rules for these pods: those of the pool come before the others. */
  rulesBy(rules: PodRules): PodRules {
    const pool = this.#pool;
    return pool ? { ...rules, ports: pool.ports, scheme: pool.isGrpc ? "grpc" : rules.scheme } : rules;
  }

  /** The pods, each once, though several selectors choose it: the first of them says its role. */
  *pods(): Generator<ChosenPod> {
    const seen = new Set<string>();
    for (const { group, list } of this.#followed) {
      for (const pod of list.values()) {
        if (seen.has(pod.uid)) continue;
        seen.add(pod.uid);
        yield { pod, role: group.role };
      }
    }
  }

  /**
   * Follows them until the signal aborts. Rejects with ApiError when none of the collections can be followed, or the pool cannot; all can
   * be followed again then.
   */
  async run(signal: AbortSignal): Promise<void> {
    const others = new AbortController();
    const stop = AbortSignal.any([signal, others.signal]);
    for (const followed of this.#followed) followed.failure = undefined;
    try {
      if (this.#pools) await this.#runPool(this.#pools, stop);
      else await Promise.all(this.#followed.map((followed) => this.#keep(followed, stop)));
    } finally {
      others.abort();
    }
  }

  /** Follows one collection, again and again while another one can be followed. Rejects with ApiError where none can. */
  async #keep(followed: Followed, signal: AbortSignal): Promise<void> {
    const { clock, onChange } = this.#parts;
    while (!signal.aborted) {
      try {
        await followed.list.run(signal);
      } catch (error) {
        followed.failure = asApiError(error);
        if (this.#followed.every(({ failure }) => failure)) throw followed.failure;
        onChange();
        await pause(clock, followed.retryMs, signal);
        followed.retryMs = Math.min(RETRY_MS.most, followed.retryMs * 2);
      }
    }
  }

  /** Follows the pool, and the pods that it names; pods are followed anew when it names others. */
  async #runPool(pools: ListWatch<Pool>, signal: AbortSignal): Promise<void> {
    const failed = Promise.withResolvers<void>();
    let pods: AbortController | undefined;
    this.#followPool = () => {
      const isOther = this.#usePool(pools.values()[0]);
      if (pods && !isOther) return;
      pods?.abort();
      pods = new AbortController();
      const stop = AbortSignal.any([signal, pods.signal]);
      for (const { list } of this.#followed) list.run(stop).catch(failed.reject);
    };
    try {
      this.#followPool();
      await Promise.race([pools.run(signal).catch(inWords), failed.promise]);
    } finally {
      this.#followPool = undefined;
      pods?.abort();
    }
  }

  /** Looks for the pods that this pool names; returns whether those are others than before. Without a pool the pods of the last one stay. */
  #usePool(pool: Pool | undefined): boolean {
    const before = this.#pool;
    if (!pool || JSON.stringify(pool) === JSON.stringify(before)) return false;
    this.#pool = pool;
    // Other ports are no other pods.
    if (before && JSON.stringify(pool.selector) === JSON.stringify(before.selector)) return false;
    this.#followed = this.#follow([{ selector: pool.selector, role: undefined }]);
    return true;
  }

  #follow(groups: readonly PodGroup[]): Followed[] {
    const { namespaces, pool } = this.#parts.choice;
    const places = pool ? [pool.namespace] : namespaces.length > 0 ? namespaces : [undefined];
    return groups.flatMap((group) =>
      places.map((place) => {
        const path = place === undefined ? "/api/v1/pods" : `/api/v1/namespaces/${place}/pods`;
        const onChange = (): void => {
          followed.failure = undefined;
          followed.retryMs = RETRY_MS.least;
        };
        const list = this.#listOf(path, selectorQuery(group.selector), readPod, onChange);
        const followed: Followed = { group, list, failure: undefined, retryMs: RETRY_MS.least };
        return followed;
      }),
    );
  }

  #listOf<T>(
    path: string,
    query: Readonly<Record<string, string>>,
    read: (object: unknown) => T | undefined,
    onHeard: () => void = () => undefined,
  ): ListWatch<T> {
    const { api, clock, random, onChange } = this.#parts;
    return new ListWatch({
      api,
      clock,
      random,
      path,
      query,
      read,
      onChange: () => {
        onHeard();
        this.#followPool?.();
        onChange();
      },
    });
  }
}

/** Of a cluster that does not know the kind, the API server says no more than 404. */
function inWords(error: unknown): never {
  throw error instanceof ApiError && error.status === 404 ? new ApiError(404, NO_POOLS, { cause: error }) : error;
}
