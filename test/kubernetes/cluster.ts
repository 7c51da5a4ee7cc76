import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import type { RealApi } from "./real-api.ts";

/** The namespace of the engines in deploy/kubernetes/rbac.yaml. */
const MODELS = "models";
export const PODS = `/api/v1/namespaces/${MODELS}/pods`;
const RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/models";

const manifests = z.array(
  z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string(), namespace: z.string() }) }),
);

const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: "/api/v1/namespaces/pointsman/serviceaccounts",
  Role: `${RBAC}/roles`,
  RoleBinding: `${RBAC}/rolebindings`,
};

/** Gives the gateway the rights of the file that users apply, and only those kinds. */
export async function applyRights(api: RealApi, kinds: readonly string[]): Promise<void> {
  const text = readFileSync(join(import.meta.dir, "../../deploy/kubernetes/rbac.yaml"), "utf8");
  for (const manifest of manifests.parse(parseAllDocuments(text).map((document) => document.toJS()))) {
    if (kinds.includes(manifest.kind)) await api.post(PATHS[manifest.kind] ?? manifest.kind, manifest);
  }
}

export async function revokeRights(api: RealApi): Promise<void> {
  await api.delete(`${RBAC}/rolebindings/pointsman`);
}

export interface PodState {
  readonly ip: string;
  /** The port of its engine, in its annotation; undefined: it does not say it. */
  readonly port?: number | string;
  readonly isReady?: boolean;
  /** Its label `app`. */
  readonly app?: string;
  /** Further members of its `spec`. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** Makes a pod, as a controller would. */
export async function makePod(api: RealApi, name: string, state: PodState): Promise<void> {
  const { port, app = "vllm", spec = {} } = state;
  const annotations = port === undefined ? {} : { "smg.ai/worker-ports": String(port) };
  await api.post(PODS, {
    metadata: { name, labels: { app }, annotations },
    spec: { nodeName: "node-1", containers: [{ name: "engine", image: "engine" }], ...spec },
  });
  await setPod(api, name, state);
}

/** Says how a pod is, as its kubelet would. */
export async function setPod(
  api: RealApi,
  name: string,
  { ip, isReady = true }: Pick<PodState, "ip" | "isReady">,
): Promise<void> {
  const conditions = [{ type: "Ready", status: isReady ? "True" : "False" }];
  await api.patch(`${PODS}/${name}/status`, {
    status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions },
  });
}

/** Ends a pod at once, as its kubelet does when its containers have ended. */
export function endPod(api: RealApi, name: string): Promise<void> {
  return api.delete(`${PODS}/${name}`, "?gracePeriodSeconds=0");
}

/** Resolves when it is so; it must be so within 40 s, as a failed source is asked again after up to 30 s. */
export async function soon(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = performance.now() + 40_000; performance.now() < until; await Bun.sleep(20)) {
    if (await isSo()) return;
  }
  throw new Error(`it did not come to pass within 40 s: ${isSo.toString()}`);
}

/** Does the work for each of `count` numbers, some at a time. */
export async function forEach(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}
