import { expect, test } from "bun:test";
import { parse } from "yaml";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { Secret } from "../util/secret.ts";
import { configPage } from "./check.ts";

const loaded = loadConfig({ env: {}, flags: { ...NO_FLAGS, workers: ["http://one:1"] } });
const { config: defaults, originOf } = loaded;

test("the page has the file's keys, options that are set, and no secret", () => {
  const apiKeys = [
    { name: "team", key: new Secret("hidden-too"), priority: "normal" as const, roles: ["client" as const] },
  ];
  const page = configPage({
    config: { ...defaults, apiKey: new Secret("hidden"), apiKeys, adminPort: undefined },
    originOf,
  });
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
  const page = configPage({
    config: { ...defaults, initialWorkers: [{ ...worker, labels: { rackName: "a", gpuType: "b" } }] },
    originOf,
  });
  expect(parse(page)).toMatchObject({ initial_workers: [{ labels: { rackName: "a", gpuType: "b" } }] });
});

test("a comment says where each value is from: file, variable, flag, default", () => {
  const document = {
    name: "a.yaml",
    text: "queue_size: 7\nhost: ${HOST}\ninitial_workers:\n  - url: http://a:1\nmodel_aliases: [a=b]\n",
  };
  const page = configPage(
    loadConfig({
      document,
      env: { HOST: "10.0.0.1", POINTSMAN_PORT: "7" },
      flags: { values: new Map([["logLevel", "warn"]]), workers: ["http://b:1"] },
    }),
  );
  const lines = page.split("\n");
  const behind = (text: string): string | undefined => lines.find((line) => line.startsWith(text))?.split(" # ")[1];
  expect([
    behind("queue_size:"),
    behind("host:"),
    behind("port:"),
    behind("log_level:"),
    behind("queue_timeout_secs:"),
    behind("  - a=b"),
  ]).toEqual(["a.yaml:1:13", "a.yaml:2:7, ${HOST}", "POINTSMAN_PORT", "--log-level", "default", "a.yaml:5:17"]);
  const at = lines.findIndex((line) => line.includes("url: http://a:1"));
  expect(lines.slice(at - 1, at)).toEqual(["  # a.yaml:4:5"]);
  expect(lines[lines.findIndex((line) => line.includes("url: http://b:1")) - 1]).toBe("  # --worker");
  expect(parse(page)).toMatchObject({ host: "10.0.0.1", model_aliases: ["a=b"] });
});
