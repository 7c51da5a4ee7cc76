import { describe, expect, test } from "bun:test";
import { requestWith } from "../../test/support/candidates.ts";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import type { Decision } from "../observability/decision.ts";
import type { Picked, PickOutcome, Policy } from "../policy/policy.ts";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import type { Worker } from "../worker/worker.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import type { Choice, SelectionRequest } from "./choice.ts";
import { Selection, type SelectionDeps } from "./selection.ts";
import type { WorkerType } from "../util/worker-type.ts";

const FIRST: Policy = { name: "first", pick: () => 0 };
const NOBODY: ReadonlySet<string> = new Set();
const REQUEST: SelectionRequest = {
  features: requestWith(),
  record: { decisions: undefined },
};

function add(fleet: FleetSetup, workerType: WorkerType, name: string): Worker {
  return fleet.add(`http://${name}:1`, { modelId: "m", workerType, labels: { kind: name[0] ?? "" } });
}

/** Prefill and decode workers whose names begin with the same letter fit together. */
function select(
  fleet: FleetSetup,
  lost = NOBODY,
  policy = FIRST,
  request = REQUEST,
  wanted: SelectionDeps["wanted"] = { ask: () => undefined },
): Selection {
  const leg = (role: "prefill" | "decode"): Choice["legs"]["answer"] => ({
    role,
    snapshot: fleet.registry.getWorkersForModel("m", "http", role),
    policy,
  });
  const fits = (one: Worker, other: Worker): boolean => one.spec.labels["kind"] === other.spec.labels["kind"];
  const { ledger, clock } = fleet;
  return new Selection({ ledger, clock, random: () => 0, capacityRetryAfterSecs: 5, wanted }, request, {
    legs: { prefill: leg("prefill"), answer: leg("decode") },
    lost,
    fits,
    prefillsAlone: (decode) => decode.spec.labels["alone"] === "yes",
  });
}

const names = ({ prefill, answer }: ReturnType<Selection["first"]>): string[] =>
  [...(prefill ? [prefill] : []), answer].map(
    ({ worker, isProbe }) => `${new URL(worker.url).hostname}${isProbe ? " to be proven" : ""}`,
  );

/** Its breaker has opened, and lets one request through. */
function halfOpen(fleet: FleetSetup, ...workers: readonly Worker[]): void {
  for (const worker of workers) fleet.fault(worker, 4);
  fleet.clock.advance(1000);
}

test("a prefill worker that no decode worker fits is passed over", () => {
  const fleet = setUpFleet();
  add(fleet, "prefill", "a1");
  add(fleet, "prefill", "b1");
  add(fleet, "decode", "b2");
  add(fleet, "decode", "c2");
  expect(names(select(fleet).first())).toEqual(["b1", "b2"]);
});

test("where nobody fits, and where a leg has nobody, it says which", () => {
  const fleet = setUpFleet();
  add(fleet, "prefill", "a1");
  expect(() => select(fleet).first()).toThrow("no decode worker can take this request now");
  const decode = add(fleet, "decode", "b2");
  expect(() => select(fleet).first()).toThrow("no prefill and decode workers that fit together can");
  fleet.registry.update(decode.id, { status: "not_ready" });
  expect(() => select(fleet).first()).toThrow("no decode worker can take this request now");
});

test("each leg of which no worker can take the request is told of, and no other", () => {
  const fleet = setUpFleet();
  const told: string[][] = [];
  const wanted: SelectionDeps["wanted"] = { ask: ({ workers }) => told.push(workers.map(({ url }) => url)) };
  const refused = (): void => expect(() => select(fleet, NOBODY, FIRST, REQUEST, wanted).first()).toThrow("can");
  const [prefill, decode] = [add(fleet, "prefill", "a1"), add(fleet, "decode", "b2")];
  refused();
  expect(told).toEqual([]);
  fleet.registry.update(decode.id, { status: "not_ready" });
  refused();
  fleet.registry.update(prefill.id, { status: "not_ready" });
  refused();
  expect(told).toEqual([["http://b2:1"], ["http://a1:1"], ["http://b2:1"]]);
});

