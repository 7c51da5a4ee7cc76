import { expect, test } from "bun:test";
import { parse } from "yaml";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { Secret } from "../util/secret.ts";
import { configPage } from "./check.ts";

const { config: defaults } = loadConfig({ env: {}, flags: { ...NO_FLAGS, workers: ["http://one:1"] } });

test("the page has the file's keys, options that are set, and no secret", () => {
  const apiKeys = [
    { name: "team", key: new Secret("hidden-too"), priority: "normal" as const, roles: ["client" as const] },
  ];
  const page = configPage({ ...defaults, apiKey: new Secret("hidden"), apiKeys, adminPort: undefined });
  expect(page).not.toContain("hidden");
  expect(parse(page)).toMatchObject({
    host: "127.0.0.1",
    request_timeout_secs: defaults.requestTimeoutSecs,
    api_key: "[redacted]",
    api_keys: [{ name: "team", key: "[redacted]", priority: "normal" }],
    initial_workers: [{ url: "http://one:1" }],
  });
  expect(Object.keys(parse(page) as object)).not.toContain("admin_port");
});

test("labels of a worker are the operator's words and stay as they are", () => {
  const [worker] = defaults.initialWorkers;
  if (!worker) throw new Error("no worker");
  const page = configPage({ ...defaults, initialWorkers: [{ ...worker, labels: { rackName: "a", gpuType: "b" } }] });
  expect(parse(page)).toMatchObject({ initial_workers: [{ labels: { rackName: "a", gpuType: "b" } }] });
});
