import { describe, expect, test } from "bun:test";
import { candidates as workers, chosenBy, createPolicy, requestWith } from "../../test/support/candidates.ts";
import { manual } from "./manual.ts";
import type { Candidate, Policy } from "./policy.ts";

const of = (key: string | undefined) => requestWith({ routingKey: () => key });

function setUp(options: object = {}): { clock: { ms: number }; policy: Policy } {
  const clock = { ms: 0 };
  return { clock, policy: createPolicy(manual, { ...options }, { now: () => clock.ms, random: () => 0.5 }) };
}

describe("manual", () => {
  test("a session stays with its worker, however busy that is, and when others join", () => {
    const { policy } = setUp();
    const first = workers(0, 0, 0)[chosenBy(policy, workers(0, 0, 0), of("a"))]?.id;
    const later = workers(99, 99, 0, 0, 0);
    expect(later[chosenBy(policy, later, of("a"))]?.id).toBe(first ?? "");
  });

  test("a session whose worker cannot take the request gets another for good", () => {
    const { policy } = setUp({ assignmentMode: "min_load" });
    const all = workers(0, 1, 2);
    expect(chosenBy(policy, all, of("a"))).toBe(0);
    const without = all.slice(1);
    expect(without[chosenBy(policy, without, of("a"))]?.id).toBe("w1");
    expect(chosenBy(policy, all, of("a"))).toBe(1);
  });

  test("new sessions go to any worker, to the one with the fewest requests, or to the one with the fewest sessions", () => {
    expect(chosenBy(setUp().policy, workers(0, 9, 0), of("a"))).toBe(1);
    expect(chosenBy(setUp({ assignmentMode: "min_load" }).policy, workers(2, 1, 3), of("a"))).toBe(1);
    const { policy } = setUp({ assignmentMode: "min_group" });
    const counts = [0, 0, 0];
    for (let session = 0; session < 30; session += 1) {
      const chosen = chosenBy(policy, workers(9, 0, 5), of(`session ${session}`));
      counts[chosen] = (counts[chosen] ?? 0) + 1;
    }
    expect(counts).toEqual([10, 10, 10]);
  });

  test("a session that had no request for too long is a new one", () => {
    const { clock, policy } = setUp({ assignmentMode: "min_load", maxIdleSecs: 60 });
    expect(chosenBy(policy, workers(0, 1), of("a"))).toBe(0);
    clock.ms = 59_000;
    expect(chosenBy(policy, workers(5, 1), of("a"))).toBe(0);
    clock.ms = 119_000;
    expect(chosenBy(policy, workers(5, 1), of("a"))).toBe(1);
  });

  test("a worker that left takes its sessions along, so that the next one with its slot does not get them", () => {
    const { policy } = setUp({ assignmentMode: "min_load" });
    expect(chosenBy(policy, workers(0, 1), of("a"))).toBe(0);
    policy.forget?.("w0", 0);
    expect(chosenBy(policy, workers(5, 1), of("a"))).toBe(1);
  });

  test("a request without a key belongs to no session", () => {
    const { policy } = setUp({ assignmentMode: "min_load" });
    expect(chosenBy(policy, workers(0, 1), of(undefined))).toBe(0);
    expect(chosenBy(policy, workers(1, 0), of(undefined))).toBe(1);
  });

  test("each session has a worker of its own choice among thousands", () => {
    const { policy } = setUp({ assignmentMode: "min_load" });
    const many: Candidate[] = workers(...Array.from({ length: 3000 }, (_, index) => index % 7));
    const first = chosenBy(policy, many, of("a"));
    expect(chosenBy(policy, many, of("a"))).toBe(first);
  });
});
