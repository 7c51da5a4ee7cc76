import { describe, expect, test } from "bun:test";
import type { Policy, PolicyNews } from "../policy/policy.ts";
import { runLoad, type RunOptions } from "./driver.ts";
import type { SimPolicy, SimPolicyParts } from "./driver-gateway.ts";
import { summarize } from "./driver-summary.ts";
import type { Fault, Load } from "./loads/load.ts";
import { LOADS } from "./loads/loads.ts";
import { LATE_ORACLE, ORACLE } from "./oracle.ts";

function loadNamed(name: string, faults?: readonly Fault[]): Load {
  const row = LOADS.find((one) => one.name === name);
  if (!row) throw new Error(`no load ${name}`);
  const load = row.create({ seed: 5, durationSecs: 20, warmupSecs: 0 });
  return faults ? { ...load, faults } : load;
}

/** What one gateway's instance has seen. */
interface Seen {
  readonly parts: SimPolicyParts;
  picks: number;
  readonly firsts: number[];
  readonly ends: { readonly outcome: string; readonly usage: unknown }[];
  readonly heard: { readonly news: PolicyNews; readonly at: number }[];
  readonly forgotten: string[];
  readonly sets: Set<string>;
}

/** A policy that takes workers in turns, writes everything down, and tells the others of what it sends. */
function spies(): { readonly policy: SimPolicy; readonly seen: Seen[] } {
  const seen: Seen[] = [];
  const policy: SimPolicy = {
    name: "spy",
    create: (parts): Policy => {
      const one: Seen = { parts, picks: 0, firsts: [], ends: [], heard: [], forgotten: [], sets: new Set() };
      seen.push(one);
      const gateway = parts.gateway ?? "";
      return {
        name: "spy",
        pick: (candidates, { promptTokens }) => {
          one.picks += 1;
          one.sets.add(candidates.map(({ id }) => id).join());
          const index = one.picks % candidates.length;
          const news = {
            kind: "sent",
            gateway,
            request: one.picks,
            at: parts.now(),
            workTokens: promptTokens,
          } as const;
          const worker = { workerId: candidates[index]?.id ?? "", contextTokens: promptTokens };
          parts.tell?.({ ...news, ...worker, hashes: new Int32Array(0), bytes: 0 });
          return {
            index,
            onFirstToken: (ms) => void one.firsts.push(ms),
            onEnd: ({ outcome, usage }) => void one.ends.push({ outcome, usage }),
          };
        },
        hear: (news) => void one.heard.push({ news, at: parts.now() }),
        forget: (id) => void one.forgotten.push(id),
      };
    },
  };
  return { policy, seen };
}

function run(options: Partial<RunOptions> = {}) {
  const { policy, seen } = spies();
  const result = runLoad({ load: loadNamed("chat"), policy, seed: 1, ...options });
  return { result, seen, records: result.records };
}

describe("a policy of a simulated gateway", () => {
  test("hears of each first token and each end, with the counts of the engine", () => {
    const { seen, records } = run();
    const [one] = seen;
    expect(one?.ends).toHaveLength(records.length);
    expect(one?.ends.every(({ outcome }) => outcome === "answered")).toBe(true);
    const first = one?.firsts.toSorted((a, b) => a - b);
    const expected = Array.from(records.ttftMs.subarray(0, records.length)).toSorted((a, b) => a - b);
    expect(first?.map(Math.round)).toEqual(expected.map(Math.round));
    expect(Object.keys(one?.ends[0]?.usage ?? {})).toEqual(["promptTokens", "completionTokens", "cachedTokens"]);
  });

  test("hears before each choice of the last step of each worker that gives streams tokens, and of nothing without streams", () => {
    const load = loadNamed("chat");
    const stepsOf = (isStream: boolean): number[] => {
      let heard: number[] = [];
      const steps: number[] = [];
      const policy: SimPolicy = {
        name: "listener",
        create: ({ now }) => ({
          name: "listener",
          pick: () => {
            const [first, last] = [Math.min(...heard), Math.max(...heard)];
            if (heard.length > 0) steps.push(last - first, now() - last);
            heard = [];
            const chargedAt = now();
            return { index: 0, onPiece: (ms) => void heard.push(chargedAt + ms) };
          },
        }),
      };
      runLoad({ load, policy, seed: 1, isStream });
      return steps;
    };
    const steps = stepsOf(true);
    expect(steps.length).toBeGreaterThan(100);
    // A step of the engine takes 8 ms and more, and the next one has not ended yet.
    expect(Math.min(...steps.filter((_, index) => index % 2 === 0))).toBeGreaterThan(8);
    expect(Math.min(...steps.filter((_, index) => index % 2 === 1))).toBeGreaterThanOrEqual(0);
    expect(stepsOf(false)).toEqual([]);
  });

  test("hears of no first token without streams, and of no counts where engines report none", () => {
    const { seen } = run({ isStream: false, reportsUsage: false });
    expect(seen[0]?.firsts).toEqual([]);
    expect(seen[0]?.ends.every(({ usage }) => usage === undefined)).toBe(true);
  });

  test("is told of the KV cache what engines are made to report", () => {
    const reported = (options: Partial<RunOptions>): unknown => {
      let tokens: unknown;
      const policy: SimPolicy = {
        name: "reader",
        create: () => ({
          name: "reader",
          pick: (candidates) => {
            tokens = candidates[0]?.kvCapacityTokens;
            return 0;
          },
        }),
      };
      runLoad({ load: loadNamed("chat"), policy, seed: 1, ...options });
      return tokens;
    };
    expect(reported({})).toBe(120_000);
    expect(reported({ kvReportFactor: 4 })).toBe(480_000);
    expect(reported({ kvReportFactor: undefined })).toBeUndefined();
  });
});

