import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { type Config, configSchema } from "../config/schema.ts";
import {
  acceptedTypes,
  boardSettings,
  departureSettings,
  grpcLimits,
  healthSettings,
  modelTextSettings,
  policySettings,
  registrySettings,
  routerSettings,
  settingsComplaints,
  streamSettings,
} from "./settings.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const given = (options: Partial<Config>): Config => ({ ...defaults, ...options });

describe("times", () => {
  test("of the configuration are seconds, and those of the parts milliseconds", () => {
    const config = given({
      connectTimeoutSecs: 1,
      firstByteTimeoutSecs: 2,
      idleTimeoutSecs: 3,
      requestTimeoutSecs: 4,
      clientStallTimeoutSecs: 5,
      streamKeepAliveSecs: 6,
      drainTimeoutSecs: 7,
      healthCheckIntervalSecs: 0.5,
      healthCheckTimeoutSecs: 0.25,
      workerStartupCheckInterval: 8,
      workerStartupTimeoutSecs: 9,
      cbTimeoutDurationSecs: 10,
      cbWindowDurationSecs: 11,
      outlierEjectionSecs: 12,
      slowStartSecs: 13,
    });
    expect(routerSettings(config).timeouts).toEqual({
      connectMs: 1000,
      firstByteMs: 2000,
      idleMs: 3000,
      totalMs: 4000,
    });
    expect(streamSettings(config)).toEqual({ clientStallMs: 5000, keepAliveMs: 6000 });
    expect(departureSettings(config)).toEqual({ drainTimeoutMs: 7000, removesUnhealthy: false });
    const health = healthSettings(config);
    expect([health.defaults.intervalMs, health.defaults.timeoutMs]).toEqual([500, 250]);
    expect([health.startupIntervalMs, health.startupTimeoutMs]).toEqual([8000, 9000]);
    expect(boardSettings(config)).toMatchObject({
      breaker: { openMs: 10_000, windowMs: 11_000, ejectionMs: 12_000 },
      outliers: { windowMs: 11_000 },
      slowStartMs: 13_000,
    });
  });

  test("of 0 between signs of life mean that none is sent", () => {
    expect(streamSettings(given({ streamKeepAliveSecs: 0 })).keepAliveMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("second attempts", () => {
  const attempts: readonly [what: string, options: Partial<Config>, maxAttempts: number][] = [
    ["as long as nothing forbids them", {}, 2],
    ["however many are allowed", { retryMaxRetries: 5 }, 2],
    ["not where none is allowed", { retryMaxRetries: 0 }, 1],
    ["not where they are switched off", { disableRetries: true }, 1],
  ];
  for (const [what, options, maxAttempts] of attempts) {
    test(`there is one: ${what}`, () => {
      expect(routerSettings(given(options)).retry.maxAttempts).toBe(maxAttempts);
    });
  }

  test("wait no longer than the longest pause", () => {
    const { retry } = routerSettings(given({ retryInitialBackoffMs: 500, retryMaxBackoffMs: 200 }));
    expect(retry.backoffMs).toBe(200);
  });
});

describe("lists of models", () => {
  test("name the models whose streams another worker continues, and whose output is parsed", () => {
    const { continuesStreams, parsedOutput } = routerSettings(
      given({ continueStreams: ["llama-*"], parseOutput: ["qwen*"], toolCallParser: "none" }),
    );
    expect(["llama-3", "qwen3", "x"].map((model) => continuesStreams(model))).toEqual([true, false, false]);
    expect(["llama-3", "qwen3", "x"].map((model) => parsedOutput?.parsesOutput(model))).toEqual([false, true, false]);
    expect(parsedOutput?.toolCallParser).toBe("none");
  });

  test("that are empty parse nothing", () => {
    expect(routerSettings(given({ parseOutput: [] })).parsedOutput).toBeUndefined();
  });
});

describe("policies", () => {
  test("have the options of the configuration, unless a pattern gives its own", () => {
    const { modelPolicies } = configSchema.parse({
      modelPolicies: { patterns: [{ match: "llama-*", policy: "cache_aware", config: { cacheThreshold: 0.7 } }] },
    });
    const settings = policySettings(given({ modelPolicies, cacheThreshold: 0.4, prefillPolicy: "random" }));
    expect(settings.options["cache_aware"]).toMatchObject({ cacheThreshold: 0.4 });
    expect(settings.patterns).toEqual([
      { match: "llama-*", policy: { policy: "cache_aware", config: { cacheThreshold: 0.7 } } },
    ]);
    expect(settings.roleDefaults).toEqual({ prefill: { policy: "random", config: {} } });
  });
});

describe("which workers are taken", () => {
  const taken = (options: Partial<Config>): string =>
    (["regular", "prefill", "decode"] as const)
      .filter((type) => acceptedTypes(given(options))(type) === undefined)
      .join(" ");

  test("depends on whether prefill and decode are apart", () => {
    expect([
      taken({}),
      taken({ pdDisaggregation: true }),
      taken({ enableIgw: true }),
      taken({ enableIgw: true, pdDisaggregation: true }),
    ]).toEqual(["regular", "prefill decode", "regular prefill decode", "regular prefill decode"]);
  });

  test("and one that lists no model serves any only where there is one model", () => {
    expect([registrySettings(given({})), registrySettings(given({ enableIgw: true }))]).toEqual([
      { maxEjectedShare: 0.5, unlistedServeAny: true },
      { maxEjectedShare: 0.5, unlistedServeAny: false },
    ]);
  });
});

test("a message over gRPC may be as large as a body, and is never bounded more closely than by default", () => {
  const standard = grpcLimits(given({ maxPayloadSize: 1024 })).maxMessageBytes;
  expect(grpcLimits(given({ maxPayloadSize: standard * 2 })).maxMessageBytes).toBe(standard * 2);
});

describe("names and files that are not there", () => {
  test("are all told before anything starts", () => {
    const config = given({ toolCallParser: "nope", reasoningParser: "none", chatTemplate: "/no/such/file" });
    expect(settingsComplaints(config).map(({ path, text }) => `${String(path[0])}: ${text}`)).toEqual([
      'toolCallParser: there is no parser "nope"; docs/parsers.md has them',
      "chatTemplate: there is no file /no/such/file",
    ]);
    expect(settingsComplaints(defaults)).toEqual([]);
  });

  test("refuse the start where nobody has looked before", () => {
    expect(() => modelTextSettings(given({ chatTemplate: "/no/such/file" }))).toThrow("cannot be read");
    expect(() => modelTextSettings(given({ reasoningParser: "nope" }))).toThrow(
      'reasoning_parser: there is no parser "nope"',
    );
  });
});
