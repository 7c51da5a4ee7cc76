import { z } from "zod";

/** Keys of the configuration that the chart sets from other values. */
const SET_BY_CHART = new Set(["host", "port", "prometheus_port", "shutdown_delay_secs", "shutdown_grace_period_secs"]);

const labels = z.record(z.string(), z.string());
const port = z.int().min(1).max(65_535);
const objects = z.array(z.record(z.string(), z.unknown()));
const anything = z.record(z.string(), z.unknown());
const probe = z.strictObject({
  periodSeconds: z.int().min(1).optional(),
  failureThreshold: z.int().min(1).optional(),
  timeoutSeconds: z.int().min(1).optional(),
  initialDelaySeconds: z.int().min(0).optional(),
  successThreshold: z.int().min(1).optional(),
});
const image = z.strictObject({
  repository: z.string().min(1),
  tag: z.string(),
  pullPolicy: z.enum(["Always", "IfNotPresent", "Never"]),
  pullSecrets: objects,
});
const discovery = z.strictObject({
  enabled: z.boolean(),
  selector: labels,
  prefillSelector: labels,
  decodeSelector: labels,
  inferencePool: z.string(),
  port,
  namespace: z.string(),
});

/** The values of the Helm chart. `config` is the configuration file, whose schema is put in its place. */
const chartValues = z.strictObject({
  replicas: z.int().min(0),
  image,
  config: anything,
  existingSecret: z.string(),
  discovery,
  tls: z.strictObject({ secretName: z.string(), clientCaKey: z.string() }),
  ports: z.strictObject({ http: port, metrics: port }),
  service: z.strictObject({ type: z.enum(["ClusterIP", "NodePort", "LoadBalancer"]), annotations: labels, port }),
  shutdown: z.strictObject({ delaySecs: z.number().min(0).max(3600), graceSecs: z.number().gt(0).max(86_400) }),
  resources: anything,
  probes: z.strictObject({ startup: probe, readiness: probe, liveness: probe }),
  podDisruptionBudget: z.strictObject({ enabled: z.boolean(), maxUnavailable: z.union([z.int().min(1), z.string()]) }),
  serviceAccount: z.strictObject({ create: z.boolean(), name: z.string(), annotations: labels }),
  serviceMonitor: z.strictObject({ enabled: z.boolean(), interval: z.string(), tlsConfig: anything, labels }),
  dashboard: z.strictObject({ enabled: z.boolean(), labels }),
  alerts: z.strictObject({ enabled: z.boolean(), labels }),
  podAnnotations: labels,
  podLabels: labels,
  nodeSelector: labels,
  tolerations: objects,
  affinity: anything,
  topologySpreadConstraints: objects,
  priorityClassName: z.string(),
  extraArgs: z.array(z.string()),
  extraEnv: objects,
  extraVolumes: objects,
  extraVolumeMounts: objects,
});

/** Helm reads patterns as Go does (RE2), which writes a code point in another way. */
function goPatterns(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === "pattern" && typeof value === "string" ? value.replace(/\\u([0-9a-f]{4})/gi, String.raw`\x{$1}`) : value,
  );
}

/** The chart's `values.schema.json`: a mistake in the configuration is refused before anything is installed. */
export function chartSchema(config: { readonly properties?: unknown }): object {
  const { $schema, ...schema } = z.toJSONSchema(chartValues, { io: "input" });
  const own = Object.entries(config.properties ?? {}).filter(([key]) => !SET_BY_CHART.has(key));
  const file = { type: "object", properties: goPatterns(Object.fromEntries(own)), additionalProperties: false };
  return {
    $schema,
    title: "Values of the chart of pointsman",
    ...schema,
    // Helm adds `global` by itself.
    properties: { ...schema.properties, global: { type: "object" }, config: file },
  };
}
