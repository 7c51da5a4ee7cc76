import { expect, test } from "bun:test";
import { NEEDS_RESTART } from "../config/needs-restart.ts";
import { configSchema } from "../config/schema.ts";
import { keysOf } from "../util/objects.ts";
import * as LISTS from "./live-keys.ts";

test("each option either is taken at run time by one part, or needs a restart for a reason", () => {
  const live = Object.values(LISTS).flat();
  const all = [...live, ...keysOf(NEEDS_RESTART)];
  expect(all.toSorted()).toEqual(keysOf(configSchema.shape).toSorted());
});
