import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Lane, ProbeLanes } from "./probe-lanes.ts";

interface Setup {
  readonly lanes: ProbeLanes<string>;
  /** What has begun, in order. */
  readonly begun: readonly string[];
  /** Ends the probe of this item. */
  end(item: string): Promise<void>;
}

function setUp(): Setup {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const lanes = new ProbeLanes<string>((item) => {
    begun.push(item);
    return new Promise((resolve) => ends.set(item, resolve));
  });
  return {
    lanes,
    begun,
    async end(item) {
      ends.get(item)?.();
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    },
  };
}

const names = (lane: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${lane}${index}`);

describe("probes", () => {
  test("of workers that are down do not keep those of well workers waiting", () => {
    const { lanes, begun } = setUp();
    for (const item of names("down", 300)) lanes.add(item, "down");
    expect(begun.length).toBe(256);
    for (const item of names("well", 80)) lanes.add(item, "well");
    expect(begun.slice(256)).toEqual(names("well", 64));
  });

  test("that wait begin in the order in which they came, one for each that ends in their lane", async () => {
    const { lanes, begun, end } = setUp();
    for (const item of names("well", 66)) lanes.add(item, "well");
    lanes.add("down0", "down");
    await end("down0");
    expect(begun.length).toBe(65);
    await end("well7");
    expect(begun.slice(65)).toEqual(["well64"]);
    await end("well3");
    expect(begun.slice(66)).toEqual(["well65"]);
  });

  test("that are asked for twice while they wait are made once", async () => {
    const { lanes, begun, end } = setUp();
    for (const item of names("well", 64)) lanes.add(item, "well");
    lanes.add("late", "well");
    lanes.add("late", "well");
    await end("well0");
    await end("well1");
    expect(begun.filter((item) => item === "late")).toEqual(["late"]);
  });

  test("that wait are forgotten when all is cleared", async () => {
    const { lanes, begun, end } = setUp();
    for (const item of names("well", 70)) lanes.add(item, "well");
    lanes.clear();
    await end("well0");
    expect(begun.length).toBe(64);
  });

  test("of any order of additions and ends: none is lost, none is made twice, and no lane is over its bound", async () => {
    const step = fc.record({ lane: fc.constantFrom<Lane>("well", "down"), adds: fc.nat(200), ends: fc.nat(200) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const { lanes, begun, end } = setUp();
        const ended = new Set<string>();
        const added: string[] = [];
        const running = (lane: string): number =>
          begun.filter((item) => item.startsWith(lane) && !ended.has(item)).length;
        for (const { lane, adds, ends } of steps) {
          for (let count = 0; count < adds; count += 1) {
            const item = `${lane}${added.length}`;
            added.push(item);
            lanes.add(item, lane);
          }
          for (const item of begun.filter((one) => !ended.has(one)).slice(0, ends)) {
            ended.add(item);
            await end(item);
          }
          expect(running("well")).toBeLessThanOrEqual(64);
          expect(running("down")).toBeLessThanOrEqual(256);
        }
        while (ended.size < begun.length) {
          const item = begun.find((one) => !ended.has(one)) ?? "";
          ended.add(item);
          await end(item);
        }
        expect([...begun].sort()).toEqual([...added].sort());
      }),
      { numRuns: 20 },
    );
  });
});
