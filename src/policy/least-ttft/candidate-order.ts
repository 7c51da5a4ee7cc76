import { CHOSEN, workerAt } from "./shared-layout.ts";
import { DECODE, SLOT, WAITING, type Weighed } from "./weighed.ts";

/** Costs that differ by less are equal, s. */
export const EQUAL_S = 1e-4;

/** Nothing waits and nothing decodes there. */
export function isIdle(weighed: Weighed, at: number): boolean {
  return weighed.of(at, DECODE) === 0 && weighed.of(at, WAITING) === 0;
}

/** Whether the worker at one place was chosen less recently than that at another one, by any thread. */
export function isChosenBefore(cells: Float64Array, weighed: Weighed, one: number, other: number): boolean {
  return turnOf(cells, weighed.of(one, SLOT)) < turnOf(cells, weighed.of(other, SLOT));
}

function turnOf(cells: Float64Array, slot: number): number {
  return cells[workerAt(slot) + CHOSEN] ?? 0;
}
