import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
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
const withOptions = (options: Partial<Config>): Config => ({ ...defaults, ...options });

describe("routers", () => {
  test("try once where second attempts are off, in either way of saying so", () => {
    const attempts = (options: Partial<Config>): number => routerSettings(withOptions(options)).retry.maxAttempts;
    expect([attempts({}), attempts({ disableRetries: true }), attempts({ retryMaxRetries: 0 })]).toEqual([2, 1, 1]);
  });

  test("wait no longer before a second attempt than the longest pause", () => {
    const pauses = withOptions({ retryInitialBackoffMs: 500, retryMaxBackoffMs: 200 });
    expect(routerSettings(pauses).retry.backoffMs).toBe(200);
  });

  test("have their bounds in milliseconds", () => {
    const config = withOptions({
      connectTimeoutSecs: 1,
      firstByteTimeoutSecs: 2,
      idleTimeoutSecs: 3,
      requestTimeoutSecs: 4,
      streamKeepAliveSecs: 5,
      clientStallTimeoutSecs: 6,
    });
    expect(routerSettings(config).timeouts).toEqual({
      connectMs: 1000,
      firstByteMs: 2000,
      idleMs: 3000,
      totalMs: 4000,
    });
    expect(streamSettings(config)).toEqual({ keepAliveMs: 5000, clientStallMs: 6000 });
    expect(streamSettings(withOptions({ streamKeepAliveSecs: 0 })).keepAliveMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("continue streams and parse answers of the models whose name fits", () => {
    const { continuesStreams, parsedOutput } = routerSettings(
      withOptions({ continueStreams: ["a*"], parseOutput: ["b*"] }),
    );
    expect(["abc", "bcd"].map((model) => [continuesStreams(model), parsedOutput?.parsesOutput(model)])).toEqual([
      [true, false],
      [false, true],
    ]);
    expect(routerSettings(defaults).parsedOutput).toBeUndefined();
  });

  test("tell clients to come back when a worker has been looked at again, in whole seconds and at least one", () => {
    const secs = (healthCheckIntervalSecs: number): number =>
      routerSettings(withOptions({ healthCheckIntervalSecs })).capacityRetryAfterSecs;
    expect([secs(0.2), secs(7.5)]).toEqual([1, 8]);
  });

  test("take messages over gRPC that are as large as a client's request may be", () => {
    const usual = grpcLimits(withOptions({ maxPayloadSize: 1 })).maxMessageBytes;
    expect(usual).toBeGreaterThan(1);
    expect(grpcLimits(withOptions({ maxPayloadSize: usual * 2 })).maxMessageBytes).toBe(usual * 2);
  });
});

describe("what looks after the workers", () => {
  test("has its times in milliseconds and its shares as parts of one", () => {
    const config = withOptions({
      cbWindowDurationSecs: 1,
      cbTimeoutDurationSecs: 2,
      outlierEjectionSecs: 3,
      slowStartSecs: 4,
      outlierMaxEjectionPercent: 25,
      healthCheckIntervalSecs: 5,
      healthCheckTimeoutSecs: 6,
      workerStartupCheckInterval: 7,
      workerStartupTimeoutSecs: 8,
      drainTimeoutSecs: 9,
    });
    const { breaker, outliers, slowStartMs } = boardSettings(config);
    expect([breaker.windowMs, outliers.windowMs, breaker.openMs, breaker.ejectionMs, slowStartMs]).toEqual([
      1000, 1000, 2000, 3000, 4000,
    ]);
    expect([outliers.maxShare, registrySettings(config).maxEjectedShare]).toEqual([0.25, 0.25]);
    const { defaults: health, startupIntervalMs, startupTimeoutMs } = healthSettings(config);
    expect([health.intervalMs, health.timeoutMs, startupIntervalMs, startupTimeoutMs]).toEqual([
      5000, 6000, 7000, 8000,
    ]);
    expect(departureSettings(config).drainTimeoutMs).toBe(9000);
  });

  test("takes workers of the type that the gateway is for, and of every type where it is for many models", () => {
    const types = ["regular", "prefill", "decode"] as const;
    const taken = (options: Partial<Config>): boolean[] =>
      types.map((type) => acceptedTypes(withOptions(options))(type) === undefined);
    expect(taken({})).toEqual([true, false, false]);
    expect(taken({ pdDisaggregation: true })).toEqual([false, true, true]);
    expect(taken({ enableIgw: true })).toEqual([true, true, true]);
  });

  test("lets a worker that lists nothing serve any model, unless the gateway is for many", () => {
    const any = (enableIgw: boolean): boolean => registrySettings(withOptions({ enableIgw })).unlistedServeAny;
    expect([any(false), any(true)]).toEqual([true, false]);
  });
});

describe("policies", () => {
  test("of roles are those that are given, and of models those of the patterns, in their order", () => {
    const settings = policySettings(
      withOptions({
        defaultPolicy: "random",
        prefillPolicy: "round_robin",
        modelPolicies: {
          patterns: [
            { match: "a*", policy: "cache_aware", config: { cacheThreshold: 0.7, maxTreeSize: undefined } },
            { match: "*", policy: "random", config: {} },
          ],
        },
      }),
    );
    expect(settings.defaultPolicy).toEqual({ policy: "random", config: {} });
    expect(settings.roleDefaults).toEqual({ prefill: { policy: "round_robin", config: {} } });
    expect(settings.patterns).toEqual([
      { match: "a*", policy: { policy: "cache_aware", config: { cacheThreshold: 0.7 } } },
      { match: "*", policy: { policy: "random", config: {} } },
    ]);
  });

  test("have the options that the configuration gives them", () => {
    const { options } = policySettings(withOptions({ cacheThreshold: 0.9 }));
    expect(options["cache_aware"]).toMatchObject({ cacheThreshold: 0.9 });
    expect(options["round_robin"]).toEqual({});
  });
});

describe("parsers and templates that do not exist", () => {
  test("are told before anything is built, each with its option", () => {
    const complaints = settingsComplaints(
      withOptions({ toolCallParser: "nobody", reasoningParser: "none", chatTemplate: "/no/such/template" }),
    );
    expect(complaints.map(({ path, text }) => [path, text])).toEqual([
      [["toolCallParser"], 'there is no parser "nobody"; docs/parsers.md has them'],
      [["chatTemplate"], "there is no file /no/such/template"],
    ]);
    // A parser may be none, and a template is a file of whatever name.
    expect(settingsComplaints(withOptions({ chatTemplate: "none" }))).toMatchObject([
      { text: "there is no file none" },
    ]);
    expect(settingsComplaints(defaults)).toEqual([]);
  });

  test("are refused also where nobody looked before", () => {
    const refused = (options: Partial<Config>): void => {
      modelTextSettings(withOptions(options));
    };
    expect(() => refused({ reasoningParser: "nobody" })).toThrow('reasoning_parser: there is no parser "nobody"');
    expect(() => refused({ chatTemplate: "/no/such/template" })).toThrow("chat_template: the file /no/such/template");
    expect(modelTextSettings(withOptions({ toolCallParser: "none" })).toolCallParser).toBe("none");
  });
});
