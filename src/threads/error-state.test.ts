import { expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { errorOf, errorState } from "./error-state.ts";

test("an error crosses to another thread with its code, words and details, and without its cause", () => {
  const cause = new Error("a socket");
  const error = new GatewayError("queue_full", "the line is full", { cause, retryAfterSecs: 3, param: "model" });
  const there = errorOf(structuredClone(errorState(error)));
  expect([there.code, there.message, there.details]).toEqual([
    "queue_full",
    "the line is full",
    { retryAfterSecs: 3, param: "model" },
  ]);
  expect(there.cause).toBeUndefined();
});