describe("several gateways", () => {
  test("share the requests, and are blind for each other without news", () => {
    const { seen, records } = run({ gateways: 3 });
    expect(seen).toHaveLength(3);
    const picks = seen.map((one) => one.picks);
    expect(picks.reduce((sum, one) => sum + one)).toBe(records.length);
    expect(Math.min(...picks)).toBeGreaterThan(records.length / 5);
    expect(seen.every(({ heard, parts }) => heard.length === 0 && parts.tell === undefined)).toBe(true);
  });

  test("hear of each other's requests, never of their own, as late as is said and with the sender's time", () => {
    const { seen } = run({ gateways: 3, newsDelayMs: 100 });
    const sent = seen.reduce((sum, one) => sum + one.picks, 0);
    for (const [index, { heard, picks }] of seen.entries()) {
      expect(heard).toHaveLength(sent - picks);
      expect(new Set(heard.map(({ news }) => news.gateway)).size).toBe(2);
      expect(heard.every(({ news }) => news.gateway !== `g${index}`)).toBe(true);
      for (const { news, at } of heard) expect(at - news.at).toBeCloseTo(100, 6);
    }
  });

  test("hear the tokens of their streams when engines give them, whoever chooses meanwhile", () => {
    let most = 0;
    const policy: SimPolicy = {
      name: "listener",
      create: ({ now }) => {
        const heard = new Set<number>();
        return {
          name: "listener",
          pick: () => {
            most = Math.max(most, heard.size);
            heard.clear();
            const chargedAt = now();
            return { index: 0, onPiece: (ms) => void heard.add(Math.round(chargedAt + ms)) };
          },
        };
      },
    };
    runLoad({ load: loadNamed("chat"), policy, seed: 1 });
    // Beginning and end of the last step of the one worker.
    expect(most).toBe(2);
    runLoad({ load: loadNamed("chat"), policy, seed: 1, gateways: 3 });
    expect(most).toBeGreaterThan(4);
  });

  test("count only their own requests in their ledgers", () => {
    let most = 0;
    const policy: SimPolicy = {
      name: "counter",
      create: () => {
        let own = 0;
        return {
          name: "counter",
          pick: (candidates) => {
            const inFlight = candidates.reduce((sum, one) => sum + one.inFlight, 0);
            most = Math.max(most, inFlight - own);
            own += 1;
            return { index: own % candidates.length, onEnd: () => void (own -= 1) };
          },
        };
      },
    };
    runLoad({ load: loadNamed("agent"), policy, seed: 1, gateways: 2 });
    expect(most).toBe(0);
  });
});

describe("an oracle that hears late", () => {
  const mean = (policy: SimPolicy, options: Partial<RunOptions> = {}): number =>
    summarize(runLoad({ load: loadNamed("agent"), policy, seed: 1, ...options })).ttft.mean;

  test("chooses as the oracle does where there is nobody else", () => {
    const [late, exact] = [LATE_ORACLE, ORACLE].map((policy) => runLoad({ load: loadNamed("die"), policy, seed: 1 }));
    expect(late?.records.worker).toEqual(exact?.records.worker ?? new Int32Array());
  });

  test("loses by what others send meanwhile, and more the later it hears", () => {
    const gateways = 4;
    const exact = mean(ORACLE, { gateways });
    const late = mean(LATE_ORACLE, { gateways, newsDelayMs: 100 });
    expect(late).toBeGreaterThan(exact);
    expect(mean(LATE_ORACLE, { gateways, newsDelayMs: 2000 })).toBeGreaterThan(late);
  });
});

