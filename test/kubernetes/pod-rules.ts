import type { PodRules } from "../../src/kubernetes/pod-workers.ts";

/** Engines on port 8000, each of which serves whole requests; nothing else is said of them. */
export const POD_RULES: PodRules = {
  ports: [8000],
  scheme: undefined,
  isPd: false,
  modelIdFrom: undefined,
  bootstrapPortAnnotation: "sglang.ai/bootstrap-port",
  kvConnectorAnnotation: undefined,
  apiKey: undefined,
};