test("one that failed is left out where a fitting one can take its place, and kept where none can", () => {
  const fleet = setUpFleet();
  const failed = add(fleet, "prefill", "a1");
  add(fleet, "prefill", "b1");
  const decode = add(fleet, "decode", "a2");
  const selection = select(fleet);
  expect([selection.leaveOut(failed), selection.leaveOut(decode)]).toEqual([false, false]);
  expect(names(selection.next())).toEqual(["a1", "a2"]);
  add(fleet, "prefill", "a3");
  const other = select(fleet);
  expect(other.leaveOut(failed)).toBe(true);
  expect(names(other.next())).toEqual(["a3", "a2"]);
});

test("a rank whose engine is broken or out of reach takes the other ranks with it, where somebody else is left", () => {
  const ofEngine = (fleet: FleetSetup, name: string, of: number): Worker[] =>
    Array.from({ length: of }, (_, index) => {
      const spec = { modelId: "m", workerType: "decode", labels: { kind: "a" } } as const;
      const worker = new WorkerFactory({ ledger: fleet.ledger }).createFromUrl(`http://${name}:1`, spec, { index, of });
      fleet.registry.register(worker);
      return fleet.registry.update(worker.id, { status: "ready" });
    });
  const next = (others: number, code?: ErrorCode): [boolean, string | undefined] => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a0");
    const [first] = ofEngine(fleet, "one", 3);
    if (others > 0) ofEngine(fleet, "two", others);
    const selection = select(fleet);
    const isLeftOut = first !== undefined && selection.leaveOut(first, code && new GatewayError(code, "it failed"));
    return [isLeftOut, isLeftOut ? selection.next().answer.worker.url : undefined];
  };
  expect(next(2, "upstream_connect_failed")).toEqual([true, "http://two:1@0"]);
  expect(next(2, "upstream_closed")).toEqual([true, "http://two:1@0"]);
  // Alone, the engine may have lost one connection; but nobody is asked again who cannot be reached.
  expect(next(0, "upstream_closed")).toEqual([true, "http://one:1@1"]);
  expect(next(0, "upstream_connect_failed")).toEqual([false, undefined]);
  // What one rank refuses, another one may take.
  expect(next(2, "upstream_busy")).toEqual([true, "http://one:1@1"]);
});

test("a worker in its slow start is a candidate for its share of the requests, whatever the policy", () => {
  const fleet = setUpFleet();
  const one = fleet.add("http://one:1", { modelId: "m" });
  fleet.add("http://two:1", { modelId: "m" });
  fleet.registry.update(one.id, { slowStart: { since: 0, until: 1000 } });
  fleet.clock.advance(400);
  const { ledger, clock } = fleet;
  const pick = (draw: number, lost = NOBODY): string[] => {
    const snapshot = fleet.registry.getWorkersForModel("m", "http", "regular");
    const deps = { ledger, clock, random: () => draw, capacityRetryAfterSecs: 5, wanted: { ask: () => undefined } };
    const legs = { prefill: undefined, answer: { role: "regular", snapshot, policy: FIRST } } as const;
    return names(new Selection(deps, REQUEST, { legs, lost, fits: () => true, prefillsAlone: () => false }).first());
  };
  expect([pick(0.39), pick(0.41)]).toEqual([["one"], ["two"]]);
  fleet.clock.advance(600);
  expect(pick(0.99)).toEqual(["one"]);
});

test("workers that the request has lost are not chosen", () => {
  const fleet = setUpFleet();
  const lost = add(fleet, "decode", "a2");
  add(fleet, "decode", "a3");
  add(fleet, "prefill", "a1");
  expect(names(select(fleet, new Set([lost.id])).first())).toEqual(["a1", "a3"]);
});

test("a half-open worker is proven by one request, of either leg or of both", () => {
  const fleet = setUpFleet();
  const prefill = add(fleet, "prefill", "a1");
  add(fleet, "prefill", "a3");
  const decode = add(fleet, "decode", "a2");
  add(fleet, "decode", "a4");
  halfOpen(fleet, prefill, decode);
  expect(names(select(fleet).first())).toEqual(["a1 to be proven", "a2 to be proven"]);
  expect(names(select(fleet).first())).toEqual(["a3", "a4"]);
});

