import { expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "./load.ts";
import { plainConfig } from "./plain-config.ts";
import { type Config, configSchema } from "./schema.ts";

test("another thread reads the same options, keys included, and no workers", () => {
  const { config } = loadConfig({
    env: { POINTSMAN_API_KEY: "hush", POINTSMAN_WORKER_URLS: "http://a:1" },
    flags: { ...NO_FLAGS, workers: ["http://b:1"] },
  });
  expect(config.initialWorkers).toHaveLength(2);
  const read: Config = configSchema.parse(plainConfig(config));
  expect(read.apiKey?.reveal()).toBe("hush");
  expect(read.initialWorkers).toEqual([]);
  expect({ ...read, apiKey: undefined }).toEqual({ ...config, apiKey: undefined, initialWorkers: [] });
});
