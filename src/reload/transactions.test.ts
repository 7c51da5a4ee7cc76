import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import { Metrics } from "../observability/metrics.ts";
import { type ConfigParticipant, LiveConfig } from "./live-config.ts";
import { ConfigTransactions } from "./transactions.ts";

interface Setup {
  readonly live: LiveConfig;
  readonly transactions: ConfigTransactions;
  readonly applied: Config[];
  readonly lines: readonly (readonly [level: string, fields: Record<string, unknown>, message: string])[];
  file: string;
  change(text: string, more?: object): Promise<unknown>;
  reload(): Promise<unknown>;
  metric(name: string): string | undefined;
}

function setUp(part: Partial<ConfigParticipant> = {}, file = "queue_size: 1\n"): Setup {
  const load = (document: { readonly name: string; readonly text: string }): ReturnType<typeof loadConfig> =>
    loadConfig({ document, env: {}, flags: NO_FLAGS });
  const start = load({ name: "f.yaml", text: file });
  const live = new LiveConfig(start.config);
  const applied: Config[] = [];
  live.register({
    name: "part",
    keys: [],
    ...part,
    apply(next, previous) {
      applied.push(next);
      return part.apply?.(next, previous);
    },
  });
  const lines: [level: string, fields: Record<string, unknown>, message: string][] = [];
  const log =
    (level: string) =>
    (fields: object, message = ""): void =>
      void lines.push([level, { ...fields }, message]);
  const metrics = new Metrics();
  const setup = { file };
  const transactions = new ConfigTransactions(start, {
    live,
    load,
    readFile: () => ({ name: "f.yaml", text: setup.file }),
    logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
    metrics,
    wallNow: () => 5000,
  });
  const outcome = (change: Promise<unknown>): Promise<unknown> =>
    change.catch((error: unknown) => (error instanceof GatewayError ? error.code : String(error)));
  return Object.assign(setup, {
    live,
    transactions,
    applied,
    lines,
    change: (text: string, more: object = {}) =>
      outcome(transactions.change({ document: { name: "api", text }, via: "api", by: "me", ...more })),
    reload: () => outcome(transactions.change({ document: "file", via: "signal", by: "SIGHUP" })),
    metric: (name: string) =>
      metrics
        .expose([])
        .split("\n")
        .find((line) => line.startsWith(name))
        ?.split(" ")[1],
  });
}

