import { describe, expect, test } from "bun:test";
import { createPolicy, requestWith } from "../../test/support/candidates.ts";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { cacheAware } from "../policy/cache-aware.ts";
import type { KeptPolicy } from "../policy/kept-policy.ts";
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

function setUp(policy: KeptPolicy = createPolicy(roundRobin)): Setup {
  const fleet = setUpFleet();
  const workers = [0, 1, 2].map((index) => fleet.add(`http://w${index}:1`, { modelId: "m" }));
  policy.affinity = new SessionAffinity({ maxIdleSecs: 60, maxSessions: 64, overrideSecs: 1 }, PARTS);
  const deps = {
    ledger: fleet.ledger,
    clock: fleet.clock,
    random: () => 0,
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
