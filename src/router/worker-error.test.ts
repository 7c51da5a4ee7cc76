import { describe, expect, test } from "bun:test";
import { workerError } from "./worker-error.ts";

const answer = (
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): Parameters<typeof workerError>[0] => ({
  status,
  headers: new Map(Object.entries(headers)),
  body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)),
  origin: "http://10.1.2.3:8000",
});

test("statuses become codes of the table", () => {
  const codes = [401, 403, 429, 503, 502, 504, 500, 501, 302, 400, 404, 422].map(
    (status) => workerError(answer(status, "")).code,
  );
  expect(codes).toEqual([
    "upstream_auth_failed",
    "upstream_auth_failed",
    "upstream_busy",
    "upstream_busy",
    "upstream_unavailable",
    "upstream_unavailable",
    "upstream_error",
    "upstream_error",
    "invalid_upstream_response",
    "upstream_rejected",
    "upstream_rejected",
    "upstream_rejected",
  ]);
});

describe("what a worker says of a bad request", () => {
  const said = (body: unknown): unknown[] => {
    const { message, details } = workerError(answer(400, body));
    return [message, details.param, details.workerCode];
  };

  test("is found in every shape", () => {
    expect(said({ error: { message: "too long", param: "prompt", code: "context_length_exceeded" } })).toEqual([
      "too long",
      "prompt",
      "context_length_exceeded",
    ]);
    expect(said({ object: "error", message: "too long", param: null, code: 400 })).toEqual([
      "too long",
      undefined,
      undefined,
    ]);
    expect(said({ detail: "Not Found" })).toEqual(["Not Found", undefined, undefined]);
    expect(said({ detail: [{ loc: ["body", "n"], msg: "must be positive" }] })).toEqual([
      "body.n: must be positive",
      undefined,
      undefined,
    ]);
    expect(said("<html>")).toEqual(["the worker refused the request", undefined, undefined]);
  });

  test("loses the worker's address and anything past 2,000 characters", () => {
    const [message] = said({ error: { message: `at http://10.1.2.3:8000/v1 and 10.1.2.3:8000 ${"x".repeat(5000)}` } });
    expect(String(message)).not.toContain("10.1.2.3");
    expect(String(message)).toHaveLength(2000);
  });
});

test("Retry-After is believed within reason", () => {
  const secs = (value: string): number | undefined =>
    workerError(answer(503, "", { "retry-after": value })).details.retryAfterSecs;
  expect([secs("7"), secs("0"), secs("99999"), secs("Wed, 21 Oct 2026 07:28:00 GMT"), secs("-5")]).toEqual([
    7, 1, 120, 1, 1,
  ]);
});