describe("a change", () => {
  test("is carried out, counted and told, with who asked and what differs", async () => {
    const { change, live, lines, metric, transactions } = setUp();
    expect(await change("queue_size: 2\n")).toMatchObject({
      version: 2,
      changes: [{ path: "queue_size" }],
      waiting: [],
    });
    expect(live.config.queueSize).toBe(2);
    expect(lines).toEqual([
      [
        "info",
        { by: "me", via: "api", version: 2, changes: ["~ queue_size: 1 -> 2"] },
        "the configuration has changed",
      ],
    ]);
    expect([metric("pointsman_config_version"), metric("pointsman_config_last_success_timestamp_seconds")]).toEqual([
      "2",
      "5",
    ]);
    expect(transactions.history.map(({ version, by }) => [version, by])).toEqual([
      [2, "me"],
      [1, "start"],
    ]);
  });

  test("to a text without any option is refused: a file that was cut short must not open the gateway", async () => {
    const setup = setUp();
    const { change, reload, live, transactions } = setup;
    for (const blank of ["", "\n \n", "# queue_size: 2\n", "---\n# cut"]) {
      setup.file = blank;
      expect(String(await reload())).toContain("f.yaml: there is no option in it");
      expect(String(await change(blank))).toContain("api: there is no option in it");
    }
    expect([live.config.queueSize, transactions.version, transactions.differsFromFile]).toEqual([1, 1, false]);
    expect(await change("# nothing\n{}\n")).toMatchObject({ version: 2 });
  });

  test("that changes nothing makes no version, and its text is the one in force", async () => {
    const { change, applied, transactions } = setUp();
    expect(await change("queue_size: 1 # the same\n")).toMatchObject({ version: 1, changes: [] });
    expect([applied.length, transactions.differsFromFile, transactions.history.length]).toEqual([0, true, 1]);
  });

  test("that is only tried changes nothing, is told nowhere, and names what would wait", async () => {
    const { change, applied, lines, transactions } = setUp();
    expect(await change("queue_size: 2\nthreads: 3\n", { isDryRun: true })).toMatchObject({
      version: 1,
      changes: [{ path: "queue_size" }],
      waiting: [{ path: "threads" }],
    });
    expect(await change("queue_size: many\n", { isDryRun: true })).toContain("queue_size must be");
    expect([applied.length, lines.length, transactions.version]).toEqual([0, 0, 1]);
  });

  test("of what needs a restart is refused whole, unless a part of it is wanted", async () => {
    const { change, live, transactions } = setUp();
    expect(await change("queue_size: 2\nthreads: 3\n")).toBe("config_needs_restart");
    expect([live.config.queueSize, transactions.version]).toEqual([1, 1]);
    expect(await change("queue_size: 2\nthreads: 3\n", { isPartial: true })).toMatchObject({ version: 2 });
    expect([live.config.queueSize, live.config.threads, transactions.waiting.map(({ path }) => path)]).toEqual([
      2,
      1,
      ["threads"],
    ]);
    expect(await change("queue_size: 2\nthreads: 1\n")).toMatchObject({ version: 3, waiting: [] });
    expect(transactions.waiting).toEqual([]);
  });

  test("that only puts options in wait for a restart is a version as any other, and so is one that takes them back", async () => {
    const { change, live, lines, metric, transactions } = setUp();
    const waits = { isPartial: true };
    const threads = (from: number, to: number): string =>
      `~ threads: ${from} -> ${to} (needs a restart: threads are started once)`;
    expect(await change("queue_size: 1\nthreads: 3\n", waits)).toMatchObject({ version: 2, changes: [] });
    expect(await change("queue_size: 2\n", { ifVersion: 1 })).toBe("config_version_mismatch");
    // The same once more, in other words.
    expect(await change("threads: 3\nqueue_size: 1 # as before\n", waits)).toMatchObject({ version: 2 });
    expect(await change("queue_size: 1\nthreads: 4\n", { ...waits, ifVersion: 2 })).toMatchObject({ version: 3 });
    expect(await change("queue_size: 1\n")).toMatchObject({ version: 4, changes: [], waiting: [] });
    expect(transactions.history.map(({ version, changes, waiting }) => [version, changes, waiting])).toEqual([
      [4, [threads(4, 1)], []],
      [3, [threads(3, 4)], [threads(1, 4)]],
      [2, [threads(1, 3)], [threads(1, 3)]],
      [1, [], []],
    ]);
    expect([live.config.threads, metric("pointsman_config_version")]).toEqual([1, "4"]);
    expect(lines[0]?.[1]).toEqual({ by: "me", via: "api", version: 2, changes: [threads(1, 3)] });
  });

  test("whose part does not go with what stays in force is refused", async () => {
    const { change, live } = setUp();
    const prefill = 'pd_disaggregation: true\ninitial_workers: [{ url: "http://a:1", worker_type: prefill }]\n';
    expect(await change(prefill, { isPartial: true })).toBe("invalid_request");
    expect(live.config.initialWorkers).toEqual([]);
  });

  test("is refused where the caller has seen another version, or a part of the gateway refuses", async () => {
    const { change, applied, metric } = setUp({
      check(next) {
        if (next.queueSize === 13) throw new Error("not thirteen");
      },
    });
    expect(await change("queue_size: 2\n", { ifVersion: 2 })).toBe("config_version_mismatch");
    expect(await change("queue_size: 13\n")).toBe("invalid_request");
    expect(await change("queue_size: 2\n", { ifVersion: 1 })).toMatchObject({ version: 2 });
    expect([applied.length, metric('pointsman_config_failures_total{via="api"}')]).toEqual([1, "2"]);
  });

  test("that a part cannot carry out is undone, and the log says so and which part is stuck", async () => {
    const { change, live, lines, transactions } = setUp({
      apply() {
        throw new Error("no memory");
      },
    });
    expect(await change("queue_size: 2\n")).toBe("config_not_applied");
    expect([live.config.queueSize, transactions.version, transactions.differsFromFile]).toEqual([1, 1, false]);
    expect(lines).toEqual([
      [
        "error",
        {
          by: "me",
          via: "api",
          version: 1,
          reason: "the configuration of before is in force again: no memory",
          stuck: ["part"],
        },
        "parts could not go back to the configuration in force",
      ],
    ]);
  });

  test("waits for those before it, and too many are not kept waiting", async () => {
    const gate = Promise.withResolvers<void>();
    const { change } = setUp({ apply: () => gate.promise });
    const changes = Array.from({ length: 10 }, (_, index) => change(`queue_size: ${index + 2}\n`));
    expect(await Promise.all(changes.slice(8))).toEqual(["overloaded", "overloaded"]);
    gate.resolve();
    expect(await Promise.all(changes.slice(0, 8))).toMatchObject(
      [2, 3, 4, 5, 6, 7, 8, 9].map((version) => ({ version })),
    );
  });
});

