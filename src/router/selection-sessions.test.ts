import { describe, expect, test } from "bun:test";
import { createPolicy, requestWith } from "../../test/support/candidates.ts";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { cacheAware } from "../policy/cache-aware.ts";
import { consistentHashing } from "../policy/consistent-hashing.ts";
import type { KeptPolicy } from "../policy/kept-policy.ts";
import { manual } from "../policy/manual.ts";
import { roundRobin } from "../policy/round-robin.ts";
import { SessionAffinity } from "../policy/session-affinity.ts";
import { SignalCounts } from "../policy/signal-counts.ts";
import type { Worker } from "../worker/worker.ts";
import type { Chosen } from "./chosen.ts";
import { Selection } from "./selection.ts";

const PARTS = { memory: (bytes: number) => new SharedArrayBuffer(bytes), random: () => 0, now: () => 0 };

interface Setup {
  readonly fleet: FleetSetup;
  readonly workers: readonly Worker[];
  readonly policy: KeptPolicy;
  select(key: string | undefined): Selection;
}

function setUp(policy: KeptPolicy = createPolicy(roundRobin), isSticky = true): Setup {
  const fleet = setUpFleet();
  const workers = [0, 1, 2].map((index) => fleet.add(`http://w${index}:1`, { modelId: "m" }));
  if (isSticky) policy.affinity = new SessionAffinity({ maxIdleSecs: 60, maxSessions: 4096, overrideSecs: 1 }, PARTS);
  const deps = {
    ledger: fleet.ledger,
    clock: fleet.clock,
    random: draws(),
    capacityRetryAfterSecs: 5,
    wanted: { ask: () => undefined },
  };
  return {
    fleet,
    workers,
    policy,
    select(key) {
      const snapshot = fleet.registry.getWorkersForModel("m", "http", "regular");
      const legs = { prefill: undefined, answer: { role: "regular", snapshot, policy } } as const;
      const features = requestWith({ routingKey: () => key, promptTokens: 10 });
      const request = { features, record: { decisions: undefined } };
      return new Selection(deps, request, { legs, lost: new Set(), fits: () => true, prefillsAlone: () => false });
    },
  };
}

/** Numbers that differ from call to call, in [0, 1). */
function draws(): () => number {
  let draw = 0;
  return () => (draw = (draw + 0.618) % 1);
}

const hostOf = ({ worker }: Chosen): string => new URL(worker.url).hostname;

describe("with sticky sessions", () => {
  test("a session goes where its first request went, and others are the policy's", () => {
    const { select } = setUp();
    expect([hostOf(select("a").first().answer), hostOf(select(undefined).first().answer)]).toEqual(["w0", "w1"]);
    const again = select("a").first().answer;
    expect([hostOf(again), again.reason, again.candidates]).toEqual(["w0", "session", 3]);
    // The session used up no turn.
    expect(hostOf(select("b").first().answer)).toBe("w2");
  });

  test("a request that failed at the session's worker takes the session along in its retry", () => {
    const { select, workers } = setUp();
    const selection = select("a");
    expect(hostOf(selection.first().answer)).toBe("w0");
    expect(workers[0] && selection.leaveOut(workers[0])).toBe(true);
    const retry = hostOf(selection.next().answer);
    expect(retry).not.toBe("w0");
    expect(hostOf(select("a").first().answer)).toBe(retry);
  });

  test("a worker that is ejected loses its sessions", () => {
    const { select, workers, fleet } = setUp();
    select("a").first();
    fleet.registry.update(workers[0]?.id ?? "", { status: "not_ready" });
    expect(hostOf(select("a").first().answer)).toBe("w1");
    fleet.registry.update(workers[0]?.id ?? "", { status: "ready" });
    expect(hostOf(select("a").first().answer)).toBe("w1");
  });

  test("a policy that learns hears of the session's requests, too", () => {
    const { select } = setUp(createPolicy(cacheAware));
    expect(hostOf(select("a").first().answer)).toBe(hostOf(select("a").first().answer));
  });
});

describe("while a worker starts slowly", () => {
  const SESSIONS = Array.from({ length: 300 }, (_, index) => `session ${index}`);

  /** Asks for each session at each step of a slow start of one second. Returns how often sessions changed their worker, and how many it had. */
  function startSlowly({ select, fleet, workers }: Setup): { readonly moves: number[]; readonly shares: number[] } {
    const [worker] = workers;
    if (worker) fleet.registry.update(worker.id, { slowStart: { since: 0, until: 1000 } });
    const at = new Map<string, string>();
    const moves = new Map<string, number>();
    const shares: number[] = [];
    for (let step = 0; step <= 10; step += 1) {
      for (const session of SESSIONS) {
        const host = hostOf(select(session).first().answer);
        if (at.has(session) && at.get(session) !== host) moves.set(session, (moves.get(session) ?? 0) + 1);
        at.set(session, host);
      }
      shares.push([...at.values()].filter((host) => host === "w0").length / SESSIONS.length);
      fleet.clock.advance(100);
    }
    return { moves: [...moves.values()], shares };
  }

  test("a session that its hash sends there goes there once, sooner or later, and stays", () => {
    const { moves, shares } = startSlowly(setUp(createPolicy(consistentHashing), false));
    expect(Math.max(...moves)).toBe(1);
    expect(shares.every((share, step) => share >= (shares[step - 1] ?? 0))).toBe(true);
    const [first = 1, , , , , half = 0] = shares;
    const all = shares.at(-1) ?? 0;
    expect([first / all, half / all].map((share) => Math.round(share * 5))).toEqual([1, 3]);
  });

  test.each([
    ["sticky", () => setUp()],
    ["manual", () => setUp(createPolicy(manual, { assignmentMode: "min_group" }), false)],
  ])("a session that is there stays there: %s", (_, make) => {
    const setup = make();
    for (const session of SESSIONS) setup.select(session).first();
    const { moves, shares } = startSlowly(setup);
    expect([moves, Math.round((shares[0] ?? 0) * 3)]).toEqual([[], 1]);
  });

  test("new sessions belong to its share or not, whatever the policy does with them then", () => {
    const setup = setUp(createPolicy(manual, { assignmentMode: "min_group" }), false);
    const { moves, shares } = startSlowly(setup);
    expect(moves).toEqual([]);
    expect(shares[0]).toBeLessThan(0.2);
  });

  test("requests without a session are its share by chance", () => {
    const { select, fleet, workers } = setUp();
    if (workers[0]) fleet.registry.update(workers[0].id, { slowStart: { since: 0, until: 1000 } });
    fleet.clock.advance(500);
    const hosts = SESSIONS.map(() => hostOf(select(undefined).first().answer));
    expect(Math.round((hosts.filter((host) => host === "w0").length / hosts.length) * 6)).toBe(1);
  });
});

test("what a policy lacks is counted with each choice, and not with a probe", () => {
  const { select, policy, workers, fleet } = setUp();
  const parts = { memory: PARTS.memory, now: () => 0, threads: 1, tell: () => undefined };
  policy.signals = new SignalCounts({ routing_key: "does something else" }, parts);
  select("a").first();
  select(undefined).first();
  if (workers[0]) fleet.fault(workers[0], 4);
  fleet.clock.advance(1000);
  expect(select(undefined).first().answer.isProbe).toBe(true);
  expect(policy.signals.states()).toMatchObject([{ requests: 2, without: 1 }]);
});
