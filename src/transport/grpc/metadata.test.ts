import { describe, expect, test } from "bun:test";
import { decodeGrpcMessage, grpcTimeout } from "./metadata.ts";

describe("grpcTimeout", () => {
  test.each([
    [0.2, "1m"],
    [1500, "1500m"],
    [1500.4, "1501m"],
    [99_999_999, "99999999m"],
    [100_000_000, "100000S"],
    [1e15, "99999999S"],
  ])("%d ms is %s", (ms, text) => {
    expect(grpcTimeout(ms)).toBe(text);
  });

  test("no bound is not said", () => {
    expect(grpcTimeout(Number.POSITIVE_INFINITY)).toBeUndefined();
  });
});

describe("decodeGrpcMessage", () => {
  test.each([
    ["plain words", "plain words"],
    ["gr%C3%B6%C3%9Fer", "größer"],
    ["100%", "100%"],
    ["%zz and %4", "%zz and %4"],
    ["%25C3", "%C3"],
    ["%F0%9F%9A%82", "🚂"],
    ["already größer", "already größer"],
    ["größer %41", "größer A"],
  ])("%s", (text, meant) => {
    expect(decodeGrpcMessage(text)).toBe(meant);
  });
});
