import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import { ApiClient } from "../kubernetes/api-client.ts";
import type { PodGroup } from "../kubernetes/chosen-pods.ts";
import { type Cluster, ClusterError } from "../kubernetes/cluster.ts";
import { findCluster } from "../kubernetes/find-cluster.ts";
import { KubernetesSource, type PodWish } from "../kubernetes/kubernetes-source.ts";
import type { ModelIdFrom } from "../kubernetes/pod-workers.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerSources } from "../worker/sources/worker-sources.ts";

export interface PodDiscoveryParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly workerSources: Pick<WorkerSources, "follow">;
  /** Finds the cluster of a `kubeconfig`; tests pass their own. Throws ClusterError. */
  readonly find?: (kubeconfig: string | undefined) => FoundCluster;
}

/** A cluster, and what speaks to it. */
type FoundCluster = Pick<Cluster, "url" | "namespace"> & Pick<PodWish, "api">;

/** The pods that the configuration wants for workers. Where it no longer wants any, their source stays, and wants nothing. */
export class FollowedPods {
  readonly #parts: PodDiscoveryParts;
  #source: KubernetesSource | undefined;
  /** The cluster that is spoken to now, and the option by which it was found. */
  #cluster: (FoundCluster & Pick<Config, "kubeconfig">) | undefined;

  constructor(parts: PodDiscoveryParts) {
    this.#parts = parts;
  }

  /** Throws invalid_request where the cluster cannot be found. */
  check(config: Config): void {
    if (config.serviceDiscovery) this.#clusterOf(config);
  }

  /** Makes workers of the pods that this configuration chooses, and of no others. Throws as `check` does. */
  want(config: Config): void {
    const { clock, logger, workerSources } = this.#parts;
    const before = this.#cluster;
    this.#cluster = config.serviceDiscovery ? this.#clusterOf(config) : undefined;
    if (this.#cluster && this.#cluster !== before) logger.info({ cluster: this.#cluster.url }, "looking for pods");
    const wish = this.#cluster && wishOf(config, this.#cluster);
    if (this.#source || !wish) {
      this.#source?.want(wish);
      return;
    }
    this.#source = new KubernetesSource({ clock, logger, random: Math.random });
    this.#source.want(wish);
    workerSources.follow(this.#source);
    this.#expose(this.#source);
  }

  /** The same cluster as before, unless the option names another: a change of other options asks nothing of the files. */
  #clusterOf({ kubeconfig }: Config): FoundCluster & Pick<Config, "kubeconfig"> {
    const { find = findHere } = this.#parts;
    if (this.#cluster && this.#cluster.kubeconfig === kubeconfig) return this.#cluster;
    try {
      return { ...find(kubeconfig), kubeconfig };
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      throw new GatewayError("invalid_request", `service_discovery: ${error.message}`, { cause: error });
    }
  }

  #expose(source: KubernetesSource): void {
    this.#parts.metrics.read("kubernetesPods", (set) => {
      const { podsSeen, podsChosen } = source.view;
      set({ state: "seen" }, podsSeen);
      set({ state: "chosen" }, podsChosen);
    });
  }
}

function findHere(kubeconfig: string | undefined): FoundCluster {
  const cluster = findCluster({ kubeconfig, env: process.env });
  return { url: cluster.url, namespace: cluster.namespace, api: new ApiClient(cluster) };
}

function wishOf(config: Config, { api, namespace: ownNamespace }: FoundCluster): PodWish {
  const [namespace, name] = config.inferencePool?.includes("/")
    ? config.inferencePool.split("/", 2)
    : [config.serviceDiscoveryNamespace[0] ?? ownNamespace, config.inferencePool];
  return {
    api,
    choice: {
      namespaces: config.serviceDiscoveryNamespace,
      groups: podGroups(config),
      pool: name === undefined || namespace === undefined ? undefined : { name, namespace },
    },
    rules: {
      ports: [config.serviceDiscoveryPort],
      scheme: undefined,
      isPd: config.pdDisaggregation,
      modelIdFrom: modelIdFrom(config.modelIdFrom),
      bootstrapPortAnnotation: config.prefillBootstrapPortAnnotation,
      kvConnectorAnnotation: config.kvConnectorAnnotation,
      apiKey: config.workerApiKey,
    },
  };
}

/** Prefill and decode come before what `selector` chooses. */
function podGroups({ selector, prefillSelector, decodeSelector, pdDisaggregation }: Config): PodGroup[] {
  const groups: PodGroup[] = [
    { selector: prefillSelector, role: "prefill" },
    { selector: decodeSelector, role: "decode" },
    // With prefill and decode apart a pod's own label says which it is.
    { selector, role: pdDisaggregation ? undefined : "regular" },
  ];
  return groups.filter((group) => group.selector.length > 0);
}

function modelIdFrom(text: string | undefined): ModelIdFrom | undefined {
  if (text === undefined) return undefined;
  const [kind, key = ""] = text.split(/:(.*)/s, 2);
  if (kind === "label" || kind === "annotation") return { kind, key };
  return { kind: "namespace" };
}
