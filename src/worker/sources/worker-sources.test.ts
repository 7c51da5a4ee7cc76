import { describe, expect, test } from "bun:test";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { spec } from "../../../test/support/door.ts";
import { GatewayError } from "../../errors/errors.ts";
import { GivenSource, type SourceReport, type WorkerSource } from "./worker-source.ts";
import { WorkerSources } from "./worker-sources.ts";

const A = spec("http://a:1", "played");

/** A source that a test plays. */
interface Played {
  readonly source: WorkerSource;
  /** Times that it was watched. */
  readonly watches: () => number;
  readonly isAborted: () => boolean;
  report(report: SourceReport): void;
  fail(reason: string): Promise<void>;
}

function played(name = "played"): Played {
  let watches = 0;
  let latest: { onWanted: (report: SourceReport) => void; signal: AbortSignal; reject: (error: Error) => void };
  return {
    source: {
      name,
      watch(onWanted, signal) {
        watches += 1;
        const { promise, reject } = Promise.withResolvers<void>();
        latest = { onWanted, signal, reject };
        return promise;
      },
    },
    watches: () => watches,
    isAborted: () => latest.signal.aborted,
    report: (report) => latest.onWanted(report),
    async fail(reason) {
      latest.reject(new Error(reason));
      await turn();
    },
  };
}

async function turn(): Promise<void> {
  for (let step = 0; step < 5; step += 1) await Promise.resolve();
}

interface Setup {
  readonly clock: ManualClock;
  readonly sources: WorkerSources;
  /** Sets that the reconciler was given: source and number of workers. */
  readonly applied: (readonly [source: string, count: number])[];
  readonly lines: (readonly [level: string, message: string | undefined])[];
}

function setUp(refusals: readonly GatewayError[] = []): Setup {
  const clock = new ManualClock();
  const applied: [string, number][] = [];
  const lines: [string, string | undefined][] = [];
  const log =
    (level: string) =>
    (_fields: object, message?: string): void => {
      lines.push([level, message]);
    };
  const sources = new WorkerSources({
    clock,
    logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
    reconciler: {
      apply: (source, wanted) => {
        applied.push([source, wanted.length]);
        return refusals;
      },
    },
  });
  return { clock, sources, applied, lines };
}

test("what a source knows from the start is applied before it is followed further, and its refusals are returned", () => {
  const refusal = new GatewayError("worker_exists", "it is there");
  const { sources, applied, clock } = setUp([refusal]);
  expect(sources.follow(new GivenSource("file", [A]))).toEqual([refusal]);
  expect(sources.follow(new GivenSource("command_line", []))).toEqual([refusal]);
  expect([applied, clock.pending]).toEqual([
    [
      ["file", 1],
      ["command_line", 0],
    ],
    0,
  ]);
  expect(sources.list()).toEqual([
    { name: "file", state: "ready", reason: undefined, wanted: 1, refused: 1, silentMs: undefined },
    { name: "command_line", state: "ready", reason: undefined, wanted: 0, refused: 1, silentMs: undefined },
  ]);
});

test("a source that is away may still know that some of its workers leave", () => {
  const { sources, applied, lines } = setUp();
  const { source, report } = played();
  sources.follow(source);
  report({ state: "ready", workers: [A, { ...A, url: "http://b:1" }] });
  for (let time = 0; time < 2; time += 1) report({ state: "away", reason: "its list is gone", workers: [A] });
  expect(applied.map(([, count]) => count)).toEqual([2, 1, 1]);
  expect(lines).toEqual([["warn", "source of workers is away; its workers stay"]]);
  expect(sources.list()).toMatchObject([{ state: "away", reason: "its list is gone", wanted: 1 }]);
});

test("a source that hears of its workers shows for how long it has been silent", () => {
  const { sources, clock } = setUp();
  const { source } = played();
  const heard = { ...source, heardAt: clock.now() };
  sources.follow(heard);
  clock.advance(7000);
  expect(sources.list()).toMatchObject([{ silentMs: 7000 }]);
  heard.heardAt = clock.now();
  expect(sources.list()).toMatchObject([{ silentMs: 0 }]);
});

test("two sources cannot have one name", () => {
  const { sources } = setUp();
  sources.follow(new GivenSource("file", []));
  expect(() => sources.follow(new GivenSource("file", []))).toThrow("two sources of workers called file");
});