describe("a fault", () => {
  test("of a worker that dies fails its requests, which others answer, and the gateway leaves it out", () => {
    const { result, seen } = run({ load: loadNamed("agent", [{ kind: "die", atMs: 8000, worker: 2 }]) });
    const { records } = result;
    const { failed, retries } = summarize(result);
    expect(failed).toBe(0);
    expect(retries).toBeGreaterThan(0);
    expect(seen[0]?.ends.filter(({ outcome }) => outcome === "failed")).toHaveLength(retries);
    expect([...(seen[0]?.sets ?? [])].some((set) => !set.includes("w2"))).toBe(true);
    for (let row = 0; row < records.length; row += 1) {
      if ((records.arrivedAt[row] ?? 0) > 8000) expect(records.worker[row]).not.toBe(2);
    }
  });

  test("of a worker that restarts is seen by the policy, and the worker answers again", () => {
    const { seen, records } = run({ load: loadNamed("agent", [{ kind: "restart", atMs: 8000, worker: 2 }]) });
    expect(seen[0]?.forgotten).toEqual(["w2"]);
    const later = Array.from(records.worker.subarray(0, records.length)).filter(
      (worker, row) => worker === 2 && (records.arrivedAt[row] ?? 0) > 9000,
    );
    expect(later.length).toBeGreaterThan(0);
  });

  test("of a worker that dies is over when it restarts before anybody has noticed", () => {
    const faults: readonly Fault[] = [
      { kind: "die", atMs: 200, worker: 2 },
      { kind: "restart", atMs: 210, worker: 2 },
    ];
    const { records } = run({ load: loadNamed("chat", faults) });
    expect(Array.from(records.worker.subarray(0, records.length))).toContain(2);
  });

  test("of a worker that dies is over when it restarts after it was left out, with an empty cache", () => {
    const faults: readonly Fault[] = [
      { kind: "die", atMs: 4000, worker: 2 },
      { kind: "restart", atMs: 12_000, worker: 2 },
    ];
    const { records, seen } = run({ load: loadNamed("agent", faults) });
    const arrivals = Array.from(records.worker.subarray(0, records.length)).flatMap((worker, row) =>
      worker === 2 ? [records.arrivedAt[row] ?? 0] : [],
    );
    expect(seen[0]?.forgotten).toEqual(["w2"]);
    expect(arrivals.filter((at) => at > 4000 && at < 11_000)).toEqual([]);
    expect(arrivals.some((at) => at > 12_000)).toBe(true);
  });

  test("after the first token of a stream does not change when its client got that", () => {
    const { records: before } = run({ load: loadNamed("chat") });
    const { records: after } = run({ load: loadNamed("chat", [{ kind: "restart", atMs: 8000, worker: 2 }]) });
    const isEarly = (row: number): boolean =>
      (after.retries[row] ?? 0) > 0 && (before.arrivedAt[row] ?? 0) + (before.ttftMs[row] ?? 0) < 8000;
    const rows = Array.from({ length: after.length }, (_, row) => row).filter(isEarly);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(after.ttftMs[row]).toBe(before.ttftMs[row] ?? 0);
  });

  test("of a worker that freezes or is slow delays its own requests", () => {
    const mean = (faults: readonly Fault[]): number =>
      summarize(run({ load: loadNamed("chat", faults) }).result).ttft.mean;
    const usual = mean([]);
    expect(mean([{ kind: "freeze", atMs: 5000, worker: 1, ms: 6000 }])).toBeGreaterThan(usual);
    expect(mean([{ kind: "slow", atMs: 5000, worker: 1, slowness: 3 }])).toBeGreaterThan(usual);
  });
});

test("a worker that joins later gets requests only from then on", () => {
  const load = loadNamed("join");
  const { records } = run({ load });
  const joinsAtMs = load.workers.at(-1)?.joinsAtMs ?? 0;
  const times = Array.from(records.arrivedAt.subarray(0, records.length)).filter((_, row) => records.worker[row] === 7);
  expect(joinsAtMs).toBeGreaterThan(0);
  expect(times.length).toBeGreaterThan(0);
  expect(Math.min(...times)).toBeGreaterThanOrEqual(joinsAtMs);
});
