import { expect, test } from "bun:test";
import { samplesOf } from "./exposition.ts";

const PAGE = `# HELP a:info What is.
# TYPE a:info gauge
a:info{size="16",text="a \\"b\\" }",none="None"} 1.0
a:info{size="32"} 2 1764100000
a:info_other{size="64"} 3
started_seconds 1.7641e+09
`;

test("samples have their labels and values, and other metrics' are not among them", () => {
  const seen = samplesOf(PAGE, "a:info").map(({ labels, value }) => [labels.get("size"), value]);
  expect(seen).toEqual([
    ["16", 1],
    ["32", 2],
  ]);
  expect(samplesOf(PAGE, "a:info")[0]?.labels.get("none")).toBe("None");
  expect(samplesOf(PAGE, "started_seconds")).toEqual([{ labels: new Map(), value: 1.7641e9 }]);
});

test("a page without the metric, or cut within it, has no sample that counts", () => {
  expect(samplesOf("", "a:info")).toEqual([]);
  expect(samplesOf("a:info", "a:info")).toEqual([]);
  expect(samplesOf('a:info{size="1', "a:info").map(({ labels }) => labels.size)).toEqual([0]);
});
