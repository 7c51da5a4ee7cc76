import { describe, expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import { isIds, JsonFields } from "./json-fields.ts";
import type { JsonObject } from "./json.ts";

function fields(json: JsonObject): JsonFields {
  return new JsonFields(json, "");
}

/** Message and param of the error that the reading throws. */
function refusal(read: () => unknown): [code: string, message: string, param: string | undefined] {
  try {
    read();
  } catch (error) {
    if (error instanceof GatewayError) return [error.code, error.message, error.details.param];
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a member", () => {
  test("that is absent or null is undefined, whatever is asked for", () => {
    for (const one of [fields({}), fields({ a: null })]) {
      expect([one.has("a"), one.value("a"), one.string("a"), one.boolean("a"), one.number("a", {})]).toEqual([
        false,
        undefined,
        undefined,
        undefined,
        undefined,
      ]);
      expect([one.integer("a", {}), one.oneOf("a", ["x"]), one.list("a"), one.strings("a"), one.ids("a")]).toEqual([
        undefined,
        undefined,
        undefined,
        undefined,
        undefined,
      ]);
      expect([one.object("a"), one.objects("a")]).toEqual([undefined, undefined]);
    }
  });

  test("of the right type is its value, and false, 0 and an empty string are values", () => {
    const one = fields({ s: "", b: false, n: 0, l: [], o: {} });
    expect([one.string("s"), one.boolean("b"), one.number("n", {}), one.integer("n", {}), one.list("l")]).toEqual([
      "",
      false,
      0,
      0,
      [],
    ]);
    expect(one.object("o")?.path).toBe("o");
  });

  test("of a wrong type is refused with its path", () => {
    const one = fields({ a: { b: [{ c: 7 }] } });
    const inner = one.object("a")?.objects("b")?.[0];
    expect(refusal(() => inner?.string("c"))).toEqual(["invalid_request", "a.b[0].c must be a string", "a.b[0].c"]);
    expect(refusal(() => inner?.boolean("c"))[1]).toBe("a.b[0].c must be true or false");
    expect(refusal(() => inner?.list("c"))[1]).toBe("a.b[0].c must be a list");
    expect(refusal(() => inner?.object("c"))[1]).toBe("a.b[0].c must be an object");
    expect(refusal(() => one.number("a", {}))[1]).toBe("a must be a number");
  });

  test("that must say something is refused where it is absent or empty", () => {
    for (const json of [{}, { model: "" }, { model: null }])
      expect(refusal(() => fields(json).requiredString("model"))[1]).toBe("model must be a non-empty string");
    expect(fields({ model: "m" }).requiredString("model")).toBe("m");
  });

  test("that must be one of some words is refused with all of them", () => {
    expect(fields({ role: "user" }).oneOf("role", ["user", "system"])).toBe("user");
    expect(refusal(() => fields({ role: "bot" }).oneOf("role", ["user", "system"]))[1]).toBe(
      "role must be one of user, system",
    );
  });
});

describe("a number", () => {
  test("may be at its bounds, and an open bound excludes itself", () => {
    const one = fields({ zero: 0, one: 1, two: 2 });
    expect(one.number("zero", { least: 0 })).toBe(0);
    expect(one.number("two", { most: 2 })).toBe(2);
    expect(refusal(() => one.number("zero", { above: 0, most: 1 }))[1]).toBe(
      "zero must be a number above 0, at most 1",
    );
  });

  test("out of bounds is refused in words that fit the bounds", () => {
    const one = fields({ n: 100, low: -1 });
    expect(refusal(() => one.integer("n", { least: 1, most: 20 }))[1]).toBe("n must be an integer from 1 to 20");
    expect(refusal(() => one.integer("low", { least: 0 }))[1]).toBe("low must be an integer from 0 on");
    expect(refusal(() => one.number("n", { most: 20 }))[1]).toBe("n must be a number of at most 20");
  });

  test("that is no integer, or larger than one can be exactly, is no integer", () => {
    for (const n of [0.5, 2 ** 53, Number.NaN, "1"])
      expect(refusal(() => fields({ n }).integer("n", {}))[0]).toBe("invalid_request");
  });

  test("that is not finite is no number", () => {
    expect(refusal(() => fields({ n: Number.POSITIVE_INFINITY }).number("n", {}))[0]).toBe("invalid_request");
  });
});

describe("a list", () => {
  test("of strings names the entry that is none", () => {
    expect(fields({ stop: ["a", "b"] }).strings("stop")).toEqual(["a", "b"]);
    expect(refusal(() => fields({ stop: ["a", 7] }).strings("stop"))[2]).toBe("stop[1]");
  });

  test("of token ids has integers from 0 to 2^31 - 1 only", () => {
    expect(fields({ ids: [0, 0x7fff_ffff] }).ids("ids")).toEqual([0, 0x7fff_ffff]);
    for (const id of [-1, 0.5, 0x8000_0000, "1", null]) expect(isIds([1, id])).toBe(false);
    expect(refusal(() => fields({ ids: [-1] }).ids("ids"))[1]).toBe("ids must be a list of token ids");
  });

  test("of objects names the entry that is none", () => {
    expect(refusal(() => fields({ messages: [{}, "hi"] }).objects("messages"))).toEqual([
      "invalid_request",
      "messages[1] must be an object",
      "messages[1]",
    ]);
  });

  test("of objects counts towards the entries of the whole request, at whatever depth", () => {
    const parts = Array.from({ length: 4096 }, () => ({}));
    const whole = fields({ messages: [{ content: parts }, { content: parts }] });
    const messages = whole.objects("messages") ?? [];
    messages[0]?.objects("content");
    expect(refusal(() => messages[1]?.objects("content"))).toEqual([
      "invalid_request",
      "messages[1].content has too many entries: a request may have 8192 messages, parts and tools in all",
      "messages[1].content",
    ]);
  });
});

test("what the gateway does not have is refused as not implemented, with its path", () => {
  const error = new JsonFields({}, "messages[0]").notBuilt("audio", "there is no audio");
  expect([error.code, error.message, error.details.param]).toEqual([
    "not_implemented",
    "there is no audio",
    "messages[0].audio",
  ]);
});
