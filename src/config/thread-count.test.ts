import { expect, test } from "bun:test";
import { loadConfig } from "./load.ts";
import { threadCount } from "./thread-count.ts";

test("0 threads asks for one for each core, at most eight; any other number is taken as it is", () => {
  expect([1, 4, 64].map((cores) => threadCount(0, cores))).toEqual([1, 4, 8]);
  expect([1, 2, 64].map((asked) => threadCount(asked, 4))).toEqual([1, 2, 64]);
});

test("a configuration that is loaded never has 0 threads", () => {
  const { config } = loadConfig({ env: {}, flags: { values: new Map([["threads", "0"]]), workers: [] } });
  expect(config.threads).toBeGreaterThan(0);
});
