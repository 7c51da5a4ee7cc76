import { describe, expect, test } from "bun:test";
import type { GatewayError } from "../errors/errors.ts";
import { engineError, workerError } from "./worker-error.ts";

const answer = (
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): Parameters<typeof workerError>[0] => ({
  status,
  headers: new Map(Object.entries(headers)),
  body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)),
  origin: "http://10.1.2.3:8000",
  path: "/v1/messages",
});

test("statuses become codes of the table", () => {
  const statuses = [401, 403, 429, 503, 529, 502, 504, 520, 524, 598, 599, 521, 522, 527, 530, 500, 501, 507, 302];
  const codes = [...statuses, 400, 404, 422].map((status) => workerError(answer(status, "")).code);
  expect(codes).toEqual([
    "upstream_auth_failed",
    "upstream_auth_failed",
    "upstream_busy",
    "upstream_busy",
    "upstream_busy",
    "upstream_unavailable",
    "upstream_unavailable",
    "upstream_unavailable",
    "upstream_unavailable",
    "upstream_unavailable",
    "upstream_unavailable",
    "upstream_connect_failed",
    "upstream_connect_failed",
    "upstream_connect_failed",
    "upstream_connect_failed",
    "upstream_error",
    "upstream_error",
    "upstream_error",
    "invalid_upstream_response",
    "upstream_rejected",
    "upstream_unimplemented",
    "upstream_rejected",
  ]);
});

test("a model that the worker does not have is another thing than a route that it does not have", () => {
  const missing = { error: { message: "The model `x` does not exist.", param: "model", code: 404 } };
  expect(workerError(answer(404, missing)).code).toBe("upstream_model_missing");
  const routeMissing = [
    answer(404, { detail: "Not Found" }),
    answer(405, { detail: "Method Not Allowed" }),
    answer(404, { error: { code: 404, message: "File Not Found", type: "not_found_error" } }),
    answer(404, "404 page not found"),
    answer(404, ""),
  ];
  for (const one of routeMissing) {
    const { code, message, status } = workerError(one);
    expect([code, message, status]).toEqual([
      "upstream_unimplemented",
      "the worker of this model does not serve /v1/messages",
      501,
    ]);
  }
});

test("a 403 that is not in the engine's words is a proxy's, and may be the request's doing", () => {
  const pages = [
    answer(403, "<html>blocked</html>"),
    answer(403, "", { "content-type": "text/html" }),
    answer(403, "no"),
  ];
  expect(pages.map((page) => [workerError(page).code, workerError(page).news])).toEqual(
    pages.map(() => ["upstream_unavailable", "doubtful"]),
  );
  const engines = [{ error: "Unauthorized" }, { detail: "Forbidden" }, ""];
  expect(engines.map((body) => workerError(answer(403, body)).code)).toEqual(engines.map(() => "upstream_auth_failed"));
});

test("what a worker says of its own failure is kept for the log, and not told to the client", () => {
  const said = (body: unknown): unknown => workerError(answer(500, body)).cause;
  expect([said({ error: { message: "CUDA out of memory" } }), said("Traceback"), said("")]).toEqual([
    "HTTP 500: CUDA out of memory",
    "HTTP 500: Traceback",
    "HTTP 500",
  ]);
  expect(workerError(answer(500, "Traceback")).message).not.toContain("Traceback");
  const failed = { message: "out of memory", param: undefined, code: undefined };
  const within = (failure: Parameters<typeof engineError>[1]): GatewayError =>
    engineError("upstream_stream_error", failure, "http://w:1");
  expect(within({ ...failed, status: 529 }).code).toBe("upstream_busy");
  expect(within({ ...failed, status: undefined }).cause).toBe("out of memory");
});

test("an error within a stream is told as the same error outside of it", () => {
  const within = (status: number): GatewayError =>
    engineError("upstream_stream_error", { message: "no", status, param: "input", code: "too_long" }, "http://w:1");
  expect([401, 403, 429, 503, 404, 400].map((status) => within(status).code)).toEqual([
    "upstream_auth_failed",
    "upstream_auth_failed",
    "upstream_busy",
    "upstream_busy",
    "upstream_model_missing",
    "upstream_rejected",
  ]);
  expect(within(400).details).toMatchObject({ status: 400, param: "input", workerCode: "too_long" });
});

test("a worker that is full rests where it says for how long, at most two minutes", () => {
  const rest = (headers: Record<string, string>): number | undefined =>
    workerError(answer(503, "", headers)).details.restMs;
  expect([
    rest({}),
    rest({ "retry-after": "7" }),
    rest({ "retry-after": "9999" }),
    rest({ "retry-after": "soon" }),
  ]).toEqual([undefined, 7000, 120_000, undefined]);
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
    expect(said({ detail: "too long" })).toEqual(["too long", undefined, undefined]);
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
