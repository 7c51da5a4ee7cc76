import { expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import { parseJsonObject } from "./json.ts";

function codeOf(bytes: Uint8Array): string {
  try {
    parseJsonObject(bytes);
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
  return "ok";
}

test("what is not JSON is refused as such", () => {
  for (const body of ["", "{", "{'a':1}", '{"a":NaN}', '{"a":1}x', "\uFEFF{}", "[".repeat(100_000)]) {
    expect(codeOf(Buffer.from(body))).toBe("invalid_json");
  }
});

test("broken UTF-8 is refused, not replaced", () => {
  expect(codeOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBe("invalid_json");
});

test("JSON that is no object is refused as such", () => {
  for (const body of ["null", "[]", "7", '"x"', "true"]) expect(codeOf(Buffer.from(body))).toBe("invalid_body");
});

test("a __proto__ key is refused at any depth, and the word in a text is not", () => {
  expect(codeOf(Buffer.from('{"a":{"__proto__" : {"admin":true}}}'))).toBe("forbidden_key");
  expect(codeOf(Buffer.from(JSON.stringify({ a: 'say "__proto__": 1' })))).toBe("ok");
  expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
});