test("what the operator should know of a configuration is told once, and is there as long as it holds", async () => {
  const { change, lines, transactions } = setUp({}, "host: 127.0.0.1\n");
  const warned = (): string[] => lines.flatMap(([level, , message]) => (level === "warn" ? [message] : []));
  const notice = "cache_threshold has no effect with the policy least_ttft: it is an option of cache_aware";
  expect(transactions.notices).toEqual([]);
  const text = "host: 127.0.0.1\ncache_threshold: 0.9\n";
  expect(await change(text)).toMatchObject({ notices: [notice] });
  expect(await change(`${text}queue_size: 3\n`)).toMatchObject({ notices: [notice] });
  expect([transactions.notices, warned()]).toEqual([[notice], [notice]]);
  expect(await change(`${text}default_policy: cache_aware\n`)).toMatchObject({ notices: [] });
  expect(transactions.notices).toEqual([]);
});

describe("the file", () => {
  test("is what counts when it is read: what came over the API goes, and the log says so", async () => {
    const setup = setUp();
    await setup.change("queue_size: 2\n");
    expect([setup.transactions.differsFromFile, setup.metric("pointsman_config_differs_from_file")]).toEqual([
      true,
      "1",
    ]);
    expect(await setup.reload()).toMatchObject({ version: 3 });
    expect(setup.live.config.queueSize).toBe(1);
    expect(setup.lines.at(-1)?.[1]).toMatchObject({ by: "SIGHUP", replaces: "what was set over the API" });
    expect(setup.transactions.differsFromFile).toBe(false);
    setup.file = "queue_size: 3\n";
    await setup.reload();
    expect(setup.lines.at(-1)?.[1]).not.toHaveProperty("replaces");
  });

  test("is carried out each time that it is read, because files that it names may say something else", async () => {
    const setup = setUp();
    expect(await setup.reload()).toMatchObject({ version: 1, changes: [] });
    expect(setup.applied).toHaveLength(1);
  });

  test("that is refused differs from what is in force until it is mended", async () => {
    const setup = setUp();
    setup.file = "queue_size: many\n";
    expect(await setup.reload()).toContain("f.yaml:1:13");
    expect(setup.transactions.differsFromFile).toBe(true);
    setup.file = "queue_size: 1\n";
    expect(await setup.reload()).toMatchObject({ version: 1 });
    expect(setup.transactions.differsFromFile).toBe(false);
  });
});

describe("a rollback", () => {
  test("that waits behind a change goes back to what was in force before that change", async () => {
    const { change, live, transactions } = setUp();
    await change("queue_size: 2\n");
    const third = change("queue_size: 3\n");
    const back = transactions.rollback(undefined, { via: "api", by: "me" });
    expect(await Promise.all([third, back])).toMatchObject([{ version: 3 }, { version: 4 }]);
    expect([live.config.queueSize, transactions.history[0]?.by]).toEqual([2, "me, back to version 2"]);
  });

  test("brings back the text of before, under a new version; twice is there and back again", async () => {
    const { change, live, transactions } = setUp();
    await change("queue_size: 2\n");
    const asked = { via: "api", by: "me" } as const;
    expect(await transactions.rollback(undefined, asked)).toMatchObject({ version: 3 });
    expect(live.config.queueSize).toBe(1);
    await transactions.rollback(undefined, asked);
    expect(live.config.queueSize).toBe(2);
    await transactions.rollback(1, asked);
    expect([live.config.queueSize, transactions.history[0]?.by]).toEqual([1, "me, back to version 1"]);
    const refusal: unknown = await transactions.rollback(9, asked).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "invalid_request" });
  });

  test("to what was before an option waited for a restart has it wait no more, and one back to it has it wait again", async () => {
    const { change, live, transactions } = setUp();
    const asked = { via: "api", by: "me" } as const;
    const waiting = (): string[] => transactions.waiting.map(({ path }) => path);
    await change("queue_size: 2\nthreads: 3\n", { isPartial: true });
    expect(await transactions.rollback(undefined, asked)).toMatchObject({ version: 3, waiting: [] });
    expect([live.config.queueSize, waiting()]).toEqual([1, []]);
    expect(await transactions.rollback(2, asked)).toMatchObject({ version: 4, waiting: [{ path: "threads" }] });
    expect([live.config.queueSize, live.config.threads, waiting()]).toEqual([2, 1, ["threads"]]);
  });

  test("reaches back through the last fifty configurations", async () => {
    const { change, transactions } = setUp();
    for (let size = 2; size <= 70; size += 1) await change(`queue_size: ${size}\n`);
    const versions = transactions.history.map(({ version }) => version);
    expect([versions.length, versions[0], versions.at(-1)]).toEqual([50, 70, 21]);
  });

  test("keeps no more than sixteen million characters, and the last configuration always", async () => {
    const { change, transactions } = setUp();
    const filler = `# ${"x".repeat(3_900_000)}\n`;
    for (let size = 2; size <= 8; size += 1) await change(`queue_size: ${size}\n${filler}`);
    expect(transactions.history.map(({ version }) => version)).toEqual([8, 7, 6, 5]);
  });
});
