import { describe, expect, test } from "bun:test";
import { Members } from "./members.ts";

/** Members named m0, m1 and so on, one after the other. */
function filled(count: number): Members {
  const members = new Members();
  for (let at = 0; at < count; at += 1) members.add({ name: `m${at}`, start: at * 10, end: at * 10 + 5, commas: 0 });
  return members;
}

describe("members", () => {
  test("are found by name, whether they are few or many", () => {
    for (const count of [1, 24, 25, 4096]) {
      const members = filled(count);
      const last = count - 1;
      expect([members.size, members.list.length]).toEqual([count, count]);
      expect(members.get("m0")).toEqual({ name: "m0", start: 0, end: 5, commas: 0 });
      expect(members.get(`m${last}`)).toEqual({ name: `m${last}`, start: last * 10, end: last * 10 + 5, commas: 0 });
      expect(members.get(`m${count}`)).toBeUndefined();
      expect(members.get("constructor")).toBeUndefined();
    }
  });

  test("are taken once each", () => {
    for (const count of [1, 24, 25, 100]) {
      const members = filled(count);
      expect(members.add({ name: "m0", start: 1, end: 2, commas: 0 })).toBe(false);
      expect([members.size, members.get("m0")?.start]).toEqual([count, 0]);
    }
  });

  test("keep the order of the body", () => {
    expect([...filled(30)].map(([name, { start }]) => [name, start])).toEqual(
      Array.from({ length: 30 }, (_, at) => [`m${at}`, at * 10]),
    );
  });
});
