import { describe, expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import type { Worker, WorkerInfo } from "./worker.ts";
import { WorkerFactory } from "./worker-factory.ts";

const infoOf = (worker: Worker | undefined): WorkerInfo => {
  if (!worker) throw new Error("no such worker");
  return worker.info;
};

describe("registry", () => {
  test("finds workers by id, url and model", () => {
    const { registry, add } = setUpFleet();
    const one = add("http://one:1", { modelId: "a" });
    add("http://two:1", { modelId: "b" });
    expect(registry.get(one.id)?.url).toBe("http://one:1");
    expect(registry.getByUrl("http://two:1")?.modelId).toBe("b");
    expect(registry.getWorkersForModel("a").available.map((worker) => worker.url)).toEqual(["http://one:1"]);
    expect([registry.models(), registry.count()]).toEqual([["a", "b"], 2]);
    expect(registry.getWorkersForModel("c").workers).toEqual([]);
    expect(registry.getWorkersForModel(undefined).workers).toHaveLength(2);
  });

  test("finds the ranks of an address by it, the lowest first, and each by its name", () => {
    const { registry, ledger, add } = setUpFleet();
    const factory = new WorkerFactory({ ledger });
    const rank = (index: number): string =>
      registry.register(factory.createFromUrl("http://one:1", { modelId: "a" }, { index, of: 3 }));
    add("http://two:1", { modelId: "a" });
    const [two, none, one] = [rank(2), rank(0), rank(1)];
    expect(registry.at("http://one:1").map(({ id }) => id)).toEqual([none, one, two]);
    expect(registry.at("http://two:1").map(({ url }) => url)).toEqual(["http://two:1"]);
    expect([registry.getByUrl("http://one:1")?.id, registry.getByUrl("http://one:1@2")?.id]).toEqual([none, two]);
    expect([registry.count(), registry.getWorkersForModel("a").workers.length]).toEqual([4, 4]);
    registry.beginDrain(none);
    expect([registry.getByUrl("http://one:1")?.id, registry.getByUrl("http://one:1@0")]).toEqual([one, undefined]);
    registry.remove(none);
    registry.remove(one);
    registry.remove(two);
    expect([registry.at("http://one:1"), registry.getByUrl("http://one:1"), registry.count()]).toEqual([
      [],
      undefined,
      1,
    ]);
  });

  test("takes no worker for an address whose ranks are there, and no rank for one that has a worker", () => {
    const { registry, ledger, add } = setUpFleet();
    const factory = new WorkerFactory({ ledger });
    registry.register(factory.createFromUrl("http://one:1", {}, { index: 3, of: 4 }));
    expect(() => registry.register(factory.createFromUrl("http://one:1"))).toThrow("registered already");
    add("http://two:1");
    expect(() => registry.register(factory.createFromUrl("http://two:1", {}, { index: 0, of: 4 }))).toThrow(
      "registered already",
    );
  });

  test("gives every reader the same snapshot until something changes", () => {
    const { registry, add } = setUpFleet();
    add("http://one:1", { modelId: "a" });
    const snapshot = registry.getWorkersForModel("a");
    expect(registry.getWorkersForModel("a")).toBe(snapshot);
    add("http://elsewhere:1", { modelId: "b" });
    expect(registry.getWorkersForModel("a")).toBe(snapshot);
    add("http://two:1", { modelId: "a" });
    const next = registry.getWorkersForModel("a");
    expect([snapshot.workers.length, next.workers.length]).toEqual([1, 2]);
    expect(next.version).toBeGreaterThan(snapshot.version);
  });

  test("a worker keeps its place when something about it changes", () => {
    const { registry, add } = setUpFleet();
    const [one, two] = [add("http://one:1", { modelId: "a" }), add("http://two:1", { modelId: "a" })];
    registry.update(one.id, { breakerState: "open" });
    registry.update(one.id, { breakerState: "closed" });
    expect(registry.getWorkersForModel("a").available.map(({ id }) => id)).toEqual([one.id, two.id]);
  });

  test("workers stand in order of registration, whichever of them names its model first", () => {
    const { registry, add } = setUpFleet();
    const workers = [1, 2, 3, 4].map((count) => add(`http://worker-${count}:1`));
    const order = workers.map(({ id }) => id);
    const known = (model: string): readonly string[] => registry.getWorkersForModel(model).workers.map(({ id }) => id);
    for (const place of [2, 0, 3]) {
      registry.update(order[place] ?? "", { info: { ...infoOf(workers[place]), models: ["a"] } });
      expect(known("a")).toEqual(order);
    }
    registry.update(order[1] ?? "", { info: { ...infoOf(workers[1]), models: ["a"] } });
    expect(known("a")).toEqual(order);
    registry.update(order[0] ?? "", { info: { ...infoOf(workers[0]), models: ["b"] } });
    expect([known("a"), known("b")]).toEqual([order.slice(1), order.slice(0, 1)]);
  });

  test("a worker that does not say what it serves stands in for every model", () => {
    const { registry, add } = setUpFleet();
    add("http://any:1");
    add("http://one:1", { modelId: "a" });
    expect(registry.getWorkersForModel("a").workers).toHaveLength(2);
    expect(registry.getWorkersForModel("whatever").workers.map((worker) => worker.url)).toEqual(["http://any:1"]);
  });

  test("made-up model names take no memory of their own", () => {
    const { registry, add } = setUpFleet();
    add("http://any:1");
    const snapshot = registry.getWorkersForModel("made-up-0");
    for (let count = 1; count < 1000; count += 1)
      expect(registry.getWorkersForModel(`made-up-${count}`)).toBe(snapshot);
  });

  test("refuses a url twice, and takes it again once the first is leaving", () => {
    const { registry, add } = setUpFleet();
    const one = add("http://one:1");
    expect(() => add("http://one:1")).toThrow("already");
    registry.beginDrain(one.id);
    expect(add("http://one:1").id).not.toBe(one.id);
    expect(() => registry.beginDrain(one.id)).toThrow("no worker");
    expect(registry.remove(one.id)).toBe(true);
    expect(registry.remove(one.id)).toBe(false);
    expect(registry.getByUrl("http://one:1")).toBeDefined();
  });

  test("workers that are pending, leaving or out are known and not available", () => {
    const { registry, add } = setUpFleet();
    const pending = add("http://one:1", { modelId: "a" }, false);
    expect([
      registry.getWorkersForModel("a").workers.length,
      registry.getWorkersForModel("a").available.length,
    ]).toEqual([1, 0]);
    registry.update(pending.id, { status: "ready" });
    expect(registry.getWorkersForModel("a").available).toHaveLength(1);
    registry.update(pending.id, { status: "not_ready" });
    expect(registry.getWorkersForModel("a").available).toHaveLength(0);
    registry.beginDrain(pending.id);
    expect([registry.getWorkersForModel("a").workers.length, registry.all().length]).toEqual([0, 1]);
  });

  test("an open breaker takes a worker out, half-open puts it on probation, and the last ones stay", () => {
    const { registry, add, clock, fault } = setUpFleet();
    const one = add("http://one:1", { modelId: "a" });
    const two = add("http://two:1", { modelId: "a" });
    const urls = (): string[] => registry.getWorkersForModel("a").available.map((worker) => worker.url);
    fault(one, 4);
    expect(urls()).toEqual(["http://two:1"]);
    fault(two, 4);
    expect(urls()).toHaveLength(2);
    clock.advance(1000);
    expect(registry.getWorkersForModel("a").probation).toHaveLength(2);
  });

  test("ten thousand workers: a change and a look-up after it are quick", () => {
    const { registry, add } = setUpFleet();
    for (let count = 0; count < 10_000; count += 1) add(`http://w${count}:1`, { modelId: `m${count % 10}` });
    // The best of several runs, because other processes use the core too.
    let best = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 10; tries += 1) {
      const started = performance.now();
      const last = add("http://last:1", { modelId: "m0" });
      registry.getWorkersForModel("m0");
      registry.remove(last.id);
      registry.getWorkersForModel("m0");
      best = Math.min(best, performance.now() - started);
    }
    expect(best).toBeLessThan(20);
  });
});
