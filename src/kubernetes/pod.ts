import { z } from "zod";

/** What the gateway reads of a pod. */
export interface Pod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** undefined until it has one. */
  readonly ip: string | undefined;
  readonly node: string | undefined;
  /** Running, and its condition `Ready` is true. */
  readonly isReady: boolean;
  /** It is being deleted, or all its containers have ended. */
  readonly isEnding: boolean;
  /** Names of its containers' ports, by number. */
  readonly portNames: ReadonlyMap<number, string>;
}

/** Servers written in Go may write what is empty as null. */
const strings = z.record(z.string(), z.string()).nullish();
const containers = z
  .array(
    z.looseObject({
      ports: z.array(z.looseObject({ name: z.string().optional(), containerPort: z.number() })).nullish(),
    }),
  )
  .nullish();
const schema = z.looseObject({
  metadata: z.looseObject({
    uid: z.string(),
    name: z.string(),
    namespace: z.string().default("default"),
    labels: strings,
    annotations: strings,
    deletionTimestamp: z.string().optional(),
  }),
  spec: z
    .looseObject({
      nodeName: z.string().optional(),
      containers,
      // An engine, or what stands before it, may be a sidecar, which is an init container that goes on running.
      initContainers: containers,
    })
    .prefault({}),
  status: z
    .looseObject({
      phase: z.string().default("Pending"),
      podIP: z.string().optional(),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish(),
    })
    .prefault({}),
});

/** Reads a pod (Kubernetes API, core/v1 Pod); undefined where the object is none. */
export function readPod(object: unknown): Pod | undefined {
  const parsed = schema.safeParse(object);
  if (!parsed.success) return undefined;
  const { metadata, spec, status } = parsed.data;
  const all = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const ports = all.flatMap((container) => container.ports ?? []);
  const isReady = (status.conditions ?? []).some(({ type, status: state }) => type === "Ready" && state === "True");
  return {
    uid: metadata.uid,
    name: metadata.name,
    namespace: metadata.namespace,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    ip: status.podIP === "" ? undefined : status.podIP,
    node: spec.nodeName,
    isReady: isReady && status.phase === "Running",
    isEnding: metadata.deletionTimestamp !== undefined || status.phase === "Succeeded" || status.phase === "Failed",
    portNames: new Map(ports.flatMap(({ name, containerPort }) => (name === undefined ? [] : [[containerPort, name]]))),
  };
}
