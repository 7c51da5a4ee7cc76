import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { banner, type StartFacts } from "./banner.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });

function facts(parts: Partial<StartFacts["server"]> = {}, options: Partial<Config> = {}, workers = 2): StartFacts {
  const server = { url: "http://127.0.0.1:1", adminUrl: undefined, metricsUrl: undefined, ...parts };
  return { version: "1.2.3", config: { ...defaults, defaultPolicy: "random", ...options }, server, workers };
}

describe("what is said at the start", () => {
  test("to a program is one line of JSON, as in the log", () => {
    const text = banner(facts({ metricsUrl: "http://127.0.0.1:2" }, { enableIgw: true }), false);
    expect(text.endsWith("\n")).toBe(true);
    expect(text.trim().split("\n").length).toBe(1);
    expect(JSON.parse(text)).toEqual({
      event: "listening",
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      version: "1.2.3",
      url: "http://127.0.0.1:1",
      metrics_url: "http://127.0.0.1:2",
      policy: "random",
      igw: true,
      workers: 2,
      msg: "listening",
    });
  });

  test("to a person are a few lines", () => {
    expect(banner(facts(), true).trim().split("\n")).toEqual([
      "pointsman 1.2.3",
      "  listening  http://127.0.0.1:1",
      "  metrics    http://127.0.0.1:1/metrics",
      "  workers    2",
      "  policy     random",
    ]);
  });

  test("names the port of the administration, where metrics are too, and how to add the first worker", () => {
    const text = banner(facts({ adminUrl: "http://127.0.0.1:9" }, { enableIgw: true }, 0), true);
    expect(text).toContain("  admin      http://127.0.0.1:9\n  metrics    http://127.0.0.1:9/metrics\n");
    expect(text).toContain("workers    0 (add one: POST /workers)");
    expect(text).toContain("policy     random, many models");
  });
});
