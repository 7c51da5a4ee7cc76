import { expect, test } from "bun:test";
import type { PolicyMethod } from "../policy/guarded-policy.ts";
import { createMethodCell, noteMethods, runningMethod } from "./method-cell.ts";

test("the cell names the method that runs, from its beginning to its end", () => {
  const cell = createMethodCell();
  const watch = noteMethods(cell);
  expect(runningMethod(cell)).toBeUndefined();
  const methods: readonly PolicyMethod[] = ["select", "forget", "pick", "costs", "onFirstToken", "onEnd"];
  const names = methods.map((method) => {
    watch.enter(method);
    const name = runningMethod(cell);
    watch.leave();
    return name;
  });
  expect(names).toEqual(methods.map((method) => `${method}() of the policy module`));
  expect(runningMethod(cell)).toBeUndefined();
});