describe("a source that reports later", () => {
  test("is starting until then, and each of its sets is applied", () => {
    const { sources, applied } = setUp();
    const { source, report } = played();
    expect(sources.follow(source)).toEqual([]);
    expect([sources.list()[0]?.state, applied]).toEqual(["starting", []]);
    report({ state: "ready", workers: [A] });
    report({ state: "ready", workers: [] });
    expect([sources.list()[0]?.state, applied]).toEqual([
      "ready",
      [
        ["played", 1],
        ["played", 0],
      ],
    ]);
  });

  test("is waited for by who wants to know that all have been heard, and so is one that is away", async () => {
    const { sources } = setUp();
    const [one, other] = [played("one"), played("other")];
    for (const { source } of [one, other]) sources.follow(source);
    let isHeard = false;
    void sources.heard().then(() => (isHeard = true));
    one.report({ state: "ready", workers: [A] });
    await turn();
    expect(isHeard).toBe(false);
    other.report({ state: "away", reason: "no answer" });
    await turn();
    expect(isHeard).toBe(true);
  });
});

describe("a source that is away", () => {
  test("keeps its workers, says why, and is told of once", () => {
    const { sources, applied, lines } = setUp();
    const { source, report } = played();
    sources.follow(source);
    report({ state: "ready", workers: [A] });
    for (let time = 0; time < 3; time += 1) report({ state: "away", reason: "no answer" });
    expect([applied.length, sources.list()]).toEqual([
      1,
      [{ name: "played", state: "away", reason: "no answer", wanted: 1, refused: 0, silentMs: undefined }],
    ]);
    report({ state: "away", reason: "refused" });
    report({ state: "ready", workers: [A] });
    expect(lines).toEqual([
      ["warn", "source of workers is away; its workers stay"],
      ["warn", "source of workers is away; its workers stay"],
      ["info", "source of workers is back"],
    ]);
    expect(sources.list()[0]?.state).toBe("ready");
  });

  test("as its watch has failed is watched anew, later each time, until it reports", async () => {
    const { sources, clock } = setUp();
    const { source, report, fail, watches } = played();
    sources.follow(source);
    report({ state: "ready", workers: [A] });
    for (const restMs of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      const before = watches();
      await fail("lost");
      expect(sources.list()[0]).toMatchObject({ state: "away", reason: "lost", wanted: 1 });
      clock.advance(restMs - 1);
      expect(watches()).toBe(before);
      clock.advance(1);
      expect(watches()).toBe(before + 1);
    }
    report({ state: "ready", workers: [A] });
    const before = watches();
    await fail("lost");
    clock.advance(1000);
    expect(watches()).toBe(before + 1);
  });

  test("by a watch that throws at once is no error of who follows it", async () => {
    const { sources, clock } = setUp();
    let watches = 0;
    const source: WorkerSource = {
      name: "broken",
      watch() {
        watches += 1;
        throw new Error("it cannot begin");
      },
    };
    expect(sources.follow(source)).toEqual([]);
    await turn();
    expect(sources.list()[0]).toMatchObject({ state: "away", reason: "it cannot begin" });
    clock.advance(1000);
    expect(watches).toBe(2);
  });

  test("is heard no more on its old watch", async () => {
    const { sources, applied } = setUp();
    let onOld: ((report: SourceReport) => void) | undefined;
    sources.follow({
      name: "late",
      watch(onWanted) {
        onOld = onWanted;
        return Promise.reject(new Error("lost"));
      },
    });
    await turn();
    onOld?.({ state: "ready", workers: [A] });
    expect(applied).toEqual([]);
  });
});

describe("sources that are disposed", () => {
  test("end their watches, leave no timer and are heard no more", async () => {
    const { sources, applied, clock, lines } = setUp();
    const [running, failing] = [played("running"), played("failing")];
    for (const { source } of [running, failing]) sources.follow(source);
    await failing.fail("lost");
    sources[Symbol.dispose]();
    expect([running.isAborted(), clock.pending]).toEqual([true, 0]);
    running.report({ state: "ready", workers: [A] });
    await running.fail("aborted");
    clock.advance(60_000);
    expect([applied, clock.pending, failing.watches(), lines.length]).toEqual([[], 0, 1, 1]);
  });
});
