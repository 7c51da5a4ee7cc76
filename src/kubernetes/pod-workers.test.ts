import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { POD_RULES } from "../../test/kubernetes/pod-rules.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import type { Pod } from "./pod.ts";
import { type PodRules, workersOfPod } from "./pod-workers.ts";

function podWith(parts: Partial<Pod> = {}): Pod {
  return {
    uid: "u1",
    name: "vllm-0",
    namespace: "models",
    labels: {},
    annotations: {},
    ip: "10.0.0.7",
    node: "gpu1",
    isReady: true,
    isEnding: false,
    portNames: new Map(),
    ...parts,
  };
}

/** What is wanted of each worker of the pod; why it has none. */
function outcome(parts: Partial<Pod>, rules: Partial<PodRules> = {}, role?: "prefill" | "decode"): unknown {
  const found = workersOfPod(podWith(parts), role, { ...POD_RULES, ...rules });
  if ("none" in found) return found.none;
  return found.workers.map(({ url, workerType, bootstrapPort, modelId, isCordoned, labels }) => ({
    url,
    workerType,
    ...(bootstrapPort === undefined ? {} : { bootstrapPort }),
    ...(modelId === undefined ? {} : { modelId }),
    ...(isCordoned ? { isCordoned } : {}),
    ...(labels["kv_connector"] === undefined ? {} : { connector: labels["kv_connector"] }),
  }));
}
const REGULAR = { url: "http://10.0.0.7:8000", workerType: "regular" };

describe("a pod that is chosen", () => {
  test("is a worker at its address and the usual port, and says which pod it is", () => {
    expect(outcome({})).toEqual([REGULAR]);
    const found = workersOfPod(podWith(), undefined, POD_RULES);
    expect("workers" in found && found.workers[0]?.labels).toEqual({
      pod_name: "vllm-0",
      pod_namespace: "models",
      pod_uid: "u1",
      node_name: "gpu1",
    });
  });

  test("has brackets around an IPv6 address", () => {
    expect(outcome({ ip: "fd00::7" })).toEqual([{ ...REGULAR, url: "http://[fd00::7]:8000" }]);
  });

  test("comes to workers or to a reason, whatever a server says of it", () => {
    const ports = fc.array(fc.integer({ min: -1, max: 70_000 }), { minLength: 1, maxLength: 3 });
    const ip = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.constantFrom("fe80::1%eth0", "a/b", "u@h", "[::1]"));
    const annotations = fc.dictionary(
      fc.constantFrom("smg.ai/worker-ports", "llm-d.ai/active-ports", "sglang.ai/bootstrap-port"),
      fc.oneof(fc.string(), ports.map(String)),
    );
    fc.assert(
      fc.property(ip, ports, annotations, (address, numbers, notes) => {
        const found = workersOfPod(podWith({ ip: address, annotations: notes }), "prefill", {
          ...POD_RULES,
          ports: numbers,
        });
        if ("none" in found) return found.none.length > 0;
        return found.workers.every(({ url }) => parseWorkerUrl(url).ok);
      }),
    );
    expect(outcome({ ip: "a/b" })).toBe("its address a/b and port 8000 make no URL");
    expect(outcome({}, { ports: [8000, 70_000] })).toBe("its address 10.0.0.7 and port 70000 make no URL");
  });

  test("is cordoned while it is not ready", () => {
    expect(outcome({ isReady: false })).toEqual([{ ...REGULAR, isCordoned: true }]);
  });

  test("speaks gRPC where its port's name or its pool says so", () => {
    const grpc = [{ ...REGULAR, url: "grpc://10.0.0.7:8000" }];
    expect(outcome({ portNames: new Map([[8000, "grpc"]]) })).toEqual(grpc);
    expect(outcome({ portNames: new Map([[8000, "grpc-vllm"]]) })).toEqual(grpc);
    expect(outcome({ portNames: new Map([[8000, "grpcweb"]]) })).toEqual([REGULAR]);
    expect(outcome({}, { scheme: "grpc" })).toEqual(grpc);
  });

  test("has no worker before it has an address, when it ends, and where it is no leader", () => {
    expect(outcome({ ip: undefined })).toBe("it has no address yet");
    expect(outcome({ isEnding: true })).toBe("it is ending");
    const lws = "leaderworkerset.sigs.k8s.io/worker-index";
    expect(outcome({ labels: { [lws]: "1" } })).toBe("it is not the leader of its group (LeaderWorkerSet)");
    expect(outcome({ labels: { [lws]: "0" } })).toEqual([REGULAR]);
    const kserve = { "app.kubernetes.io/component": "llminferenceservice-workload-worker" };
    expect(outcome({ labels: kserve })).toBe("it is not the leader of its group (KServe)");
  });
});

