import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import { ApiClient } from "../kubernetes/api-client.ts";
import { ClusterError } from "../kubernetes/cluster.ts";
import { findCluster } from "../kubernetes/find-cluster.ts";
import { type DiscoverySettings, KubernetesSource, type PodGroup } from "../kubernetes/kubernetes-source.ts";
import type { ModelIdFrom } from "../kubernetes/pod-workers.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerSources } from "../worker/sources/worker-sources.ts";

export interface DiscoveryParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly workerSources: Pick<WorkerSources, "follow">;
}

/** Follows the pods of a cluster, where the configuration wants it. Throws invalid_request where the cluster cannot be found. */
export function followPods({ config, clock, logger, metrics, workerSources }: DiscoveryParts): void {
  if (!config.serviceDiscovery) return;
  try {
    const cluster = findCluster({ kubeconfig: config.kubeconfig, env: process.env });
    const settings = discoverySettings(config, cluster.namespace);
    const api = new ApiClient(cluster);
    const source = new KubernetesSource({ api, settings, clock, logger, random: Math.random });
    logger.info({ cluster: cluster.url, namespaces: settings.namespaces.join(",") || "all" }, "looking for pods");
    workerSources.follow(source);
    metrics.read("kubernetesPods", (set) => {
      const { podsSeen, podsChosen } = source.view;
      set({ state: "seen" }, podsSeen);
      set({ state: "chosen" }, podsChosen);
    });
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    throw new GatewayError("invalid_request", `service_discovery: ${error.message}`, { cause: error });
  }
}

function discoverySettings(config: Config, ownNamespace: string): DiscoverySettings {
  const [namespace, name] = config.inferencePool?.includes("/")
    ? config.inferencePool.split("/", 2)
    : [config.serviceDiscoveryNamespace[0] ?? ownNamespace, config.inferencePool];
  return {
    namespaces: config.serviceDiscoveryNamespace,
    groups: podGroups(config),
    pool: name === undefined || namespace === undefined ? undefined : { name, namespace },
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
