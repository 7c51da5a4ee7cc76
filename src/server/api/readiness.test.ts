import { expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../../test/support/fleet.ts";
import type { WorkerSpec } from "../../worker/worker-spec.ts";
import { readinessReply } from "./readiness.ts";

type Given = readonly [url: string, spec: Partial<WorkerSpec>, engine?: string];

const prefill = { modelId: "m", workerType: "prefill" } as const;
const decode = { modelId: "m", workerType: "decode" } as const;

function fleetOf(...workers: readonly Given[]): FleetSetup {
  const fleet = setUpFleet();
  for (const [url, spec, engine] of workers) {
    const worker = fleet.add(url, spec);
    fleet.registry.update(worker.id, { info: { ...worker.info, engine } });
  }
  return fleet;
}

/** Status, code and reason of the answer. */
function readinessOf({ registry }: FleetSetup, { isDraining = false, skips = false } = {}): readonly unknown[] {
  const reply = readinessReply({
    workerRegistry: registry,
    isDraining: () => isDraining,
    skipsPrefill: (model) => skips && model === "m",
  });
  const body = JSON.parse(Buffer.from(reply.body).toString()) as Record<string, unknown>;
  return [reply.status, body["code"], body["reason"]];
}

const refused = (reason: string): readonly unknown[] => [503, "no_available_workers", reason];
const READY = [200, undefined, undefined];

test("a regular worker is enough, and a pair is", () => {
  expect(readinessOf(fleetOf(["http://a:1", { modelId: "m" }]))).toEqual(READY);
  expect(readinessOf(fleetOf(["http://p:1", prefill], ["http://d:1", decode]))).toEqual(READY);
});

test("without workers, and with none that is well, it is told which of the two", () => {
  expect(readinessOf(fleetOf())).toEqual(refused("no workers registered"));
  const fleet = setUpFleet();
  fleet.add("http://a:1", { modelId: "m" }, false);
  expect(readinessOf(fleet)).toEqual(refused("no healthy workers"));
});

test("half of a pair serves nothing", () => {
  expect(readinessOf(fleetOf(["http://p:1", prefill]))).toEqual(refused("no healthy decode workers"));
  expect(readinessOf(fleetOf(["http://d:1", decode]))).toEqual(refused("no healthy prefill workers"));
});

test("decode workers that prefill alone are enough, where that is wanted and the model's policies choose so", () => {
  const noPrefill = refused("no healthy prefill workers");
  const alone = fleetOf(["http://d:1", decode, "vllm"]);
  expect([readinessOf(alone), readinessOf(alone, { skips: true })]).toEqual([noPrefill, READY]);
  // One with the connector of another engine beside it serves no pair.
  const unfit = fleetOf(["http://p:1", prefill, "sglang"], ["http://d:1", decode, "vllm"]);
  expect(readinessOf(unfit, { skips: true })).toEqual(READY);
  expect(readinessOf(fleetOf(["http://d:1", decode, "sglang"]), { skips: true })).toEqual(noPrefill);
  expect(readinessOf(fleetOf(["http://d:1", { ...decode, modelId: "other" }, "vllm"]), { skips: true })).toEqual(
    noPrefill,
  );
  expect(readinessOf(fleetOf(["http://p:1", prefill, "vllm"]), { skips: true })).toEqual(
    refused("no healthy decode workers"),
  );
});

test("halves of different models, or spoken to differently, are no pair", () => {
  const models = fleetOf(["http://p:1", prefill], ["http://d:1", { ...decode, modelId: "other" }]);
  expect(readinessOf(models)).toEqual(refused("no healthy decode workers"));
  const modes = fleetOf(["http://p:1", prefill, "vllm"], ["grpc://d:1", decode, "vllm"]);
  expect(readinessOf(modes)).toEqual(refused("no healthy decode workers"));
});

test("a pair that does not fit serves nothing, until one comes that does", () => {
  const unfit = "no healthy prefill and decode workers that fit together";
  const fleet = fleetOf(["http://p:1", prefill, "vllm"], ["http://d:1", decode, "sglang"]);
  expect(readinessOf(fleet)).toEqual(refused(unfit));
  // Mooncake needs the engine id of a prefill worker.
  const mooncake = { kv_connector: "mooncake" };
  const nameless = fleetOf(
    ["http://p:1", { ...prefill, labels: mooncake }],
    ["http://d:1", { ...decode, labels: mooncake }],
  );
  expect(readinessOf(nameless)).toEqual(refused(unfit));
  fleet.add("http://d:2", { ...decode, labels: { kv_connector: "nixl" } });
  expect(readinessOf(fleet)).toEqual(READY);
});

test("over gRPC a pair is of one engine", () => {
  const passed = { kv_connector: "passthrough" };
  const pair = (engine: string): FleetSetup =>
    fleetOf(
      ["grpc://p:1", { ...prefill, labels: passed }, "vllm"],
      ["grpc://d:1", { ...decode, labels: passed }, engine],
    );
  expect(readinessOf(pair("vllm"))).toEqual(READY);
  expect(readinessOf(pair("sglang"))[0]).toBe(503);
});

test("one model that can be served is enough", () => {
  expect(readinessOf(fleetOf(["http://p:1", prefill], ["http://a:1", { modelId: "other" }]))).toEqual(READY);
});

test("a worker that serves any model serves those of half a pair", () => {
  expect(readinessOf(fleetOf(["http://p:1", prefill], ["http://a:1", { modelId: "*" }]))).toEqual(READY);
});

test("a gateway that shuts down says so, whoever is well", () => {
  expect(readinessOf(fleetOf(["http://a:1", { modelId: "m" }]), { isDraining: true })).toEqual([
    503,
    "server_shutting_down",
    "draining",
  ]);
});