test("a proof that fits nobody is given back for another request", () => {
  const fleet = setUpFleet();
  const [prefill, decode] = [add(fleet, "prefill", "a1"), add(fleet, "decode", "c2")];
  add(fleet, "prefill", "b1");
  add(fleet, "decode", "b2");
  halfOpen(fleet, prefill, decode);
  for (let count = 0; count < 2; count += 1) expect(names(select(fleet).first())).toEqual(["b1", "b2"]);
  expect([prefill, decode].map(({ slot }) => fleet.ledger.tryAcquireProbe(slot))).toEqual([true, true]);
});

test("a proof is given back where the other leg has nobody", () => {
  const fleet = setUpFleet();
  const prefill = add(fleet, "prefill", "a1");
  add(fleet, "prefill", "a3");
  halfOpen(fleet, prefill);
  expect(() => select(fleet).first()).toThrow("no decode worker can");
  expect(fleet.ledger.tryAcquireProbe(prefill.slot)).toBe(true);
});

describe("workers with different priorities", () => {
  function fleetOf(...priorities: readonly number[]): { fleet: FleetSetup; workers: readonly Worker[] } {
    const fleet = setUpFleet();
    const workers = priorities.map((priority, index) => fleet.add(`http://w${index}:1`, { modelId: "m", priority }));
    return { fleet, workers };
  }
  function selection(
    { ledger, clock, registry }: FleetSetup,
    draw = 0,
    seen: (count: number) => void = () => {},
  ): Selection {
    const snapshot = registry.getWorkersForModel("m", "http", "regular");
    const policy: Policy = { name: "last", pick: ({ length }) => (seen(length), length - 1) };
    const deps = { ledger, clock, random: () => draw, capacityRetryAfterSecs: 5, wanted: { ask: () => undefined } };
    const legs = { prefill: undefined, answer: { role: "regular", snapshot, policy } } as const;
    return new Selection(deps, REQUEST, { legs, lost: NOBODY, fits: () => true, prefillsAlone: () => false });
  }

  test("only those with the highest are candidates, for any policy, however busy they are", () => {
    const { fleet, workers } = fleetOf(50, 60, 60, 40);
    for (let count = 0; count < 100; count += 1) fleet.ledger.charge(workers[1]?.slot ?? 0, 1000);
    const counts: number[] = [];
    expect(names(selection(fleet, 0, (count) => counts.push(count)).first())).toEqual(["w2"]);
    expect(counts).toEqual([2]);
  });

  test("the next ones get the requests while all higher ones are down, ejected or asked to rest", () => {
    const { fleet, workers } = fleetOf(60, 60, 50, 40);
    const [one, two] = workers;
    fleet.registry.update(one?.id ?? "", { status: "not_ready" });
    expect(names(selection(fleet).first())).toEqual(["w1"]);
    fleet.registry.update(two?.id ?? "", { restUntil: fleet.clock.now() + 1000 });
    expect(names(selection(fleet).first())).toEqual(["w2"]);
    fleet.registry.update(one?.id ?? "", { status: "ready" });
    expect(names(selection(fleet).first())).toEqual(["w0"]);
  });

  test("a request that failed at the only one with the highest goes on to the next", () => {
    const { fleet, workers } = fleetOf(50, 60, 40);
    const tried = selection(fleet);
    expect(names(tried.first())).toEqual(["w1"]);
    expect(workers[1] && tried.leaveOut(workers[1])).toBe(true);
    expect(names(tried.next())).toEqual(["w0"]);
  });

  test("one that is back and starts slowly leaves the rest of its share to the next ones", () => {
    const { fleet, workers } = fleetOf(60, 50);
    fleet.registry.update(workers[0]?.id ?? "", { slowStart: { since: 0, until: 1000 } });
    fleet.clock.advance(400);
    expect([names(selection(fleet, 0.39).first()), names(selection(fleet, 0.41).first())]).toEqual([["w0"], ["w1"]]);
  });
});

