import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isChosenBefore, isIdle } from "./candidate-order.ts";
import { Chooser } from "./chooser.ts";
import { CHOSEN, stateBytes, workerAt } from "./shared-layout.ts";
import { COST, DECODE, PREFILL_S, ROW, SLOT, WAITING, Weighed } from "./weighed.ts";

/** Candidates at these slots, of which each has these cells besides. */
function weighedAt(slots: readonly number[], cells: Readonly<Record<number, number>> = {}): Weighed {
  const weighed = new Weighed();
  for (const [at, slot] of slots.entries()) {
    weighed.cells[at * ROW + SLOT] = slot;
    for (const [cell, value] of Object.entries(cells)) weighed.cells[at * ROW + Number(cell)] = value;
  }
  weighed.count = slots.length;
  return weighed;
}

describe("a worker is idle", () => {
  test("where nothing waits and nothing decodes, whatever the request itself costs there", () => {
    expect(isIdle(weighedAt([3], { [PREFILL_S]: 5, [COST]: 5 }), 0)).toBe(true);
  });

  test.each([
    ["waits", WAITING],
    ["decodes", DECODE],
  ] as const)("not where something %s, however little", (_, cell) => {
    expect(isIdle(weighedAt([3], { [cell]: Number.MIN_VALUE }), 0)).toBe(false);
  });

  test("by its own cells, not by those of the candidate beside it", () => {
    const weighed = weighedAt([3, 4]);
    weighed.cells[ROW + WAITING] = 1;
    expect([isIdle(weighed, 0), isIdle(weighed, 1)]).toEqual([true, false]);
  });
});

describe("of two workers one was chosen before the other", () => {
  test("by the turns of their slots, not by their places among the candidates", () => {
    const cells = new Float64Array(stateBytes(1) / 8);
    cells[workerAt(7) + CHOSEN] = 1;
    cells[workerAt(2) + CHOSEN] = 2;
    const weighed = weighedAt([2, 7]);
    expect(isChosenBefore(cells, weighed, 1, 0)).toBe(true);
    expect(isChosenBefore(cells, weighed, 0, 1)).toBe(false);
  });

  test("never where neither was chosen, nor for a worker and itself", () => {
    const cells = new Float64Array(stateBytes(1) / 8);
    const weighed = weighedAt([2, 7]);
    expect(isChosenBefore(cells, weighed, 0, 1)).toBe(false);
    expect(isChosenBefore(cells, weighed, 0, 0)).toBe(false);
  });

  test("so that equals take turns: whatever was chosen before, each of them comes once in a round", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(500), { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(500), { maxLength: 30 }),
        (slots, before) => {
          const cells = new Float64Array(stateBytes(1) / 8);
          const chooser = new Chooser(cells);
          for (const slot of before) chooser.note(slot);
          const weighed = weighedAt(slots, { [COST]: 1 });
          const round = slots.map(() => {
            const slot = weighed.of(chooser.choose(weighed), SLOT);
            chooser.note(slot);
            return slot;
          });
          expect(new Set(round).size).toBe(slots.length);
        },
      ),
      { numRuns: 50 },
    );
  });
});
