import { expect, test } from "bun:test";
import { asGatewayError, type ErrorCode, ERRORS, errorRow, GatewayError } from "./errors.ts";
import { keysOf } from "../util/objects.ts";

const codes: readonly ErrorCode[] = keysOf(ERRORS);

test("what a client did wrong is never tried again and never held against a worker", () => {
  for (const code of codes) {
    const row = errorRow(code);
    if (row.source === "client") expect([code, row.retry, row.breaker === "fault"]).toEqual([code, "never", false]);
  }
});

test("statuses fit their source: 4xx for clients, 5xx for gateway and workers", () => {
  for (const code of codes) {
    const { http, source } = errorRow(code);
    expect([code, Math.floor(http / 100)]).toEqual([code, source === "client" ? 4 : 5]);
  }
});

test("a lone 500 and a full worker do not count against its breaker", () => {
  expect([ERRORS.upstream_error.breaker, ERRORS.upstream_busy.breaker]).toEqual(["answer", "answer"]);
});

test("a foreign error becomes a defect that keeps its cause and tells the client nothing", () => {
  const cause = new Error("secret path");
  const error = asGatewayError(cause);
  expect([error.code, error.cause, error.message.includes("secret")]).toEqual(["internal_error", cause, false]);
  const own = new GatewayError("queue_full", "full");
  expect(asGatewayError(own)).toBe(own);
});
