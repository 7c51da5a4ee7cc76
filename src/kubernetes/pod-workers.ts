import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { DEFAULT_SPEC, type WorkerSpec } from "../worker/worker-spec.ts";
import type { Secret } from "../util/secret.ts";
import type { Pod } from "./pod.ts";

/** Source of the workers that are found in a cluster. */
export const KUBERNETES_SOURCE = "kubernetes";

/** Where the model's id of a worker comes from; the worker is asked where this says nothing. */
export type ModelIdFrom =
  | { readonly kind: "namespace" }
  | { readonly kind: "label" | "annotation"; readonly key: string };

/** How pods become workers. */
export interface PodRules {
  /** Ports that engines listen on, where a pod does not say it itself. */
  readonly ports: readonly number[];
  readonly scheme: "http" | "grpc" | undefined;
  /** Whether prefill and decode are apart; then a pod's label says which it is, where its selector does not. */
  readonly isPd: boolean;
  readonly modelIdFrom: ModelIdFrom | undefined;
  readonly bootstrapPortAnnotation: string;
  readonly kvConnectorAnnotation: string | undefined;
  readonly apiKey: Secret | undefined;
}

/** What a pod comes to. */
export type PodOutcome = { readonly workers: readonly WorkerSpec[] } | { readonly none: string };

/** llm-d's label for the role of a pod; the older group of the same name comes second. */
const ROLE_LABEL = "llm-d.ai/role";
/** Kubernetes-sigs/lws: the place of a pod in its group. Only the leader, 0, has a server. */
const LWS_WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index";
/** KServe: pods of a multi-node engine that have no server. */
const COMPONENT_LABEL = "app.kubernetes.io/component";
const KSERVE_WORKER = "llminferenceservice-workload-worker";
/** smg: several engines in one pod. */
const WORKER_PORTS = "smg.ai/worker-ports";
/** llm-d: which of the pool's ports are live. */
const ACTIVE_PORTS = "llm-d.ai/active-ports";

/**
 * The workers of a pod that a selector chose, one for each engine in it; or why it has none. `role`: what its selector says it is.
 * A pod that is not ready keeps its workers, and they get no new requests.
 */
export function workersOfPod(pod: Pod, role: WorkerType | undefined, rules: PodRules): PodOutcome {
  if (pod.isEnding) return { none: "it is ending" };
  const index = pod.labels[LWS_WORKER_INDEX];
  if (index !== undefined && index !== "0") return { none: "it is not the leader of its group (LeaderWorkerSet)" };
  if (pod.labels[COMPONENT_LABEL] === KSERVE_WORKER) return { none: "it is not the leader of its group (KServe)" };
  const { ip } = pod;
  if (ip === undefined) return { none: "it has no address yet" };
  const ports = portsOf(pod, rules);
  if ("none" in ports) return ports;
  const workerType = role ?? roleOf(pod, rules);
  const bootstrap = bootstrapPorts(pod, rules, ports.list.length);
  if ("none" in bootstrap) return bootstrap;
  const urls = ports.list.map((port) => urlOf(pod, ip, port, rules));
  const wrong = urls.indexOf(undefined);
  if (wrong >= 0) return { none: `its address ${ip} and port ${ports.list[wrong]} make no URL` };
  return {
    workers: urls
      .filter((url) => url !== undefined)
      .map((url, place) => ({
        ...DEFAULT_SPEC,
        url,
        source: KUBERNETES_SOURCE,
        workerType,
        modelId: modelIdOf(pod, rules),
        apiKey: rules.apiKey,
        bootstrapPort: workerType === "prefill" ? bootstrap.list[place] : undefined,
        isCordoned: !pod.isReady,
        labels: labelsOf(pod, rules),
      })),
  };
}

type Ports = { readonly list: readonly number[] } | { readonly none: string };

function portsOf(pod: Pod, rules: PodRules): Ports {
  const own = numbersIn(pod, WORKER_PORTS);
  if (own) return own;
  const live = numbersIn(pod, ACTIVE_PORTS);
  if (!live || "none" in live) return live ?? { list: rules.ports };
  const list = live.list.filter((port) => rules.ports.includes(port) || rules.ports.length === 0);
  return list.length > 0 ? { list } : { none: `${ACTIVE_PORTS} names none of the pool's ports` };
}

/** The ports in an annotation; undefined where the pod does not have it. */
function numbersIn(pod: Pod, key: string): Ports | undefined {
  const text = pod.annotations[key];
  if (text === undefined) return undefined;
  const list = text
    .split(/[\s,]+/)
    .filter((part) => part !== "")
    .map(Number);
  const areGood = list.length > 0 && list.every((port) => Number.isInteger(port) && port > 0 && port < 65_536);
  return areGood
    ? { list: [...new Set(list)] }
    : { none: `its annotation ${key} is ${JSON.stringify(text)}, which is no list of ports` };
}

/** One port for all engines of the pod, or one for each. */
function bootstrapPorts(pod: Pod, { bootstrapPortAnnotation }: PodRules, engines: number): Ports {
  const given = numbersIn(pod, bootstrapPortAnnotation);
  if (!given || "none" in given) return given ?? { list: [] };
  const [first = 0] = given.list;
  if (given.list.length === 1) return { list: Array.from({ length: engines }, () => first) };
  if (given.list.length === engines) return given;
  return { none: `its annotation ${bootstrapPortAnnotation} has ${given.list.length} ports for ${engines} engines` };
}

/** Without a label llm-d takes a pod for one that decodes; one that decodes can also do both. */
function roleOf(pod: Pod, { isPd }: PodRules): WorkerType {
  if (!isPd) return "regular";
  return pod.labels[ROLE_LABEL] === "prefill" ? "prefill" : "decode";
}

function urlOf(pod: Pod, ip: string, port: number, { scheme }: PodRules): string | undefined {
  // Kubernetes names ports by their protocols: `grpc`, or `grpc-` and a name of one's own.
  const byName = /^grpc(-|$)/.test(pod.portNames.get(port) ?? "") ? "grpc" : "http";
  const parsed = parseWorkerUrl(`${scheme ?? byName}://${ip.includes(":") ? `[${ip}]` : ip}:${port}`);
  return parsed.ok ? parsed.url : undefined;
}

function modelIdOf(pod: Pod, { modelIdFrom }: PodRules): string | undefined {
  switch (modelIdFrom?.kind) {
    case "namespace":
      return pod.namespace;
    case "label":
      return pod.labels[modelIdFrom.key];
    case "annotation":
      return pod.annotations[modelIdFrom.key];
    case undefined:
      return undefined;
  }
}

/** What `GET /workers` shows of the pod. */
function labelsOf(pod: Pod, { kvConnectorAnnotation }: PodRules): Record<string, string> {
  const connector = kvConnectorAnnotation === undefined ? undefined : pod.annotations[kvConnectorAnnotation];
  return {
    pod_name: pod.name,
    pod_namespace: pod.namespace,
    pod_uid: pod.uid,
    ...(pod.node === undefined ? {} : { node_name: pod.node }),
    ...(connector === undefined ? {} : { kv_connector: connector }),
  };
}
