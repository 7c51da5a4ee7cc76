import { describe, expect, test } from "bun:test";
import { requestWith } from "../../../test/support/candidates.ts";
import { type FleetSetup, setUpFleet } from "../../../test/support/fleet.ts";
import type { Decision } from "../../observability/decision.ts";
import type { KeptPolicy } from "../../policy/kept-policy.ts";
import { SessionAffinity } from "../../policy/session-affinity.ts";
import { SignalCounts } from "../../policy/signal-counts.ts";
import type { Explanation, PairCandidates, PairExplanations, PickedPair, Policy } from "../../policy/policy.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import type { Worker } from "../../worker/worker.ts";
import type { Choice, SelectionRequest } from "../choice.ts";
import { Selection } from "../selection.ts";

/** Prefers a decode worker that prefills alone, then the first pair that fits. */
class Pairing implements KeptPolicy {
  readonly name = "pairing";
  readonly asked: PairCandidates[] = [];
  readonly ends: string[] = [];
  affinity?: SessionAffinity;
  signals?: SignalCounts;

  pick(): number {
    return 0;
  }

  pairsWith(decodePolicy: Policy): boolean {
    return decodePolicy instanceof Pairing;
  }

  pickPair(candidates: PairCandidates): PickedPair | undefined {
    this.asked.push(candidates);
    const { prefillers, decoders } = candidates;
    const alone = decoders.findIndex((_, decode) => candidates.prefillsAlone(decode));
    if (alone >= 0) return { prefill: undefined, decode: this.#picked("decode", alone, "prefills_alone") };
    for (const prefill of prefillers.keys()) {
      const decode = decoders.findIndex((_, at) => candidates.fits(prefill, at));
      if (decode < 0) continue;
      return { prefill: this.#picked("prefill", prefill), decode: this.#picked("decode", decode) };
    }
    return undefined;
  }

  explainPair({ prefillers, decoders }: PairCandidates): PairExplanations {
    const explained = (_: unknown, index: number): Explanation => ({
      index,
      cost: index + 1,
      terms: { waiting: index + 1 },
    });
    return { prefill: prefillers.map(explained), decode: decoders.map(explained) };
  }

  #picked(leg: string, index: number, reason: "lowest_cost" | "prefills_alone" = "lowest_cost"): PickedPair["decode"] {
    return { index, chargeTokens: 7, reason, onEnd: ({ outcome }) => void this.ends.push(`${leg} ${outcome}`) };
  }
}

function add(fleet: FleetSetup, workerType: WorkerType, name: string, labels: Record<string, string> = {}): Worker {
  return fleet.add(`http://${name}:1`, { modelId: "m", workerType, labels: { kind: name[0] ?? "", ...labels } });
}

interface SelectOptions {
  readonly decisions?: Decision[];
  readonly decodePolicy?: KeptPolicy;
  readonly session?: string;
}

/** Workers whose names begin with the same letter fit together; a decode worker with the label `alone` prefills for itself. */
function select(
  fleet: FleetSetup,
  policy: KeptPolicy,
  { decisions, decodePolicy = policy, session }: SelectOptions = {},
): Selection {
  const leg = (role: "prefill" | "decode"): Choice["legs"]["answer"] => ({
    role,
    snapshot: fleet.registry.getWorkersForModel("m", "http", role),
    policy: role === "prefill" ? policy : decodePolicy,
  });
  const { ledger, clock } = fleet;
  const request: SelectionRequest = { features: requestWith({ routingKey: () => session }), record: { decisions } };
  return new Selection(
    { ledger, clock, random: () => 0, capacityRetryAfterSecs: 5, wanted: { ask: () => undefined } },
    request,
    {
      legs: { prefill: leg("prefill"), answer: leg("decode") },
      lost: new Set(),
      fits: (one, other) => one.spec.labels["kind"] === other.spec.labels["kind"],
      prefillsAlone: (decode) => decode.spec.labels["alone"] === "yes",
    },
  );
}

const names = ({ prefill, answer }: ReturnType<Selection["first"]>): string =>
  [prefill, answer].map((leg) => (leg ? new URL(leg.worker.url).hostname : "nobody")).join(" ");

describe("a policy that chooses pairs", () => {
  test("chooses both workers at once, each with its own charge and reason", () => {
    const fleet = setUpFleet();
    for (const name of ["a1", "b1"]) add(fleet, "prefill", name);
    add(fleet, "decode", "b2");
    const policy = new Pairing();
    const chosen = select(fleet, policy).first();
    expect(names(chosen)).toBe("b1 b2");
    expect([chosen.prefill?.pick?.chargeTokens, chosen.answer.reason]).toEqual([7, "lowest_cost"]);
    expect(policy.asked[0]?.decodePolicy).toBe(policy);
  });

  test("may leave the prefill worker out", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2");
    add(fleet, "decode", "a3", { alone: "yes" });
    const chosen = select(fleet, new Pairing()).first();
    expect([names(chosen), chosen.answer.reason]).toEqual(["nobody a3", "prefills_alone"]);
  });

  test("serves with a decode worker alone while no prefill worker can be asked", () => {
    const fleet = setUpFleet();
    const prefill = add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2", { alone: "yes" });
    fleet.registry.update(prefill.id, { status: "not_ready" });
    expect(names(select(fleet, new Pairing()).first())).toBe("nobody a2");
    const apart: Policy = { name: "apart", pick: () => 0 };
    expect(() => select(fleet, apart).first()).toThrow("no prefill worker can take this request now");
  });

  test("where it chooses nobody, leaves the choice to the policies of both legs, which say why nobody can", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "decode", "b2");
    expect(() => select(fleet, new Pairing()).first()).toThrow("no prefill and decode workers that fit together can");
  });

  test("is not asked for a probe of a worker", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    const [one] = [add(fleet, "decode", "a2", { alone: "yes" }), add(fleet, "decode", "a3")];
    fleet.fault(one, 4);
    fleet.clock.advance(1000);
    const policy = new Pairing();
    expect(names(select(fleet, policy).first())).toBe("a1 a2");
    expect(policy.asked).toEqual([]);
  });

  test("is asked for a probe of a decode worker that prefills alone while no prefill worker can be asked", () => {
    const fleet = setUpFleet();
    const one = add(fleet, "decode", "a2", { alone: "yes" });
    const prefill = add(fleet, "prefill", "a1");
    fleet.registry.update(prefill.id, { status: "not_ready" });
    fleet.fault(one, 4);
    fleet.clock.advance(1000);
    const { answer } = select(fleet, new Pairing()).first();
    expect([answer.worker.url, answer.isProbe, answer.reason]).toEqual(["http://a2:1", true, "probe"]);
    // While that probe is under way, other requests go to another decode worker.
    add(fleet, "decode", "a3", { alone: "yes" });
    expect(names(select(fleet, new Pairing()).first())).toBe("nobody a3");
  });

  test("is asked among the workers with the highest priority", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    fleet.add("http://a4:1", { modelId: "m", workerType: "prefill", labels: { kind: "a" }, priority: 90 });
    add(fleet, "decode", "a2");
    expect(names(select(fleet, new Pairing()).first())).toBe("a4 a2");
  });
});

