import { expect, test } from "bun:test";
import { workerSchema } from "../config/schema.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { WorkerSource } from "../worker/sources/worker-source.ts";
import { ConfiguredSources } from "./configured-sources.ts";

const { config } = loadConfig({
  env: { POINTSMAN_WORKER_URLS: "http://b:1 http://c:1" },
  flags: { ...NO_FLAGS, workers: ["http://d:1"] },
});
const { signal } = new AbortController();

/** The sources that are followed, and the workers in their last reports. */
function setUp(): { readonly sources: ConfiguredSources; readonly reported: () => unknown } {
  const reports = new Map<string, unknown>();
  const sources = new ConfiguredSources({
    follow(source: WorkerSource) {
      void source.watch((said) => {
        reports.set(
          source.name,
          said.state === "ready" && said.workers.map((worker) => [worker.url, worker.source, worker.cost]),
        );
      }, signal);
      return [];
    },
  });
  return { sources, reported: () => [...reports] };
}

const inFile = workerSchema.parse({ url: "http://a:1", cost: 3 });
const OTHERS = [
  [
    "environment",
    [
      ["http://b:1", "environment", 1],
      ["http://c:1", "environment", 1],
    ],
  ],
  ["command_line", [["http://d:1", "command_line", 1]]],
];

test("each place that names workers is a source of its own, which reports them before it is waited for", () => {
  const { sources, reported } = setUp();
  sources.want({ ...config, initialWorkers: [...config.initialWorkers, inFile] });
  expect(reported()).toEqual([["file", [["http://a:1", "file", 3]]], ...OTHERS]);
});

test("a place that names none is no source", () => {
  const { sources, reported } = setUp();
  sources.want({ ...config, initialWorkers: [] });
  expect(reported()).toEqual([]);
});

test("a change of the file gives its source another set, also its first and its last one", () => {
  const { sources, reported } = setUp();
  const withFile = { ...config, initialWorkers: [...config.initialWorkers, inFile] };
  sources.want(config);
  expect(reported()).toEqual(OTHERS);
  sources.want(withFile);
  expect(reported()).toEqual([...OTHERS, ["file", [["http://a:1", "file", 3]]]]);
  sources.want(config);
  expect(reported()).toEqual([...OTHERS, ["file", []]]);
});