describe("a policy that wants to hear more", () => {
  interface Curious extends Policy {
    /** Candidates of each pick, by the names of their hosts. */
    readonly asked: string[][];
    readonly ended: PickOutcome[];
  }

  function curious(choose: (names: readonly string[]) => number = () => 0): Curious {
    const [asked, ended]: [string[][], PickOutcome[]] = [[], []];
    return {
      name: "curious",
      asked,
      ended,
      pick(candidates): number | Picked {
        const hosts = candidates.map(({ url }) => new URL(url).hostname);
        asked.push(hosts);
        const index = choose(hosts);
        return index < 0 ? index : { index, chargeTokens: 3, onEnd: ({ outcome }) => void ended.push(outcome) };
      },
    };
  }

  test("has its choice go along to the attempt", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2");
    const policy = curious();
    const { prefill, answer } = select(fleet, NOBODY, policy).first();
    expect([prefill?.pick?.chargeTokens, answer.pick?.chargeTokens, policy.ended]).toEqual([3, 3, []]);
  });

  test("is not asked about a worker that is to be proven", () => {
    const fleet = setUpFleet();
    const prefill = add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2");
    halfOpen(fleet, prefill);
    const policy = curious();
    expect(select(fleet, NOBODY, policy).first().prefill?.pick).toBeUndefined();
    expect(policy.asked).toEqual([["a2"]]);
  });

  test("hears that a prefill worker was not sent the request, as no decode worker fits", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "prefill", "b1");
    add(fleet, "decode", "b2");
    const policy = curious();
    expect(names(select(fleet, NOBODY, policy).first())).toEqual(["b1", "b2"]);
    expect([policy.asked, policy.ended]).toEqual([[["a1", "b1"], ["b1"], ["b2"]], ["unsent"]]);
  });

  test("hears that a prefill worker was not sent the request, as it chose no decode worker", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "decode", "a2");
    const policy = curious((hosts) => hosts.indexOf("a1"));
    expect(() => select(fleet, NOBODY, policy).first()).toThrow("no decode worker can take this request now");
    expect(policy.ended).toEqual(["unsent"]);
  });

  test("is asked again about the same workers where these are asked once more", () => {
    const fleet = setUpFleet();
    add(fleet, "prefill", "a1");
    add(fleet, "prefill", "a3");
    add(fleet, "decode", "a2");
    const policy = curious();
    const selection = select(fleet, NOBODY, policy);
    const chosen = selection.first();
    const again = selection.again(chosen);
    expect(names(again)).toEqual(["a1", "a2"]);
    expect(policy.asked.slice(2)).toEqual([["a1"], ["a2"]]);
    expect([again.prefill?.pick === chosen.prefill?.pick, again.prefill?.pick?.chargeTokens]).toEqual([false, 3]);
    const plain = select(fleet);
    const first = plain.first();
    const same = { reason: "same_again", candidates: 1 } as const;
    expect(plain.again(first)).toEqual({
      prefill: first.prefill && { ...first.prefill, ...same },
      answer: { ...first.answer, ...same },
    });
  });

  test("is asked for costs only where somebody wants to know, and before it chooses", () => {
    const fleet = setUpFleet();
    const one = add(fleet, "prefill", "a1");
    add(fleet, "prefill", "a3");
    add(fleet, "decode", "a2");
    const calls: string[] = [];
    const policy: Policy = {
      name: "dear",
      costs: (candidates) => (calls.push("costs"), candidates.map((_, index) => 10 - index)),
      pick: () => (calls.push("pick"), { index: 0, chargeTokens: 8 }),
    };
    select(fleet, NOBODY, policy).first();
    expect(calls).toEqual(["pick", "pick"]);
    const decisions: Decision[] = [];
    select(fleet, NOBODY, policy, { ...REQUEST, record: { decisions } }).first();
    expect(calls.slice(2)).toEqual(["costs", "pick", "costs", "pick"]);
    expect(decisions[0]).toMatchObject({
      role: "prefill",
      policy: "dear",
      worker: one.url,
      reason: "unsaid",
      candidates: 2,
      heldBack: 0,
      unit: "points",
      cost: 10,
      considered: [
        { worker: "http://a3:1", cost: 9 },
        { worker: "http://a1:1", cost: 10 },
      ],
      chargeTokens: 8,
    });
    expect(decisions.length).toBe(2);
  });
});
