import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { applyRights, endPod, makePod, PODS, soon } from "./cluster.ts";
import { APISERVER, RealApi } from "./real-api.ts";

const SECS = 1000;
const title =
  APISERVER === undefined
    ? "InferencePools (skipped: POINTSMAN_KUBE_APISERVER names no API server)"
    : "InferencePools of Kubernetes' own API server";

const GROUP = "inference.networking.k8s.io";
const POOLS = `/apis/${GROUP}/v1/namespaces/models/inferencepools`;
const ROLE = "/apis/rbac.authorization.k8s.io/v1/namespaces/models/roles/pointsman";
const strings = { type: "object", additionalProperties: { type: "string" } };
const ports = {
  type: "array",
  minItems: 1,
  maxItems: 8,
  items: { type: "object", required: ["number"], properties: { number: { type: "integer" } } },
};

/** The kind, with the members that the gateway reads. */
const KIND = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: {
    name: `inferencepools.${GROUP}`,
    annotations: { "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api-inference-extension" },
  },
  spec: {
    group: GROUP,
    scope: "Namespaced",
    names: {
      kind: "InferencePool",
      listKind: "InferencePoolList",
      plural: "inferencepools",
      singular: "inferencepool",
    },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            required: ["spec"],
            properties: {
              spec: {
                type: "object",
                required: ["selector", "targetPorts"],
                properties: {
                  selector: { type: "object", required: ["matchLabels"], properties: { matchLabels: strings } },
                  targetPorts: ports,
                  appProtocol: { type: "string" },
                },
              },
            },
          },
        },
      },
    ],
  },
};

describe.skipIf(APISERVER === undefined)(title, () => {
  let api: RealApi;
  let gateway: GatewayProcess;
  beforeAll(async () => {
    api = await RealApi.start(APISERVER ?? "");
    for (const name of ["pointsman", "models"]) await api.post("/api/v1/namespaces", { metadata: { name } });
    await applyRights(api, ["ServiceAccount", "Role", "RoleBinding"]);
    const tokenFile = api.file("token", await api.tokenOf("pointsman", "pointsman"));
    const flags = ["--service-discovery", "--inference-pool", "models/pool", "--shutdown-delay-secs", "0"];
    gateway = await startProcess([...flags, "--kubeconfig", api.kubeconfig(tokenFile)]);
  }, 120 * SECS);
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
  }, 30 * SECS);

  async function shown(): Promise<{ readonly serving: string; readonly state: string; readonly reason: string }> {
    const { workers, sources } = Object(await (await fetch(`${gateway.url}/workers`)).json());
    const serving = (workers as Record<string, string>[]).filter(({ status }) => status === "ready");
    const [source] = sources as Record<string, string>[];
    return {
      serving: serving
        .map(({ url = "" }) => url)
        .toSorted()
        .join(" "),
      state: source?.["state"] ?? "",
      reason: source?.["reason"] ?? "",
    };
  }
  const serves = (...urls: string[]): Promise<void> =>
    soon(async () => (await shown()).serving === urls.toSorted().join(" "));
  const says = (text: string): Promise<void> => soon(async () => (await shown()).reason.includes(text));
  const isReady = (): Promise<void> => soon(async () => (await shown()).state === "ready");
  const poolOf = (app: string, ...urls: string[]): object => ({
    apiVersion: `${GROUP}/v1`,
    kind: "InferencePool",
    metadata: { name: "pool" },
    spec: {
      selector: { matchLabels: { app } },
      targetPorts: urls.map((url) => ({ number: Number(new URL(url).port) })),
    },
  });

  test(
    "are followed from the time that the cluster knows them: created, changed, deleted and created again",
    async () => {
      await using one = await startEngine({ model: "m" });
      await using two = await startEngine({ model: "m" });
      await using three = await startEngine({ model: "m" });
      await says("its CustomResourceDefinition is not installed");
      await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", KIND);
      await says("there is no InferencePool models/pool");
      await makePod(api, "a", { ip: "127.0.0.1" });
      await makePod(api, "b", { ip: "127.0.0.1", app: "sglang", port: new URL(three.url).port });
      await api.post(POOLS, poolOf("vllm", one.url, two.url));
      // Each of its ports is a worker.
      await serves(one.url, two.url);
      await api.patch(`${POOLS}/pool`, poolOf("vllm", two.url));
      await serves(two.url);
      // A pod that is no longer chosen, and then is again.
      await api.patch(`${PODS}/a`, { metadata: { labels: { app: "resting" } } });
      await serves();
      await api.patch(`${PODS}/a`, { metadata: { labels: { app: "vllm" } } });
      await serves(two.url);
      await api.patch(`${POOLS}/pool`, poolOf("sglang", two.url));
      await serves(three.url);
      await api.delete(`${POOLS}/pool`);
      await says("there is no InferencePool models/pool");
      expect((await shown()).serving).toBe(three.url);
      await endPod(api, "b");
      await serves();
      expect((await shown()).state).toBe("away");
      await api.post(POOLS, poolOf("vllm", one.url));
      await serves(one.url);
      await isReady();
    },
    120 * SECS,
  );

  test(
    "whose right is taken let their workers stay, and the log names the right",
    async () => {
      const before = (await shown()).serving;
      await using one = await startEngine({ model: "m" });
      await api.patch(`${POOLS}/pool`, poolOf("vllm", one.url));
      await serves(one.url);
      expect(before).not.toBe(one.url);
      const { rules } = Object(await api.get(ROLE));
      // The right to see pods stays.
      await api.patch(ROLE, { rules: (rules as object[]).slice(0, 1) });
      await Bun.sleep(100);
      api.wire.break();
      await soon(() => gateway.output.includes('cannot watch resource \\"inferencepools\\" in API group'));
      expect(await shown()).toMatchObject({ serving: one.url, state: "away" });
      await api.patch(ROLE, { rules });
      await isReady();
      expect((await shown()).serving).toBe(one.url);
      expect(await gateway.metric("pointsman_worker_source_last_heard_timestamp_seconds")).toBeGreaterThan(
        Date.now() / SECS - 60,
      );
      await endPod(api, "a");
      await serves();
    },
    120 * SECS,
  );
});
