import { expect, test } from "bun:test";
import { MetricFamily } from "./metric-family.ts";
import type { MetricRow } from "./metrics-table.ts";

const COUNTER: MetricRow = { name: "asked_total", kind: "counter", help: "", labels: ["model", "worker"] };
const SECONDS: MetricRow = { name: "took_seconds", kind: "histogram", help: "", labels: ["model"], buckets: [0.5, 2] };
const LATEST: MetricRow = { name: "late_seconds", kind: "gauge", help: "", labels: [], over: "max" };

test("each set of labels is counted by itself, whatever the order in which they are given", () => {
  const family = new MetricFamily(COUNTER);
  family.increment({ model: "m", worker: "a" }, 1);
  family.increment({ worker: "a", model: "m" }, 2);
  family.increment({ model: "m", worker: "b" }, 1);
  expect(family.snapshot()).toEqual([
    { labels: ["m", "a"], value: 3, buckets: [] },
    { labels: ["m", "b"], value: 1, buckets: [] },
  ]);
});

test("series that the row names are there before anything is counted, and are counted in", () => {
  const family = new MetricFamily({ ...COUNTER, labels: ["via"], from: [["signal"], ["api"]] });
  family.increment({ via: "api" }, 1);
  family.merge({ labels: ["signal"], value: 2, buckets: [] });
  expect(family.snapshot().map(({ labels, value }) => [...labels, value])).toEqual([
    ["signal", 2],
    ["api", 1],
  ]);
});

test("labels that are the same when put behind each other are told apart", () => {
  const family = new MetricFamily(COUNTER);
  family.increment({ model: "ab", worker: "c" }, 1);
  family.increment({ model: "a", worker: "bc" }, 1);
  expect(family.snapshot()).toHaveLength(2);
});

test("an observation counts at the first bound that it does not exceed", () => {
  const family = new MetricFamily(SECONDS);
  for (const value of [0.5, 0.6, 2, 3]) family.observe({ model: "m" }, value);
  expect(family.snapshot()).toEqual([{ labels: ["m"], value: 6.1, buckets: [1, 2, 1] }]);
});

test("a metric without labels is 0 from the beginning, and again when it is cleared", () => {
  const family = new MetricFamily(LATEST);
  const zero = [{ labels: [], value: 0, buckets: [] }];
  expect(family.snapshot()).toEqual(zero);
  family.gather({}, 3);
  family.clear();
  expect(family.snapshot()).toEqual(zero);
});

test("a snapshot does not change with what is counted later", () => {
  const family = new MetricFamily(SECONDS);
  family.observe({ model: "m" }, 1);
  const before = family.snapshot();
  family.observe({ model: "m" }, 1);
  expect(before).toEqual([{ labels: ["m"], value: 1, buckets: [0, 1, 0] }]);
});

test("counts, sums and buckets of several threads add up", () => {
  const family = new MetricFamily(SECONDS);
  family.merge({ labels: ["m"], value: 1, buckets: [1, 0, 2] });
  family.merge({ labels: ["m"], value: 2, buckets: [1, 1, 0] });
  family.merge({ labels: ["n"], value: 5, buckets: [0, 0, 1] });
  expect(family.snapshot()).toEqual([
    { labels: ["m"], value: 3, buckets: [2, 1, 2] },
    { labels: ["n"], value: 5, buckets: [0, 0, 1] },
  ]);
});

test("where the row says max, several threads come to the largest value", () => {
  const family = new MetricFamily(LATEST);
  for (const value of [0.2, 0.7, 0.1]) family.merge({ labels: [], value, buckets: [] });
  expect(family.snapshot()[0]?.value).toBe(0.7);
});

test("removing a value of a label takes its series and no other", () => {
  const family = new MetricFamily(COUNTER);
  family.increment({ model: "a", worker: "b" }, 1);
  family.increment({ model: "b", worker: "a" }, 1);
  family.remove("worker", "a");
  family.remove("status", "a");
  expect(family.snapshot().map(({ labels }) => labels)).toEqual([["a", "b"]]);
});
