import { expect, test } from "bun:test";
import { EXPOSITION_TYPE, exposeFamily } from "./exposition.ts";
import type { MetricRow } from "./metrics-table.ts";

const COUNTER: MetricRow = { name: "asked_total", kind: "counter", help: "Requests.", labels: ["model", "status"] };
const GAUGE: MetricRow = { name: "waiting", kind: "gauge", help: "Requests that wait.", labels: [] };
const SECONDS: MetricRow = {
  name: "took_seconds",
  kind: "histogram",
  help: "Time.",
  labels: ["model"],
  buckets: [0.5, 2],
};

function counted(labels: readonly string[], value: number): string {
  return exposeFamily(COUNTER, [{ labels, value, buckets: [] }]);
}

function gauge(value: number): string | undefined {
  return exposeFamily(GAUGE, [{ labels: [], value, buckets: [] }])
    .split("\n")
    .at(-2);
}

test("a metric is its HELP, its TYPE and a line for each series, and each line ends with a line feed", () => {
  const series = [
    { labels: ["m", "200"], value: 3, buckets: [] },
    { labels: ["m", "500"], value: 1, buckets: [] },
  ];
  expect(exposeFamily(COUNTER, series)).toBe(
    '# HELP asked_total Requests.\n# TYPE asked_total counter\nasked_total{model="m",status="200"} 3\nasked_total{model="m",status="500"} 1\n',
  );
});

test("a metric that has no series yet says what it is", () => {
  expect(exposeFamily(COUNTER, [])).toBe("# HELP asked_total Requests.\n# TYPE asked_total counter\n");
});

test("a counter has the name of its row: nothing is put behind it", () => {
  expect(counted(["m", "200"], 1)).not.toContain("_total_total");
});

test("a series without labels has no braces", () => {
  expect(gauge(7)).toBe("waiting 7");
});

test("a backslash, a line feed and a quote within a label are escaped", () => {
  expect(counted(['a\\b\nc"d', "200"], 1)).toContain(String.raw`asked_total{model="a\\b\nc\"d",status="200"} 1`);
});

test("a backslash and a line feed within the help are escaped, and a quote stays", () => {
  const text = exposeFamily({ ...GAUGE, help: 'a\\b\nc"d' }, []);
  expect(text.split("\n")[0]).toBe(String.raw`# HELP waiting a\\b\nc"d`);
});

test("characters beyond ASCII stay as they are", () => {
  expect(counted(["模型", "200"], 1)).toContain('model="模型"');
});

test("numbers are written so that Go's ParseFloat reads them", () => {
  expect([0, 0.1, 1e21, 1e-7, -1].map(gauge)).toEqual([
    "waiting 0",
    "waiting 0.1",
    "waiting 1e+21",
    "waiting 1e-7",
    "waiting -1",
  ]);
  expect([Infinity, -Infinity, Number.NaN].map(gauge)).toEqual(["waiting +Inf", "waiting -Inf", "waiting NaN"]);
});

test("buckets of a histogram are cumulative and end with +Inf, which counts what _count counts", () => {
  const text = exposeFamily(SECONDS, [{ labels: ["m"], value: 12.5, buckets: [2, 0, 3] }]);
  expect(text.split("\n").slice(1, -1)).toEqual([
    "# TYPE took_seconds histogram",
    'took_seconds_bucket{le="0.5",model="m"} 2',
    'took_seconds_bucket{le="2",model="m"} 2',
    'took_seconds_bucket{le="+Inf",model="m"} 5',
    'took_seconds_sum{model="m"} 12.5',
    'took_seconds_count{model="m"} 5',
  ]);
});

test("the content type names the format and its version", () => {
  expect(EXPOSITION_TYPE).toBe("text/plain; version=0.0.4; charset=utf-8");
});
