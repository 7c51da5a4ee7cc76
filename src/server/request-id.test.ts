import { expect, test } from "bun:test";
import { requestIdOf } from "./request-id.ts";

const NAMES = ["x-request-id", "x-correlation-id"];

test("a request has the id of the first header with one that is safe to log and to send on", () => {
  const idOf = (headers: Record<string, string>): string => requestIdOf(new Headers(headers), NAMES);
  expect(idOf({ "x-request-id": "a-1:b.c_D", "x-correlation-id": "other" })).toBe("a-1:b.c_D");
  expect(idOf({ "x-correlation-id": "other" })).toBe("other");
  expect(idOf({ "x-request-id": "a b", "x-correlation-id": "other" })).toBe("other");
  expect(idOf({ "x-request-id": "x".repeat(128) })).toBe("x".repeat(128));
});

test("a request without one gets an id of its own", () => {
  const foreign = ["", "a b", 'a"b', "é", "x".repeat(129), "{}"];
  const ids = foreign.map((id) => requestIdOf(new Headers({ "x-request-id": id }), NAMES));
  for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
  expect(new Set(ids).size).toBe(foreign.length);
  expect(requestIdOf(new Headers({ "x-request-id": "mine" }), [])).not.toBe("mine");
});
