import { expect, test } from "bun:test";
import { isOlder } from "./engine-version.ts";

test("versions are compared by their numbers", () => {
  const older = (version: string): boolean => isOlder(version, [0, 27]);
  expect(["0.9.2", "0.26.0", "0.26.1.dev3+gabc", "v0.10.0", "0.4"].map(older)).toEqual([true, true, true, true, true]);
  expect(["0.27.0", "0.27.0rc1", "0.27", "0.32.0+cpu", "1.0"].map(older)).toEqual([false, false, false, false, false]);
  expect([isOlder("0.5.22", [0, 5, 23]), isOlder("0.5.23.post1", [0, 5, 23])]).toEqual([true, false]);
  expect(isOlder("0.5", [0, 5, 9])).toBe(true);
});

test("a version that says nothing counts as the newest one", () => {
  expect(
    [undefined, "", "main", "0.1.dev1+g1234567", "0.0.0.dev0"].map((version) => isOlder(version, [0, 27])),
  ).toEqual([false, false, false, false, false]);
});
