import { z } from "zod";
import { isSelectorTerm } from "../util/label-selector.ts";

const selectorTerm = z.string().refine(isSelectorTerm, "must be a term such as app=vllm, app!=vllm, app or !app");
const namespaceName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be the name of a namespace");

/** The options for workers that are found in a Kubernetes cluster. */
export const KUBERNETES_OPTIONS = {
  serviceDiscovery: z.boolean().default(false).meta({
    group: "Kubernetes",
    flag: "--kubernetes",
    description:
      "Pods of a Kubernetes cluster are workers, from the time that they are ready. As a flag also `--service-discovery`. In the cluster the gateway asks as its service account, which must be allowed to list and watch pods ([kubernetes.md](kubernetes.md)).",
  }),
  selector: z
    .array(selectorTerm)
    .default([])
    .meta({
      group: "Kubernetes",
      aliases: ["--k8s-label-selector"],
      description:
        "Labels of the pods that are workers, such as `app=vllm`; also `key!=value`, `key` and `!key`. All terms must hold.",
    }),
  prefillSelector: z.array(selectorTerm).default([]).meta({
    group: "Kubernetes",
    description: "Labels of the pods that prefill, with `pd_disaggregation`.",
  }),
  decodeSelector: z.array(selectorTerm).default([]).meta({
    group: "Kubernetes",
    description: "Labels of the pods that decode, with `pd_disaggregation`.",
  }),
  serviceDiscoveryPort: z
    .int()
    .min(1)
    .max(65_535)
    .default(80)
    .meta({
      group: "Kubernetes",
      aliases: ["--k8s-port"],
      description:
        "Port that the engines in pods listen on, where a pod's annotation (`smg.ai/worker-ports`) or its pool does not say it. vLLM listens on 8000, SGLang on 30000.",
    }),
  serviceDiscoveryNamespace: z
    .array(namespaceName)
    .default([])
    .meta({
      group: "Kubernetes",
      aliases: ["--k8s-namespace"],
      description: "Namespaces of the pods. Without one all namespaces are looked at, which takes a ClusterRole.",
    }),
  inferencePool: z
    .string()
    .regex(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?\/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "must be NAME or NAMESPACE/NAME")
    .optional()
    .meta({
      group: "Kubernetes",
      description:
        "An InferencePool (inference.networking.k8s.io/v1), NAME or NAMESPACE/NAME, that names the pods and their ports, in place of the selectors. Each of its ports is a worker.",
    }),
  modelIdFrom: z
    .string()
    .regex(/^(namespace|(label|annotation):\S+)$/, "must be namespace, label:KEY or annotation:KEY")
    .optional()
    .meta({
      group: "Kubernetes",
      description:
        "Where the model of a pod's worker comes from: `namespace`, `label:KEY` or `annotation:KEY`. Without it the worker is asked.",
    }),
  prefillBootstrapPortAnnotation: z.string().min(1).max(316).default("sglang.ai/bootstrap-port").meta({
    group: "Kubernetes",
    description: "Annotation with the bootstrap port of a prefill pod: one port for all its engines, or one for each.",
  }),
  kvConnectorAnnotation: z.string().min(1).max(316).optional().meta({
    group: "Kubernetes",
    description: "Annotation with the KV connector of a pod's engine, as the label `kv_connector` of a worker has it.",
  }),
  kubeconfig: z.string().min(1).optional().meta({
    group: "Kubernetes",
    description:
      "File that says where the cluster is and who the gateway is there. Without it: the pod's service account, or outside of a cluster `KUBECONFIG` or `~/.kube/config`.",
  }),
} as const;
