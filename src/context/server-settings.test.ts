import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { drainTimes, inferencePortSettings, serverSettings } from "./server-settings.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const withOptions = (options: Partial<Config>): Config => ({ ...defaults, ...options });
const { POSITIVE_INFINITY } = Number;

describe("ports", () => {
  test("metrics have one of their own, unless there is an admin port or none is wanted", () => {
    const metrics = (options: Partial<Config>): unknown => serverSettings(withOptions(options)).metrics;
    expect(metrics({ host: "h", prometheusPort: 9 })).toEqual({ hostname: "h", port: 9 });
    expect(metrics({ host: "h", prometheusHost: "p", prometheusPort: 9 })).toEqual({ hostname: "p", port: 9 });
    expect([metrics({ prometheusPort: 0 }), metrics({ prometheusPort: 9, adminPort: 1 })]).toEqual([
      undefined,
      undefined,
    ]);
  });

  test("the administration has one where it is asked for", () => {
    expect(serverSettings(defaults).admin).toBeUndefined();
    expect(serverSettings(withOptions({ adminHost: "a", adminPort: 7 })).admin).toEqual({ hostname: "a", port: 7 });
  });
});

describe("bounds", () => {
  test("that are 0 are none", () => {
    const none = withOptions({
      maxConcurrentRequests: 0,
      maxConcurrentRequestsPerModel: 0,
      maxConnectionsPerClient: 0,
      clientIdleTimeoutSecs: 0,
      streamKeepAliveSecs: 0,
      maxEventLoopDelayMs: 0,
      maxResidentBytes: 0,
    });
    const { gate } = serverSettings(none);
    const { listener, dataPlane, pressure } = inferencePortSettings(none);
    expect([
      gate.maxConcurrent,
      gate.maxConcurrentOf("m"),
      listener.maxPerAddress,
      listener.idleMs,
      dataPlane.keepAliveMs,
      pressure.maxLoopDelayMs,
      pressure.maxResidentBytes,
    ]).toEqual(Array.from({ length: 7 }, () => POSITIVE_INFINITY));
  });

  test("in seconds become milliseconds", () => {
    const config = withOptions({
      queueTimeoutSecs: 1,
      clientIdleTimeoutSecs: 2,
      requestTimeoutSecs: 3,
      bodyStallTimeoutSecs: 4,
      streamKeepAliveSecs: 5,
    });
    const { listener, dataPlane } = inferencePortSettings(config);
    expect([
      serverSettings(config).gate.queueTimeoutMs,
      listener.idleMs,
      dataPlane.totalMs,
      dataPlane.bodyStallMs,
      dataPlane.keepAliveMs,
    ]).toEqual([1000, 2000, 3000, 4000, 5000]);
  });

  test("of memory are nine tenths of what a container has, where nobody says otherwise", () => {
    const bytes = (options: Partial<Config>, limit?: number): number =>
      inferencePortSettings(withOptions(options), limit).pressure.maxResidentBytes;
    expect([bytes({}, 1000), bytes({ maxResidentBytes: 77 }, 1000)]).toEqual([900, 77]);
  });
});

test("a drain that SIGINT begins waits for no load balancer", () => {
  const config = withOptions({ shutdownDelaySecs: 5, shutdownGracePeriodSecs: 30 });
  expect(drainTimes(config, "SIGTERM")).toEqual({ delayMs: 5000, graceMs: 30_000 });
  expect(drainTimes(config, "SIGINT")).toEqual({ delayMs: 0, graceMs: 30_000 });
});
