import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import { asRoutingKey, readRoutingKey } from "./routing-key.ts";

const keyOf = (body: object, headers: Record<string, string> = {}, names: readonly string[] = []): string | undefined =>
  readRoutingKey(new Headers(headers), bodyOf(body), names);

describe("the routing key", () => {
  const MEMBERS: readonly object[] = [
    { session_params: { session_id: "key 0" } },
    { session_id: "key 1" },
    { prompt_cache_key: "key 2" },
    { metadata: { session_id: "key 3" } },
    { metadata: { user_id: "key 4" } },
    { user: "key 5" },
    { user_id: "key 6" },
    { safety_identifier: "key 7" },
  ];

  test("is that of a header, in the order of the names, and after them that of a member of the body, in their order", () => {
    const names = ["x-team", "x-session-id"];
    const body = Object.assign({}, ...MEMBERS);
    expect(keyOf(body, { "x-session-id": "s", "X-Team": "t" }, names)).toBe("t");
    expect(keyOf(body, { "x-session-id": "s" }, names)).toBe("s");
    expect(keyOf(body, { "x-session-id": "" }, names)).toBe("key 0");
    for (const [at, member] of MEMBERS.entries()) {
      const rest: object = Object.assign({}, ...MEMBERS.slice(at + 1).toReversed());
      const merged = { ...rest, ...member };
      expect(keyOf(merged)).toBe(`key ${at}`);
    }
  });

  test.each([
    [{ session_id: "", user: "u" }, "u"],
    [{ session_params: { session_id: "" }, user: "u" }, "u"],
    [{ session_params: null, metadata: [], user: "u" }, "u"],
    [{ metadata: { user_id: "" }, safety_identifier: "u" }, "u"],
    [{ session_id: null, prompt_cache_key: {}, user: ["u"] }, undefined],
    [{ user: 4711 }, "4711"],
    [{ user: 0, user_id: "u" }, "0"],
    [{}, undefined],
  ])("of %j is %j", (body, key) => {
    expect(keyOf(body)).toBe(key);
  });

  test("of more than 256 characters is told from one that begins alike, and is the same each time", () => {
    const long = "x".repeat(300);
    const [one, other] = [asRoutingKey(`${long}1`), asRoutingKey(`${long}2`)];
    expect([one?.length, other?.length, one === other]).toEqual([256, 256, false]);
    expect(asRoutingKey(`${long}1`)).toBe(one);
    expect(asRoutingKey("y".repeat(256))).toBe("y".repeat(256));
  });
});