/** A policy that keeps sessions on their workers and counts whether prompts are there. */
function keeping(): Pairing {
  const policy = new Pairing();
  const parts = { memory: (bytes: number) => new SharedArrayBuffer(bytes), random: () => 0, now: () => 0 };
  policy.affinity = new SessionAffinity({ maxIdleSecs: 60, maxSessions: 64, overrideSecs: 1 }, parts);
  policy.signals = new SignalCounts({ prompt: "guesses" }, { ...parts, threads: 1, tell: () => undefined });
  return policy;
}

describe("with sticky sessions", () => {
  const outcomes = ({ affinity }: Pairing): number[] =>
    (["new", "kept", "lost"] as const).map((outcome) => affinity?.table.outcomes(outcome) ?? 0);

  test("a session stays on its worker of each leg, and both policies hear of it", () => {
    const fleet = setUpFleet();
    for (const name of ["a1", "b1"]) add(fleet, "prefill", name);
    for (const name of ["a2", "b2"]) add(fleet, "decode", name);
    const [prefill, decode] = [keeping(), keeping()];
    const pick = (session: string): ReturnType<Selection["first"]> =>
      select(fleet, prefill, { decodePolicy: decode, session }).first();
    expect(names(pick("one"))).toBe("a1 a2");
    // Now the policy would take others.
    for (const { url, id } of fleet.registry.all())
      if (url.startsWith("http://a")) fleet.registry.update(id, { status: "not_ready" });
    expect(names(pick("two"))).toBe("b1 b2");
    for (const { id } of fleet.registry.all()) fleet.registry.update(id, { status: "ready" });
    const again = pick("two");
    expect([names(again), again.prefill?.reason, again.answer.reason]).toEqual(["b1 b2", "session", "session"]);
    expect([again.prefill?.candidates, again.answer.candidates]).toEqual([2, 2]);
    for (const policy of [prefill, decode]) {
      expect(outcomes(policy)).toEqual([2, 1, 0]);
      expect(policy.signals?.describe()[0]?.requests).toBe(3);
    }
    expect([again.prefill?.heardBy === prefill, again.answer.heardBy === decode]).toEqual([true, true]);
  });

  test("a session whose workers no longer fit together gets others", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    const decodes = [add(fleet, "decode", "a2"), add(fleet, "decode", "b2")];
    const [prefill, decode] = [keeping(), keeping()];
    const features = requestWith({ routingKey: () => "one" });
    decode.affinity?.stayAt(decodes, features);
    decode.affinity?.chosen(decodes[1]?.slot ?? -1);
    const chosen = select(fleet, prefill, { decodePolicy: decode, session: "one" }).first();
    expect([names(chosen), chosen.answer.reason, outcomes(decode)]).toEqual(["a1 a2", "lowest_cost", [1, 0, 1]]);
  });

  test("a session that needs no prefill worker keeps its decode worker", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    for (const name of ["a2", "a3"]) add(fleet, "decode", name, { alone: "yes" });
    const [prefill, decode] = [keeping(), keeping()];
    const pick = (): ReturnType<Selection["first"]> =>
      select(fleet, prefill, { decodePolicy: decode, session: "one" }).first();
    expect([names(pick()), names(pick()), pick().answer.reason]).toEqual(["nobody a2", "nobody a2", "prefills_alone"]);
    expect([outcomes(prefill), outcomes(decode)]).toEqual([
      [0, 0, 0],
      [1, 2, 0],
    ]);
  });
});

