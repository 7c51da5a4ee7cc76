import { z } from "zod";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { SourceReport, WorkerSource } from "../worker/sources/worker-source.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";
import { ApiError } from "./api-client.ts";
import { type LabelSelector, selectorQuery } from "../util/label-selector.ts";
import { ListWatch, type ObjectReader } from "./list-watch.ts";
import { type Pod, readPod } from "./pod.ts";
import { KUBERNETES_SOURCE, type PodRules, workersOfPod } from "./pod-workers.ts";

/** Pods of one kind: who they are, and what their selector says of their role. */
export interface PodGroup {
  readonly selector: LabelSelector;
  readonly role: WorkerType | undefined;
}

export interface DiscoverySettings {
  /** Namespaces that are looked at; empty: all. */
  readonly namespaces: readonly string[];
  readonly groups: readonly PodGroup[];
  /** An InferencePool that names the pods and their ports, in place of `groups`. */
  readonly pool: { readonly name: string; readonly namespace: string } | undefined;
  readonly rules: PodRules;
}

/** What is seen of the cluster, for metrics. */
export interface DiscoveryView {
  /** Pods that a selector chose, and those of them that have a worker. */
  readonly podsSeen: number;
  readonly podsChosen: number;
}

export interface KubernetesSourceParts {
  readonly api: ObjectReader;
  readonly settings: DiscoverySettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** Changes that come together, as those of a rolling update, make one report, ms. */
const GATHER_MS = 20;
const POOLS = "inference.networking.k8s.io/v1";

interface Followed {
  readonly group: PodGroup;
  readonly list: ListWatch<Pod>;
}

/** An InferencePool (inference.networking.k8s.io/v1): the labels of its pods, and their ports. */
export interface Pool {
  readonly selector: LabelSelector;
  readonly ports: readonly number[];
  /** Its pods speak gRPC (`appProtocol: kubernetes.io/h2c`). */
  readonly isGrpc: boolean;
}

/**
 * The pods of a Kubernetes cluster as workers. It only looks at the state of the pods, not at the order of events, and goes by their uids:
 * a pod that has the address of an earlier one is another worker.
 *
 * A pod's worker is wanted from the time it is ready first until it is to end. While the pod is not ready its worker is cordoned. What is
 * known stays while the API server is away.
 */
export class KubernetesSource implements WorkerSource {
  readonly name = KUBERNETES_SOURCE;
  readonly #parts: KubernetesSourceParts;
  readonly #pools: ListWatch<Pool> | undefined;
  #followed: readonly Followed[];
  /** The pool by which pods are followed, as text. */
  #poolText = "";
  #rules: PodRules;
  /** Uids of pods that were ready once. */
  #ready = new Set<string>();
  /** Uid of the pod behind each URL of the last report. */
  #uids = new Map<string, string>();
  /** Why pods that are chosen have no worker, by uid, so that each reason is told once. */
  #told = new Map<string, string>();
  #view: DiscoveryView = { podsSeen: 0, podsChosen: 0 };
  #onWanted: (report: SourceReport) => void = () => undefined;
  #cancelReport: (() => void) | undefined;

  constructor(parts: KubernetesSourceParts) {
    const { settings } = parts;
    this.#parts = parts;
    this.#rules = settings.rules;
    this.#pools = settings.pool && this.#listOf(poolPath(settings.pool), poolQuery(settings.pool), readPool);
    this.#followed = settings.pool ? [] : this.#follow(settings.groups);
  }

  get view(): DiscoveryView {
    return this.#view;
  }

  async watch(onWanted: (report: SourceReport) => void, signal: AbortSignal): Promise<void> {
    this.#onWanted = onWanted;
    const pods = new AbortController();
    const stop = AbortSignal.any([signal, pods.signal]);
    try {
      if (this.#pools) await this.#watchPool(this.#pools, stop);
      else await Promise.all(this.#followed.map(({ list }) => list.run(stop)));
    } catch (error) {
      throw error instanceof ApiError ? error : new ApiError(0, String(error), { cause: error });
    } finally {
      // One that fails ends the others; the next watch goes on with all of them from what they know.
      pods.abort();
      this.#cancelReport?.();
      this.#cancelReport = undefined;
    }
  }

  /** Follows the pool, and the pods that it names; pods are followed anew when it names others. */
  async #watchPool(pools: ListWatch<Pool>, signal: AbortSignal): Promise<void> {
    const failed = Promise.withResolvers<void>();
    let pods: AbortController | undefined;
    this.#onPool = () => {
      const [pool] = pools.values();
      if (pools.isListed && !pool)
        this.#onWanted({ state: "away", reason: `there is no InferencePool ${this.#poolName()}` });
      if (pool && JSON.stringify(pool) === this.#poolText && pods) return;
      pods?.abort();
      pods = new AbortController();
      this.#usePool(pool);
      const stop = AbortSignal.any([signal, pods.signal]);
      for (const { list } of this.#followed) list.run(stop).catch(failed.reject);
    };
    try {
      this.#onPool();
      await Promise.race([pools.run(signal), failed.promise]);
    } finally {
      this.#onPool = undefined;
      pods?.abort();
    }
  }

  #onPool: (() => void) | undefined;

  #poolName(): string {
    const { pool } = this.#parts.settings;
    return pool ? `${pool.namespace}/${pool.name}` : "";
  }

  /** The pods of another pool are listed anew; until then those of the one before stay. */
  #usePool(pool: Pool | undefined): void {
    const text = JSON.stringify(pool);
    // Without a pool the pods of the last one stay.
    if (!pool || text === this.#poolText) return;
    this.#poolText = text;
    const { rules } = this.#parts.settings;
    this.#rules = { ...rules, ports: pool.ports, scheme: pool.isGrpc ? "grpc" : rules.scheme };
    this.#followed = this.#follow([{ selector: pool.selector, role: undefined }]);
  }

  #follow(groups: readonly PodGroup[]): Followed[] {
    const { namespaces, pool } = this.#parts.settings;
    const places = pool ? [pool.namespace] : namespaces.length > 0 ? namespaces : [undefined];
    return groups.flatMap((group) =>
      places.map((place) => ({
        group,
        list: this.#listOf(
          place === undefined ? "/api/v1/pods" : `/api/v1/namespaces/${place}/pods`,
          selectorQuery(group.selector),
          readPod,
        ),
      })),
    );
  }

