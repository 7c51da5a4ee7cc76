import { expect, test } from "bun:test";
import { engineFailure, failureOfAnswer } from "./engine-failure.ts";

const statusOf = (error: object, beside: object = {}): number | undefined =>
  engineFailure({ error: { message: "x", ...error }, ...beside })?.status;

test("an engine names a status as a number, as its digits, or in the words of an API", () => {
  expect([
    statusOf({ code: 400 }),
    statusOf({ code: "429" }),
    statusOf({}, { status_code: 503 }),
    statusOf({ type: "invalid_request_error" }),
    statusOf({ type: "overloaded_error" }),
    statusOf({ type: "rate_limit_error" }),
    statusOf({ type: "authentication_error" }),
    statusOf({ code: "context_length_exceeded" }),
  ]).toEqual([400, 429, 503, 400, 529, 429, 401, 400]);
});

test("the more exact of two words counts, and a number before words", () => {
  expect(statusOf({ type: "invalid_request_error", code: "invalid_api_key" })).toBe(401);
  expect(statusOf({ type: "invalid_request_error", code: 500 })).toBe(500);
  expect(statusOf({ type: "requests", code: "rate_limit_exceeded" })).toBe(429);
});

test("words of a failure, numbers that are no status, and unknown words name none", () => {
  for (const error of [
    {},
    { code: null },
    { code: "" },
    { code: 0 },
    { code: "200" },
    { code: 1e9 },
    { type: "server_error" },
    { type: "api_error", code: "internal" },
    { type: "constructor" },
  ]) {
    expect([error, statusOf(error)]).toEqual([error, undefined]);
  }
});

test("the field that is wrong and the engine's word are kept, also of an event that is the error itself", () => {
  const flat = { type: "error", code: "rate_limit_exceeded", message: "slow", param: "input" };
  expect(engineFailure(flat, "error")).toEqual({
    message: "slow",
    status: 429,
    param: "input",
    code: "rate_limit_exceeded",
  });
  expect(engineFailure({ error: { message: "x", code: "400" } })).toMatchObject({ status: 400, code: undefined });
  expect(failureOfAnswer({ error: { message: "long", type: "invalid_request_error", code: "too_long" } })).toEqual({
    message: "long",
    status: 400,
    param: undefined,
    code: "too_long",
  });
});

test.each([
  [{ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }, 529],
  [{ error: { type: "rate_limit_error", message: "slower" } }, 429],
  [{ error: { type: "invalid_request_error", message: "too long", code: "context_length_exceeded" } }, 400],
  [{ error: { type: "overloaded_error", message: "full", code: 503 } }, 503],
  [{ error: { type: "api_error", message: "broken" } }, undefined],
  [{ error: { type: "toString", message: "broken" } }, undefined],
  [{ error: { type: 529, message: "broken" } }, undefined],
])("the status of %j is its number, or else that of its type: %j", (event, status) => {
  expect(engineFailure(event)?.status).toBe(status);
  expect(failureOfAnswer(event)?.status).toBe(status);
});
