import { describe, expect, test } from "bun:test";
import { idleCandidate } from "../../../test/support/candidates.ts";
import { ServiceRates } from "./service-rates.ts";
import { stateBytes } from "./shared-layout.ts";
import { UnheardCost } from "./unheard-cost.ts";
import { UnheardWork } from "./unheard-work.ts";
import { COST, DECODE, PREFILL_S, ROW, SLOT, UNHEARD, Weighed, WORK } from "./weighed.ts";

const WORKERS = 8;
const NAMES = ["g0", "g1", "g2", "g3"];
const TOKEN_S = 1 / 8000;
const CANDIDATES = Array.from({ length: WORKERS }, (_, slot) => idleCandidate(slot));

/** The unheard costs of a request of so much work, at workers that cost so much besides, for one of four gateways. */
function unheardAt(gateway: string, costs: readonly number[], work = 1000, candidates = CANDIDATES): number[] {
  const others = new UnheardWork(gateway);
  for (let now = 0; now < 200; now += 0.1) {
    for (const name of NAMES) if (name !== gateway) others.heard(name, now, now - 0.1, 500);
  }
  const rates = new ServiceRates(new Float64Array(stateBytes(1) / 8));
  const weighed = new Weighed();
  weighed.now = 200;
  for (const [at, cost] of costs.entries()) {
    const row = at * ROW;
    rates.refresh(at, 200);
    weighed.cells[row + SLOT] = at;
    weighed.cells[row + WORK] = work;
    weighed.cells[row + PREFILL_S] = work * TOKEN_S;
    weighed.cells[row + DECODE] = cost;
    weighed.cells[row + COST] = cost + work * TOKEN_S;
    weighed.count += 1;
  }
  const unheard = new UnheardCost(others, rates);
  unheard.know(candidates);
  unheard.addTo(weighed);
  return costs.map((cost, at) => {
    expect(weighed.of(at, COST)).toBeCloseTo(cost + work * TOKEN_S + weighed.of(at, UNHEARD), 12);
    return weighed.of(at, UNHEARD);
  });
}

/** The workers that cost a gateway least. */
function ownOf(gateway: string, candidates = CANDIDATES): number[] {
  const costs = unheardAt(gateway, Array<number>(WORKERS).fill(0), 1000, candidates);
  const least = Math.min(...costs);
  return costs.flatMap((cost, worker) => (cost < least + 1e-9 ? [worker] : []));
}

describe("what other gateways may have sent", () => {
  test("costs least at a gateway's own workers, of which each has as many, and no worker has two owners", () => {
    const own = NAMES.map((name) => ownOf(name));
    expect(own.map(({ length }) => length)).toEqual([2, 2, 2, 2]);
    expect(new Set(own.flat()).size).toBe(WORKERS);
  });

  test("is shared out alike wherever a gateway has the workers in its list", () => {
    const turned = CANDIDATES.toReversed();
    for (const name of NAMES) expect(ownOf(name, turned)).toEqual(ownOf(name));
  });

  test("is nothing at workers that are too dear for a request that has nothing cached", () => {
    const costs = unheardAt("g0", [0, 0, 0, 0, 5, 5, 5, 5]);
    expect(Math.min(...costs.slice(0, 4))).toBeGreaterThan(0);
    expect(costs.slice(4)).toEqual([0, 0, 0, 0]);
  });

  test("is all at the cheapest worker where no other one is near", () => {
    const [cheapest = 0, ...others] = unheardAt("g0", [0, 5, 5, 5, 5, 5, 5, 5]);
    // 1,500 tokens, which count twice as all waiting does, and three requests that wait for 1,000.
    expect(cheapest).toBeCloseTo(2 * 1500 * TOKEN_S + 3 * 1000 * TOKEN_S, 2);
    expect(Math.max(...others)).toBe(0);
  });

  test("weighs more for a long prompt, for which others would wait", () => {
    const even = Array<number>(WORKERS).fill(0);
    const spreadOf = (work: number): number => {
      const costs = unheardAt("g0", even, work);
      return Math.max(...costs) - Math.min(...costs);
    };
    expect(spreadOf(50_000)).toBeGreaterThan(5 * spreadOf(1000));
  });

  test("is nothing at a worker that has nothing to prefill", () => {
    expect(unheardAt("g0", [0, 0, 0, 0], 0)).toEqual([0, 0, 0, 0]);
  });
});
