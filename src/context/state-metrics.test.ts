import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { Metrics, type MetricsSnapshot } from "../observability/metrics.ts";
import { exposeState } from "./state-metrics.ts";

type Rows = Record<string, number | undefined>;

/** The values of a metric, by its labels' values. */
function valuesOf(snapshot: MetricsSnapshot, name: keyof MetricsSnapshot): Rows {
  return Object.fromEntries(
    (snapshot[name] ?? []).map((series) => [
      Object.values(series.labels).join(" "),
      "value" in series ? series.value : undefined,
    ]),
  );
}

test("the gauges say how the workers stand now, whatever was before", () => {
  const { registry, ledger, add } = setUpFleet();
  const metrics = new Metrics();
  exposeState({ metrics, workerRegistry: registry, outcomes: { panicking: ["m"] } });
  const well = add("http://well:1", { modelId: "m" });
  const out = add("http://out:1", { modelId: "m" });
  add("http://new:1", {}, false);
  using _lease = ledger.charge(well.slot, 5);
  registry.update(out.id, { breakerState: "open", trouble: { reason: "faults", mayProve: false, since: 0 } });
  const now = metrics.snapshot();
  expect(valuesOf(now, "workers")).toEqual({ pending: 1, ready: 2, not_ready: 0, failed: 0, draining: 0 });
  expect(valuesOf(now, "workerUp")).toEqual({ "http://well:1": 1, "http://out:1": 0, "http://new:1": 0 });
  expect(valuesOf(now, "workersOut")).toEqual({ "http://out:1 faults": 1 });
  expect(valuesOf(now, "breakerState")).toEqual({ "http://well:1": 0, "http://out:1": 2, "http://new:1": 0 });
  expect(valuesOf(now, "inFlight")).toMatchObject({ "m http://well:1": 1, "m http://out:1": 0 });
  expect(valuesOf(now, "panic")).toEqual({ m: 1 });
  registry.update(out.id, { breakerState: "closed", trouble: undefined });
  expect(valuesOf(metrics.snapshot(), "workersOut")).toEqual({});
  expect(valuesOf(metrics.snapshot(), "workerUp")["http://out:1"]).toBe(1);
});

test("a worker that has left leaves no series behind, until nobody listens any more", () => {
  const { registry, add } = setUpFleet();
  const metrics = new Metrics();
  const stop = exposeState({ metrics, workerRegistry: registry, outcomes: { panicking: [] } });
  const [one, two] = [add("http://one:1"), add("http://two:1")];
  metrics.snapshot();
  const { version } = metrics;
  registry.remove(one.id);
  expect([metrics.version, valuesOf(metrics.snapshot(), "workerUp")]).toEqual([version + 1, { "http://two:1": 1 }]);
  stop();
  registry.remove(two.id);
  expect(metrics.version).toBe(version + 1);
});
