import { z } from "zod";
import type { LabelSelector } from "../util/label-selector.ts";

const GROUP = "inference.networking.k8s.io/v1";

/** Where an InferencePool is. */
export interface PoolName {
  readonly name: string;
  readonly namespace: string;
}

/** An InferencePool (inference.networking.k8s.io/v1): the labels of its pods, and their ports. */
export interface Pool {
  readonly selector: LabelSelector;
  readonly ports: readonly number[];
  /** Its pods speak gRPC (`appProtocol: kubernetes.io/h2c`). */
  readonly isGrpc: boolean;
}

/** Path of the collection that the pool is in. */
export function poolPath({ namespace }: PoolName): string {
  return `/apis/${GROUP}/namespaces/${namespace}/inferencepools`;
}

/** Chooses the one pool of its collection. */
export function poolQuery({ name }: PoolName): Readonly<Record<string, string>> {
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

/** Why no pool can be found where the cluster does not know the kind. */
export const NO_POOLS = `the cluster knows no InferencePool (${GROUP}): its CustomResourceDefinition is not installed`;