  #listOf<T>(
    path: string,
    query: Readonly<Record<string, string>>,
    read: (object: unknown) => T | undefined,
  ): ListWatch<T> {
    const { api, clock, random } = this.#parts;
    return new ListWatch({
      api,
      clock,
      random,
      path,
      query,
      read,
      onChange: () => {
        this.#onPool?.();
        this.#reportSoon();
      },
    });
  }

  #reportSoon(): void {
    this.#cancelReport ??= this.#parts.clock.after(GATHER_MS, () => {
      this.#cancelReport = undefined;
      this.#report();
    });
  }

  /** Reports the whole set, when every list is there. */
  #report(): void {
    if (this.#followed.length === 0 || this.#followed.some(({ list }) => !list.isListed)) return;
    const workers = new Map<string, WorkerSpec>();
    const uids = new Map<string, string>();
    const told = new Map<string, string>();
    let podsSeen = 0;
    let podsChosen = 0;
    for (const { pod, role } of this.#pods()) {
      podsSeen += 1;
      const outcome = this.#outcomeOf(pod, role);
      if ("none" in outcome) this.#tell(pod, outcome.none, told);
      else {
        podsChosen += 1;
        for (const spec of outcome.workers) {
          // Of two pods with one address the one that is ready has it now; the other one is about to go.
          if (workers.get(spec.url)?.isCordoned === false) continue;
          workers.set(spec.url, spec);
          uids.set(spec.url, pod.uid);
        }
      }
    }
    this.#told = told;
    this.#view = { podsSeen, podsChosen };
    this.#replace([...workers.values()], uids);
  }

  /** A worker whose pod is another one than before goes first, so that nothing that was known of it is said of the new one. */
  #replace(workers: readonly WorkerSpec[], uids: Map<string, string>): void {
    const before = this.#uids;
    const isOther = ({ url }: WorkerSpec): boolean => (before.get(url) ?? uids.get(url)) !== uids.get(url);
    this.#uids = uids;
    if (workers.some(isOther)) this.#onWanted({ state: "ready", workers: workers.filter((spec) => !isOther(spec)) });
    this.#onWanted({ state: "ready", workers });
  }

  /** The chosen pods, each once, though several selectors choose it: the first of them says its role. */
  *#pods(): Generator<{ readonly pod: Pod; readonly role: WorkerType | undefined }> {
    const seen = new Set<string>();
    for (const { group, list } of this.#followed) {
      for (const pod of list.values()) {
        if (seen.has(pod.uid)) continue;
        seen.add(pod.uid);
        yield { pod, role: group.role };
      }
    }
    for (const uid of this.#ready) if (!seen.has(uid)) this.#ready.delete(uid);
  }

  #outcomeOf(pod: Pod, role: WorkerType | undefined): ReturnType<typeof workersOfPod> {
    if (pod.isReady) this.#ready.add(pod.uid);
    const outcome = workersOfPod(pod, role, this.#rules);
    return "workers" in outcome && !this.#ready.has(pod.uid) ? { none: "it has not been ready yet" } : outcome;
  }

  #tell(pod: Pod, reason: string, told: Map<string, string>): void {
    told.set(pod.uid, reason);
    if (this.#told.get(pod.uid) === reason) return;
    this.#parts.logger.info({ pod: pod.name, namespace: pod.namespace, reason }, "a pod has no worker");
  }
}

function poolPath({ namespace }: { readonly namespace: string }): string {
  return `/apis/${POOLS}/namespaces/${namespace}/inferencepools`;
}

function poolQuery({ name }: { readonly name: string }): Readonly<Record<string, string>> {
  return { fieldSelector: `metadata.name=${name}` };
}

const poolBody = z.looseObject({
  spec: z.looseObject({
    selector: z.looseObject({ matchLabels: z.record(z.string(), z.string()) }),
    targetPorts: z.array(z.looseObject({ number: z.int() })).min(1),
    appProtocol: z.string().optional(),
  }),
});

/** Reads an InferencePool; undefined where the object is none. */
export function readPool(object: unknown): Pool | undefined {
  const parsed = poolBody.safeParse(object);
  if (!parsed.success) return undefined;
  const { selector, targetPorts, appProtocol } = parsed.data.spec;
  return {
    selector: Object.entries(selector.matchLabels).map(([key, value]) => `${key}=${value}`),
    ports: targetPorts.map(({ number }) => number),
    isGrpc: appProtocol === "kubernetes.io/h2c",
  };
}
