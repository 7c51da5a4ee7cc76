import { describe, expect, test } from "bun:test";
import { ratioBound, valueBound, verdict } from "./bounds.ts";
import { Results } from "./results.ts";

function results(samples: readonly (readonly [row: string, value: number])[]): Results {
  return new Results(samples.map(([row, value]) => ({ kind: "sample", row, metric: "cpu", value })));
}

describe("a bound", () => {
  test("compares medians with the best of the peers that were measured", () => {
    const bound = ratioBound("cost", "cpu", ["a", "b", "absent"], 0.5);
    const measured = results([
      ["pointsman", 4],
      ["pointsman", 6],
      ["pointsman", 100],
      ["a", 20],
      ["b", 10],
    ]);
    expect(verdict(bound, measured)).toEqual(["cost", "≤ 0.5 x", "0.60 x FAIL"]);
  });

  test("is held at its limit", () => {
    expect(verdict(valueBound("cost", "cpu", 5, " ms"), results([["pointsman", 5]]))[2]).toBe("5.00 ms PASS");
  });

  test("that is a floor fails below it", () => {
    const floor = { ...valueBound("gain", "cpu", 2, " x"), isFloor: true };
    expect(verdict(floor, results([["pointsman", 1.9]]))).toEqual(["gain", "≥ 2 x", "1.90 x FAIL"]);
  });

  test("says how certain its value is, where that is known", () => {
    const bound = { ...valueBound("cost", "cpu", 5, " x"), interval: () => ({ from: 3.5, to: 4.567 }) };
    expect(verdict(bound, results([["pointsman", 4]]))[2]).toBe("4.00 x (3.50 to 4.57) PASS");
  });

  test("says nothing where nobody was there to compare with", () => {
    expect(verdict(ratioBound("cost", "cpu", ["a"], 1), results([["pointsman", 1]]))[2]).toBe("not measured");
    expect(verdict(ratioBound("cost", "cpu", ["a"], 1), undefined)[2]).toBe("not measured");
  });
});
