import { expect, test } from "bun:test";
import { workerSchema } from "./schema.ts";
import { specOf } from "./worker-config.ts";

test("a worker of the configuration is a spec of its source, in milliseconds", () => {
  const worker = workerSchema.parse({
    url: "GRPC://A:1/",
    modelId: "m",
    apiKey: "k",
    workerType: "prefill",
    bootstrapPort: 7,
    priority: 1,
    cost: 2,
    kvCapacityTokens: 3_000_000,
    dpSize: 8,
    health: { endpoint: "/up", checkIntervalSecs: 0.5, timeoutSecs: 2, failureThreshold: 4, disableHealthCheck: false },
  });
  const { apiKey, ...spec } = specOf(worker, "file");
  expect(apiKey?.reveal()).toBe("k");
  expect(spec).toEqual({
    url: "grpc://a:1",
    source: "file",
    modelId: "m",
    workerType: "prefill",
    bootstrapPort: 7,
    policyHint: undefined,
    labels: {},
    priority: 1,
    cost: 2,
    isCordoned: false,
    kvCapacityTokens: 3_000_000,
    health: { endpoint: "/up", intervalMs: 500, timeoutMs: 2000, failureThreshold: 4, disabled: false },
    kvEvents: undefined,
    tls: undefined,
    dpSize: 8,
  });
});

test("the policy of a worker is the one that it is given, else the one of its label, by its own name", () => {
  const policyOf = (fields: object): string | undefined =>
    specOf(workerSchema.parse({ url: "http://a:1", ...fields }), "file").policyHint;
  expect([
    policyOf({ policy: "roundrobin", labels: { policy: "random" } }),
    policyOf({ labels: { policy: "consistent_hash" } }),
    policyOf({}),
  ]).toEqual(["round_robin", "consistent_hashing", undefined]);
});