describe("the ports of a pod", () => {
  const urls = (annotations: Record<string, string>, ports = [8000]): unknown => {
    const found = workersOfPod(podWith({ annotations }), undefined, { ...POD_RULES, ports });
    return "none" in found ? found.none : found.workers.map(({ url }) => url.slice("http://10.0.0.7:".length));
  };

  test("are those that it names, each once", () => {
    expect(urls({ "smg.ai/worker-ports": "8001, 8002,8001" })).toEqual(["8001", "8002"]);
  });

  test("are those of its pool that are live", () => {
    expect(urls({}, [8000, 8001])).toEqual(["8000", "8001"]);
    expect(urls({ "llm-d.ai/active-ports": "8001,9999" }, [8000, 8001])).toEqual(["8001"]);
    expect(urls({ "llm-d.ai/active-ports": "9999" }, [8000])).toContain("names none of the pool's ports");
  });

  test("are none where what it names is no list of ports", () => {
    for (const text of ["", "eight", "0", "70000", "8000;8001"]) {
      expect(urls({ "smg.ai/worker-ports": text })).toContain("is no list of ports");
    }
  });
});

describe("prefill and decode", () => {
  const prefill = { url: "http://10.0.0.7:8000", workerType: "prefill" };

  test("are what the selector says, else what llm-d's label says", () => {
    expect(outcome({}, { isPd: true }, "prefill")).toEqual([prefill]);
    const label = (role: string): Partial<Pod> => ({ labels: { "llm-d.ai/role": role } });
    expect(outcome(label("prefill"), { isPd: true })).toEqual([prefill]);
    for (const role of ["decode", "both", "prefill-decode"]) {
      expect(outcome(label(role), { isPd: true })).toEqual([{ ...prefill, workerType: "decode" }]);
    }
    expect(outcome(label("prefill"))).toEqual([REGULAR]);
  });

  test("have the bootstrap port that the prefill pod names: one for all engines, or one for each", () => {
    const two = { "smg.ai/worker-ports": "1,2" };
    const ports = (text: string): unknown =>
      outcome({ annotations: { ...two, "sglang.ai/bootstrap-port": text } }, { isPd: true }, "prefill");
    expect(ports("9000")).toMatchObject([{ bootstrapPort: 9000 }, { bootstrapPort: 9000 }]);
    expect(ports("9000,9001")).toMatchObject([{ bootstrapPort: 9000 }, { bootstrapPort: 9001 }]);
    expect(ports("1,2,3")).toBe("its annotation sglang.ai/bootstrap-port has 3 ports for 2 engines");
  });

  test("have the connector that an annotation names", () => {
    const annotations = { "example/connector": "NixlConnector" };
    expect(outcome({ annotations }, { kvConnectorAnnotation: "example/connector" })).toEqual([
      { ...REGULAR, connector: "NixlConnector" },
    ]);
  });
});

test("the model is named by the namespace, a label or an annotation, or not at all", () => {
  const pod = { labels: { model: "a" }, annotations: { model: "b" } };
  const model = (modelIdFrom: PodRules["modelIdFrom"]): unknown => outcome(pod, { modelIdFrom });
  expect(model({ kind: "namespace" })).toEqual([{ ...REGULAR, modelId: "models" }]);
  expect(model({ kind: "label", key: "model" })).toEqual([{ ...REGULAR, modelId: "a" }]);
  expect(model({ kind: "annotation", key: "model" })).toEqual([{ ...REGULAR, modelId: "b" }]);
  expect(model({ kind: "label", key: "other" })).toEqual([REGULAR]);
});
