import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readPod } from "./pod.ts";

const POD = {
  metadata: { uid: "u1", name: "vllm-0", namespace: "models", labels: { app: "vllm" }, resourceVersion: "7" },
  spec: { nodeName: "gpu1", containers: [{ name: "vllm", ports: [{ name: "grpc", containerPort: 50051 }] }] },
  status: { phase: "Running", podIP: "10.0.0.7", conditions: [{ type: "Ready", status: "True" }] },
};

describe("a pod", () => {
  test("is read with what a worker needs of it", () => {
    expect(readPod(POD)).toEqual({
      uid: "u1",
      name: "vllm-0",
      namespace: "models",
      labels: { app: "vllm" },
      annotations: {},
      ip: "10.0.0.7",
      node: "gpu1",
      isReady: true,
      isEnding: false,
      portNames: new Map([[50051, "grpc"]]),
    });
  });

  test("that was just made has neither address nor node", () => {
    const pod = readPod({ metadata: POD.metadata });
    expect(pod).toMatchObject({ ip: undefined, node: undefined, isReady: false, isEnding: false });
  });

  test("is ready only while it runs", () => {
    expect(readPod({ ...POD, status: { ...POD.status, phase: "Pending" } })?.isReady).toBe(false);
    const conditions = [{ type: "Ready", status: "False" }];
    expect(readPod({ ...POD, status: { ...POD.status, conditions } })?.isReady).toBe(false);
  });

  test("ends when it is deleted or its containers have ended", () => {
    const deleted = { ...POD, metadata: { ...POD.metadata, deletionTimestamp: "2026-11-26T00:00:00Z" } };
    expect(readPod(deleted)?.isEnding).toBe(true);
    for (const phase of ["Succeeded", "Failed"]) {
      expect(readPod({ ...POD, status: { ...POD.status, phase } })?.isEnding).toBe(true);
    }
  });

  test("may have null for what is empty, and its engine in a sidecar", () => {
    const metadata = { ...POD.metadata, labels: null, annotations: null };
    const bare = { metadata, spec: { containers: null }, status: { conditions: null } };
    expect(readPod(bare)).toMatchObject({ labels: {}, annotations: {}, portNames: new Map(), isReady: false });
    const initContainers = [{ name: "proxy", ports: [{ name: "grpc-proxy", containerPort: 8000 }] }, { ports: null }];
    expect(readPod({ ...POD, spec: { ...POD.spec, initContainers } })?.portNames).toEqual(
      new Map([
        [8000, "grpc-proxy"],
        [50051, "grpc"],
      ]),
    );
  });

  test("is nothing where the object is something else", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => readPod(value) === undefined));
  });
});