describe("after a failure", () => {
  test("a prefill worker is not replaced by a decode worker whose policy chooses no pairs", () => {
    const fleet = setUpFleet();
    const prefill = add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2", { alone: "yes" });
    const apart: Policy = { name: "apart", pick: () => 0 };
    expect(select(fleet, new Pairing(), { decodePolicy: apart }).leaveOut(prefill)).toBe(false);
  });

  test("the next choice is without the worker, and a decode worker that prefills alone is enough", () => {
    const fleet = setUpFleet();
    const prefill = add(fleet, "prefill", "a1");
    const decode = add(fleet, "decode", "a2", { alone: "yes" });
    const selection = select(fleet, new Pairing());
    expect(selection.leaveOut(prefill)).toBe(true);
    expect(names(selection.next())).toBe("nobody a2");
    expect(selection.leaveOut(decode)).toBe(false);
  });

  test("a decode worker that was chosen alone is asked alone again", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2", { alone: "yes" });
    const selection = select(fleet, new Pairing());
    const again = selection.again(selection.first());
    expect([names(again), again.answer.reason, again.answer.pick?.chargeTokens]).toEqual([
      "nobody a2",
      "same_again",
      7,
    ]);
  });
});

test("what the policy expected is in the record of both choices, where somebody asked for it", () => {
  const fleet = setUpFleet();
  for (const name of ["a1", "b1"]) add(fleet, "prefill", name);
  add(fleet, "decode", "b2");
  const decisions: Decision[] = [];
  select(fleet, new Pairing(), { decisions }).first();
  expect(decisions.map(({ role, worker, cost }) => [role, worker, cost])).toEqual([
    ["prefill", "http://b1:1", 2],
    ["decode", "http://b2:1", 1],
  ]);
});
