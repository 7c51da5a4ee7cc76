import { describe, expect, test } from "bun:test";
import { TEST_CA, TEST_PAIRS, type TestPair } from "../../test/support/tls.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { Metrics } from "../observability/metrics.ts";
import { Certificates } from "./certificates.ts";
import { LiveConfig } from "../reload/live-config.ts";
import type { GatewayTls } from "./tls-files.ts";

const { first, second, expired } = TEST_PAIRS;
const TLS: Partial<Config> = { tlsCertPath: "cert.pem", tlsKeyPath: "key.pem" };

interface Setup {
  readonly files: Map<string, string>;
  readonly lines: [level: string, fields: object, message: string | undefined][];
  readonly clock: ManualClock;
  readonly metrics: Metrics;
  readonly changes: GatewayTls[];
  readonly live: LiveConfig;
  put(pair: Partial<TestPair>): void;
  open(options?: Partial<Config>): Promise<Certificates>;
}

function setUp(pair: TestPair = first): Setup {
  const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
  const files = new Map([
    ["cert.pem", pair.cert],
    ["key.pem", pair.key],
    ["ca.pem", TEST_CA],
  ]);
  const lines: Setup["lines"] = [];
  const log =
    (level: string) =>
    (fields: object, message?: string): void =>
      void lines.push([level, fields, message]);
  const clock = new ManualClock();
  const metrics = new Metrics();
  const changes: GatewayTls[] = [];
  const live = new LiveConfig({ ...defaults, ...TLS });
  return {
    live,
    files,
    lines,
    clock,
    metrics,
    changes,
    put({ cert, key }) {
      if (cert !== undefined) files.set("cert.pem", cert);
      if (key !== undefined) files.set("key.pem", key);
    },
    async open(options = TLS) {
      const certificates = await Certificates.open({
        config: options === TLS ? live.config : { ...defaults, ...options },
        live,
        clock,
        logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
        read: async (path) => {
          const text = files.get(path);
          if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
          return text;
        },
      });
      certificates.onChange((next) => changes.push(next));
      return certificates;
    },
  };
}

const reasonOf = (failing: Promise<unknown>): Promise<unknown> =>
  failing.then(
    () => undefined,
    (error: unknown) => error,
  );
const levels = (lines: Setup["lines"]): string[] => lines.map(([level, , message]) => `${level}: ${message}`);

