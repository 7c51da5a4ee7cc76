import { expect, test } from "bun:test";
import { LoopTurns } from "./loop-turns.ts";

test("who asks is told of each turn until it has heard enough, and then nothing is waited for", () => {
  const actions: (() => void)[] = [];
  const turns = new LoopTurns((action) => actions.push(action));
  let heard = 0;
  const one = {
    turned() {
      heard += 1;
      return heard < 2;
    },
  };
  turns.add(one);
  turns.add(one);
  expect(actions.length).toBe(1);
  for (let turn = 0; turn < 3; turn += 1) actions.shift()?.();
  expect([heard, actions.length]).toEqual([2, 0]);
  turns.add(one);
  expect(actions.length).toBe(1);
});
