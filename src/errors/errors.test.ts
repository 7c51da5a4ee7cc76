import { expect, test } from "bun:test";
import { asGatewayError, type ErrorCode, ERRORS, errorRow, GatewayError } from "./errors.ts";
import { keysOf } from "../util/objects.ts";

const codes: readonly ErrorCode[] = keysOf(ERRORS);

test("what a client did wrong is never held against a worker, nor tried again by us or by its SDK", () => {
  for (const code of codes) {
    const row = errorRow(code);
    if (row.source !== "client") continue;
    // Another worker may well serve the model that one of them has dropped.
    const retry = code === "upstream_model_missing" ? "declined" : "never";
    expect([code, row.retry, row.breaker === "fault", row.clientRetry]).toEqual([
      code,
      retry,
      false,
      code === "rate_limit_exceeded" || code === "too_many_connections",
    ]);
  }
});

test("a client's SDK is told to send again only what cannot have run", () => {
  const again = codes.filter((code) => errorRow(code).clientRetry);
  expect(again.filter((code) => errorRow(code).retry === "ambiguous")).toEqual([]);
  expect(again).toContain("queue_full");
  expect(again).toContain("upstream_connect_failed");
});

test("statuses fit their source: 4xx for clients, 5xx for gateway and workers", () => {
  for (const code of codes) {
    const { http, source } = errorRow(code);
    expect([code, Math.floor(http / 100)]).toEqual([code, source === "client" ? 4 : 5]);
  }
});

test("a 500 counts only in comparison with other workers, and a full worker's refusal not at all", () => {
  expect([ERRORS.upstream_error.breaker, ERRORS.upstream_busy.breaker]).toEqual(["failure", "answer"]);
});

test("a foreign error becomes a defect that keeps its cause and tells the client nothing", () => {
  const cause = new Error("secret path");
  const error = asGatewayError(cause);
  expect([error.code, error.cause, error.message.includes("secret")]).toEqual(["internal_error", cause, false]);
  const own = new GatewayError("queue_full", "full");
  expect(asGatewayError(own)).toBe(own);
});
