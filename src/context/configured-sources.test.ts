import { expect, test } from "bun:test";
import { workerSchema } from "../config/schema.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { SourceReport } from "../worker/sources/worker-source.ts";
import { configuredSources } from "./configured-sources.ts";

const { config } = loadConfig({
  env: { POINTSMAN_WORKER_URLS: "http://b:1 http://c:1" },
  flags: { ...NO_FLAGS, workers: ["http://d:1"] },
});
const { signal } = new AbortController();

test("each place that names workers is a source of its own, which reports them before it is waited for", () => {
  const inFile = workerSchema.parse({ url: "http://a:1", cost: 3 });
  const sources = configuredSources({ ...config, initialWorkers: [...config.initialWorkers, inFile] });
  const reported = sources.map((source) => {
    let report: SourceReport | undefined;
    void source.watch((said) => (report = said), signal);
    return [
      source.name,
      report?.state === "ready" && report.workers.map((worker) => [worker.url, worker.source, worker.cost]),
    ];
  });
  expect(reported).toEqual([
    ["file", [["http://a:1", "file", 3]]],
    [
      "environment",
      [
        ["http://b:1", "environment", 1],
        ["http://c:1", "environment", 1],
      ],
    ],
    ["command_line", [["http://d:1", "command_line", 1]]],
  ]);
});

test("a place that names none is no source", () => {
  expect(configuredSources({ ...config, initialWorkers: [] })).toEqual([]);
});
