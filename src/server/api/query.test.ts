import { expect, test } from "bun:test";
import { refusal } from "../../../test/support/refusal.ts";
import { refuseUnknown, wholeNumberIn } from "./query.ts";

test("a parameter that a route does not have is refused, with those that it has", () => {
  expect(refusal(() => refuseUnknown(new URLSearchParams("limit=1&model=m"), ["model", "limit"]))).toEqual([]);
  const told = (): void => refuseUnknown(new URLSearchParams("limit=1&Model=m"), ["model", "limit"]);
  expect(told).toThrow('unknown parameter "Model"; there are model, limit');
  expect(refusal(told)[0]).toBe("invalid_request");
});

test("a whole number is taken from 1 on, and nothing else for it", () => {
  const number = (query: string): number | undefined => wholeNumberIn(new URLSearchParams(query), "limit");
  expect([number("limit=1"), number("limit=999999999"), number("other=7"), number("")]).toEqual([
    1,
    999_999_999,
    undefined,
    undefined,
  ]);
  for (const wrong of ["", "0", "-1", "1.5", "1e3", "0x10", " 1", "01", "1000000000", "ten"]) {
    expect(() => number(`limit=${wrong}`)).toThrow("limit must be a whole number from 1");
  }
});