describe("certificates", () => {
  test("without TLS read nothing and set no timer", async () => {
    const { clock, open, lines } = setUp();
    using certificates = await open({});
    expect([certificates.current.main, clock.pending, lines]).toEqual([undefined, 0, []]);
  });

  test("are the main port's and the admin port's, and the metrics port's where it is asked for", async () => {
    const { open } = setUp();
    using certificates = await open();
    expect(certificates.current.main?.pair).toEqual({ cert: first.cert, key: first.key });
    expect([certificates.current.admin?.pair.cert, certificates.current.metrics]).toEqual([first.cert, undefined]);
    using others = await open({ ...TLS, adminTls: false, prometheusTls: true, prometheusTlsClientCaPath: "ca.pem" });
    expect([others.current.admin, others.current.metrics?.clientCa]).toEqual([undefined, TEST_CA]);
  });

  test("that cannot be used end the start", async () => {
    const { open, put, files } = setUp();
    put({ key: second.key });
    expect(await reasonOf(open())).toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining("another certificate"),
    });
    files.delete("key.pem");
    expect(await reasonOf(open())).toMatchObject({ message: "the file key.pem cannot be read (ENOENT)" });
  });

  test("that have expired do not end the start, and the log says what clients will do", async () => {
    const { open, lines } = setUp(expired);
    using certificates = await open();
    expect(certificates.current.main?.pair.cert).toBe(expired.cert);
    expect(levels(lines)[0]).toMatch(/^error: cert.pem: the certificate has expired at .*; clients will refuse it$/);
  });

  test("that change are told once, within some seconds", async () => {
    const { open, put, clock, changes } = setUp();
    using certificates = await open();
    put(second);
    clock.advance(5000);
    await certificates.look();
    expect(changes.map(({ main }) => main?.pair.cert)).toEqual([second.cert]);
    await certificates.look();
    expect([changes.length, certificates.current.main?.pair.cert]).toEqual([1, second.cert]);
  });

  test("of which only one file has been written yet change nothing, and nothing is said of them", async () => {
    const { open, put, changes, lines } = setUp();
    using certificates = await open();
    put({ cert: second.cert });
    await certificates.look();
    put({ key: second.key });
    await certificates.look();
    expect(changes).toHaveLength(1);
    expect(levels(lines)).toEqual(["info: certificates read", "info: certificates changed"]);
  });

  const useless: readonly [string, Partial<TestPair>, RegExp][] = [
    ["that do not match", { cert: second.cert }, /belongs to another certificate/],
    ["that have expired", expired, /has expired/],
    ["that are none", { cert: "" }, /there is no certificate/],
  ];
  for (const [what, pair, reason] of useless) {
    test(`${what} change nothing, and the log says why, once`, async () => {
      const { open, put, changes, lines } = setUp();
      using certificates = await open();
      put(pair);
      for (let count = 0; count < 5; count += 1) await certificates.look();
      expect([changes, certificates.current.main?.pair.cert]).toEqual([[], first.cert]);
      expect(levels(lines).slice(1)).toEqual([
        "error: changed certificates are not used; the earlier ones stay in force",
      ]);
      expect(JSON.stringify(lines[1]?.[1])).toMatch(reason);
    });
  }

  test("that were wrong for a while and are the earlier ones again change nothing", async () => {
    const { open, put, files, changes } = setUp();
    using certificates = await open();
    files.delete("cert.pem");
    await certificates.look();
    put(first);
    await certificates.look();
    expect(changes).toEqual([]);
  });

  test("show the time until they expire", async () => {
    const { open, metrics } = setUp();
    using certificates = await open();
    certificates.expose(metrics);
    const line = metrics
      .expose()
      .split("\n")
      .find((text) => text.startsWith("pointsman_certificate_expiry_seconds{"));
    expect(line).toStartWith('pointsman_certificate_expiry_seconds{use="server",path="cert.pem"} ');
    expect(Number(line?.split(" ").at(-1)) / 86_400 / 365).toBeGreaterThan(90);
  });

  test("are not read any more once they are closed", async () => {
    const { open, put, clock, changes } = setUp();
    const certificates = await open();
    certificates[Symbol.dispose]();
    put(second);
    await certificates.look();
    expect([changes, clock.pending]).toEqual([[], 0]);
  });

  test("of another configuration are taken with it, and come back with the one before", async () => {
    const { open, files, live, changes } = setUp();
    using certificates = await open();
    files.set("next.pem", second.cert);
    files.set("next.key", second.key);
    const before = live.config;
    const next = { ...before, tlsCertPath: "next.pem", tlsKeyPath: "next.key" };
    await live.check(next);
    expect(certificates.current.main?.pair.cert).toBe(first.cert);
    await live.apply(next);
    expect(certificates.current.main?.pair.cert).toBe(second.cert);
    await live.check(before);
    await live.apply(before);
    expect(changes.map(({ main }) => main?.pair.cert)).toEqual([second.cert, first.cert]);
  });

  test("of another configuration that cannot be used refuse it", async () => {
    const { open, live, put, changes } = setUp();
    using _ = await open();
    expect(await reasonOf(live.check({ ...live.config, tlsKeyPath: "nowhere.pem" }))).toMatchObject({
      message: "the file nowhere.pem cannot be read (ENOENT)",
    });
    expect(await reasonOf(live.check({ ...live.config, tlsCertPath: undefined, tlsKeyPath: undefined }))).toMatchObject(
      { message: "a port begins or ceases to speak TLS only with a restart" },
    );
    put(expired);
    expect(await reasonOf(live.check({ ...live.config, tlsMinVersion: "1.3" }))).toMatchObject({
      message: expect.stringContaining("expired"),
    });
    expect(changes).toEqual([]);
  });

  test("that are wrong by now do not keep other options from changing", async () => {
    const { open, live, put } = setUp();
    using certificates = await open();
    put(expired);
    const next = { ...live.config, queueSize: 7 };
    await live.check(next);
    await live.apply(next);
    expect(certificates.current.main?.pair.cert).toBe(first.cert);
  });
});
