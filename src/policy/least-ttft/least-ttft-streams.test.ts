import { describe, expect, test } from "bun:test";
import { PolicyFleet, streamOf, text } from "../../../test/support/policy-fleet.ts";
import type { Policy } from "../policy.ts";
import { leastTtft } from "./least-ttft.ts";

describe("streams that decode", () => {
  /** Two workers that decode three streams each, in steps of 20 ms that end together. */
  function decoding(): { fleet: PolicyFleet; policy: Policy; step: (slots: readonly number[]) => void } {
    const fleet = new PolicyFleet({ workers: 2 });
    const policy = fleet.create(leastTtft);
    const sent = Array.from({ length: 6 }, (_, number) => {
      const one = fleet.send(policy, streamOf(text(`prompt ${number}`, 400)), [fleet.candidates[number % 2] ?? fail()]);
      fleet.nowMs += 20;
      return one.firstToken();
    });
    const step = (slots: readonly number[]): void => {
      fleet.nowMs += 20;
      for (const one of sent) if (slots.includes(one.slot)) one.piece();
    };
    for (let count = 0; count < 5; count += 1) step([0, 1]);
    return { fleet, policy, step };
  }
  const fail = (): never => {
    throw new Error("there is no such worker");
  };
  const chosenBy = ({ fleet, policy }: Pick<ReturnType<typeof decoding>, "fleet" | "policy">): number => {
    const sent = fleet.send(policy, streamOf(text(`next ${fleet.nowMs}`, 400)));
    sent.end();
    return sent.slot;
  };

  test("show which worker begins its next step soonest", () => {
    const setup = decoding();
    setup.step([0]);
    setup.fleet.nowMs += 15;
    setup.step([1]);
    setup.fleet.nowMs += 1;
    // Worker 0 is 36 ms into a step of 20, worker 1 has just begun one.
    expect([chosenBy(setup), chosenBy(setup)]).toEqual([0, 0]);
  });

  test("that all fall silent at one worker keep new requests away from it before any first token is late", () => {
    const setup = decoding();
    for (let count = 0; count < 10; count += 1) setup.step([1]);
    const costs = setup.policy.costs?.(setup.fleet.candidates, streamOf(text("next", 400))) ?? [];
    expect((costs[0] ?? 0) - (costs[1] ?? 0)).toBeGreaterThan(0.3);
    expect(Array.from({ length: 4 }, () => chosenBy(setup))).toEqual([1, 1, 1, 1]);
    setup.step([0, 1]);
    const [back = 0, other = 0] = setup.policy.costs?.(setup.fleet.candidates, streamOf(text("next", 400))) ?? [];
    expect(back - other).toBeLessThan(0.03);
  });

  test("of a worker that was restarted are not heard any more", () => {
    const setup = decoding();
    const [worker] = setup.fleet.candidates;
    setup.policy.forget?.(worker?.id ?? "", worker?.slot ?? 0);
    const before = setup.policy.costs?.(setup.fleet.candidates, streamOf(text("next", 400)))[0];
    setup.step([0]);
    setup.step([0]);
    setup.fleet.nowMs += 5000;
    expect(setup.policy.costs?.(setup.fleet.candidates, streamOf(text("next", 400)))[0]).toBeCloseTo(before ?? 0, 3);
  });
});
