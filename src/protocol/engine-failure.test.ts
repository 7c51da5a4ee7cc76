import { expect, test } from "bun:test";
import { engineFailure, failureOfAnswer } from "./engine-failure.ts";

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
