import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import type { Worker } from "./worker.ts";

const urls = (workers: readonly Worker[]): string[] => workers.map(({ url }) => url);

test("a group has the workers of one mode, and of one type where one is given", () => {
  const { registry, add } = setUpFleet();
  add("http://one:1", { modelId: "m" });
  add("http://two:1", { modelId: "m", workerType: "prefill" });
  add("grpc://three:1", { modelId: "m" });
  const snapshot = registry.getWorkersForModel("m");
  expect(urls(snapshot.of("http").workers)).toEqual(["http://one:1", "http://two:1"]);
  expect(urls(snapshot.of("http", "prefill").workers)).toEqual(["http://two:1"]);
  expect(urls(snapshot.of("grpc", "regular").available)).toEqual(["grpc://three:1"]);
  expect(snapshot.of("grpc", "decode").workers).toEqual([]);
  expect([snapshot.kinds, snapshot.of("http").kinds]).toEqual([
    ["http", "http_pd", "grpc"],
    ["http", "http_pd"],
  ]);
});

test("a group is made once, and is what the registry gives for it", () => {
  const { registry, add } = setUpFleet();
  add("http://one:1", { modelId: "m" });
  const group = registry.getWorkersForModel("m").of("http", "regular");
  expect(registry.getWorkersForModel("m").of("http", "regular")).toBe(group);
  expect(registry.getWorkersForModel("m", "http", "regular")).toBe(group);
});

test("a snapshot keeps to its version, also in a group that is asked for after a change", () => {
  const { registry, add } = setUpFleet();
  const one = add("http://one:1", { modelId: "m" });
  const before = registry.getWorkersForModel("m");
  registry.update(one.id, { status: "not_ready" });
  expect(before.of("http").available).toHaveLength(1);
  expect(registry.getWorkersForModel("m").of("http").available).toHaveLength(0);
  expect(registry.getWorkersForModel("m").version).toBeGreaterThan(before.version);
});

test("a group panics for itself: its own workers are left out or not", () => {
  const { registry, add, fault } = setUpFleet();
  const prefill = add("http://one:1", { modelId: "m", workerType: "prefill" });
  for (const name of ["two", "three", "four"]) add(`http://${name}:1`, { modelId: "m", workerType: "decode" });
  fault(prefill, 4);
  const snapshot = registry.getWorkersForModel("m");
  expect([snapshot.isPanic, snapshot.available.length]).toEqual([false, 3]);
  expect([snapshot.of("http", "prefill").isPanic, snapshot.of("http", "decode").isPanic]).toEqual([true, false]);
});

test("only a model that a worker lists is listed", () => {
  const { registry, add } = setUpFleet();
  add("http://one:1", { modelId: "m" });
  add("http://any:1", {});
  expect(registry.getWorkersForModel("m").isListed).toBe(true);
  expect(registry.getWorkersForModel("made-up").isListed).toBe(false);
  expect(registry.getWorkersForModel(undefined).isListed).toBe(false);
  expect(registry.getWorkersForModel("m").of("http").isListed).toBe(true);
});
