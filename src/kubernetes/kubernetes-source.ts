import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { type SourceReport, untilAborted, type WorkerSource } from "../worker/sources/worker-source.ts";
import type { WorkerSpec } from "../worker/worker-spec.ts";
import { asApiError } from "./api-client.ts";
import { ChosenPods, type PodChoice } from "./chosen-pods.ts";
import type { ObjectReader } from "./list-watch.ts";
import type { Pod } from "./pod.ts";
import { KUBERNETES_SOURCE, type PodRules, workersOfPod } from "./pod-workers.ts";

/** Which pods of which cluster are workers, and what they are like. */
export interface PodWish {
  /** Speaks to the cluster: another one is another cluster. */
  readonly api: ObjectReader;
  readonly choice: PodChoice;
  readonly rules: PodRules;
}

/** What is seen of the cluster, for metrics. */
export interface DiscoveryView {
  /** Pods that a selector chose, and those of them that have a worker. */
  readonly podsSeen: number;
  readonly podsChosen: number;
}

export interface KubernetesSourceParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** Changes that come together, as those of a rolling update, make one report, ms. */
const GATHER_MS = 20;
const NOTHING_SEEN: DiscoveryView = { podsSeen: 0, podsChosen: 0 };

/**
 * The pods of a Kubernetes cluster as workers. It only looks at the state of the pods, not at the order of events, and goes by their uids:
 * a pod that has the address of an earlier one is another worker.
 *
 * A pod's worker is wanted from the time it is ready first until it is to end. While the pod is not ready its worker is cordoned. What is
 * known stays while the API server is away, and until the pods of another wish are listed.
 */
export class KubernetesSource implements WorkerSource {
  readonly name = KUBERNETES_SOURCE;
  readonly #parts: KubernetesSourceParts;
  #wish: PodWish | undefined;
  /** The pods of the wish, which may not be listed yet. */
  #chosen: ChosenPods | undefined;
  /** Uids of pods that were ready once. */
  readonly #ready = new Set<string>();
  /** Uid of the pod behind each URL of the last report. */
  #uids = new Map<string, string>();
  /** Why pods that are chosen have no worker, by uid, so that each reason is told once. */
  #told = new Map<string, string>();
  #view = NOTHING_SEEN;
  #onWanted: (report: SourceReport) => void = () => undefined;
  #cancelReport: (() => void) | undefined;
  /** Ends the watch of what was wanted before. */
  #turnTo: (() => void) | undefined;

  constructor(parts: KubernetesSourceParts) {
    this.#parts = parts;
  }

  get view(): DiscoveryView {
    return this.#view;
  }

  get heardAt(): number | undefined {
    return this.#chosen?.heardAt;
  }

  /** Wants other pods, or makes other workers of them. Without a wish it wants no worker, and asks nothing. */
  want(wish: PodWish | undefined): void {
    const before = this.#wish;
    this.#wish = wish;
    if (wish && before?.api === wish.api && JSON.stringify(before.choice) === JSON.stringify(wish.choice)) {
      // The same pods, perhaps by other rules.
      this.#reportSoon();
      return;
    }
    this.#chosen = wish && this.#choose(wish);
    this.#turnTo?.();
  }

  async watch(onWanted: (report: SourceReport) => void, signal: AbortSignal): Promise<void> {
    this.#onWanted = onWanted;
    try {
      while (!signal.aborted) await this.#follow(signal);
    } catch (error) {
      throw asApiError(error);
    } finally {
      this.#turnTo = undefined;
      this.#cancelReport?.();
      this.#cancelReport = undefined;
    }
  }

  /** Follows the pods of the wish until it is another one. */
  async #follow(signal: AbortSignal): Promise<void> {
    const turned = new AbortController();
    const stop = AbortSignal.any([signal, turned.signal]);
    this.#turnTo = () => turned.abort();
    if (this.#chosen) return this.#chosen.run(stop);
    this.#view = NOTHING_SEEN;
    this.#replace([], new Map());
    return untilAborted(stop);
  }

  #choose({ api, choice }: PodWish): ChosenPods {
    const { clock, random } = this.#parts;
    const chosen = new ChosenPods({
      api,
      choice,
      clock,
      random,
      onChange: () => {
        if (this.#chosen === chosen) this.#reportSoon();
      },
    });
    return chosen;
  }

  #reportSoon(): void {
    this.#cancelReport ??= this.#parts.clock.after(GATHER_MS, () => {
      this.#cancelReport = undefined;
      if (this.#wish && this.#chosen) this.#report(this.#chosen, this.#wish.rules);
    });
  }

  /** Reports the whole set, when every list is there. */
  #report(chosen: ChosenPods, given: PodRules): void {
    const { lack } = chosen;
    if (!chosen.isListed) {
      if (lack !== undefined) this.#onWanted({ state: "away", reason: lack });
      return;
    }
    const rules = chosen.rulesBy(given);
    const workers = new Map<string, WorkerSpec>();
    const uids = new Map<string, string>();
    const told = new Map<string, string>();
    const seen = new Set<string>();
    let podsChosen = 0;
    for (const { pod, role } of chosen.pods()) {
      seen.add(pod.uid);
      const outcome = this.#outcomeOf(pod, role, rules);
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
    for (const uid of this.#ready) if (!seen.has(uid)) this.#ready.delete(uid);
    this.#told = told;
    this.#view = { podsSeen: seen.size, podsChosen };
    this.#replace([...workers.values()], uids, lack);
  }

  /** A worker whose pod is another one than before goes first, so that nothing that was known of it is said of the new one. */
  #replace(workers: readonly WorkerSpec[], uids: Map<string, string>, lack?: string): void {
    const before = this.#uids;
    const isOther = ({ url }: WorkerSpec): boolean => (before.get(url) ?? uids.get(url)) !== uids.get(url);
    const say = (set: readonly WorkerSpec[]): void =>
      this.#onWanted(
        lack === undefined ? { state: "ready", workers: set } : { state: "away", reason: lack, workers: set },
      );
    this.#uids = uids;
    if (workers.some(isOther)) say(workers.filter((spec) => !isOther(spec)));
    say(workers);
  }

  #outcomeOf(pod: Pod, role: WorkerType | undefined, rules: PodRules): ReturnType<typeof workersOfPod> {
    if (pod.isReady) this.#ready.add(pod.uid);
    const outcome = workersOfPod(pod, role, rules);
    return "workers" in outcome && !this.#ready.has(pod.uid) ? { none: "it has not been ready yet" } : outcome;
  }

  #tell(pod: Pod, reason: string, told: Map<string, string>): void {
    told.set(pod.uid, reason);
    if (this.#told.get(pod.uid) === reason) return;
    this.#parts.logger.info({ pod: pod.name, namespace: pod.namespace, reason }, "a pod has no worker");
  }
}
