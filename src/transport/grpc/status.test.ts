import { describe, expect, test } from "bun:test";
import { httpStatusError, resetError, statusError } from "./status.ts";

const ORIGIN = "grpc://10.0.0.7:50051";

function told(status: string, message: string, isWithin = false): ReturnType<typeof statusError> {
  return statusError({ status, message, origin: ORIGIN, isWithin });
}

describe("a worker's status", () => {
  test("is retried elsewhere where it was a no before any work, and never within a stream", () => {
    expect([told("14", "").row.retry, told("8", "").row.retry]).toEqual(["declined", "declined"]);
    for (let status = 1; status <= 16; status += 1) {
      const { row } = told(String(status), "", true);
      if (status !== 4) expect(row.retry).not.toBe("reachable_elsewhere");
    }
  });

  test("of a request that is too large is not a full queue", () => {
    const error = told("8", "SERVER: Received message larger than max (9 vs. 4)");
    expect([error.code, error.status]).toEqual(["upstream_rejected", 413]);
  });

  test("passes the worker's words on where they are about the request, without its address", () => {
    expect(told("3", `no such tool at ${ORIGIN} (10.0.0.7:50051)`).message).toBe(
      "no such tool at the worker (the worker)",
    );
    expect(told("13", "Traceback: /opt/model.py").message).not.toContain("model.py");
  });

  test("of a worker without room says for how long it wants to be left alone", () => {
    const rest = (pushbackMs: string | undefined, status = "14"): unknown[] => {
      const { details } = statusError({ status, message: "", pushbackMs, origin: ORIGIN, isWithin: false });
      return [details.restMs, details.retryAfterSecs];
    };
    expect([rest(undefined), rest("2500", "8"), rest("-1"), rest("999999999"), rest("soon")]).toEqual([
      [undefined, 1],
      [2500, 3],
      [undefined, 1],
      [120_000, 120],
      [undefined, 1],
    ]);
    expect(rest("2500", "13")).toEqual([undefined, undefined]);
  });

  test("that nobody knows is a failure", () => {
    expect([told("77", "").code, told("banana", "").code]).toEqual(["upstream_error", "upstream_error"]);
  });
});

test("an answer that is not gRPC is told by its HTTP status", () => {
  const codes = [200, 401, 403, 404, 429, 503, 529, 522, 527, 599, 500].map(
    (status) => httpStatusError(status, ORIGIN).code,
  );
  expect(codes).toEqual([
    "upstream_protocol_error",
    "upstream_auth_failed",
    // The page of a firewall.
    "upstream_unavailable",
    "upstream_unimplemented",
    "upstream_busy",
    "upstream_busy",
    "upstream_busy",
    "upstream_busy",
    "upstream_busy",
    "upstream_busy",
    "upstream_error",
  ]);
});

test("a reset within an answer is never sent again", () => {
  for (let code = 0; code < 14; code += 1) expect(resetError(code, true).row.retry).toBe("never");
});

test("words that say again and again that something is exceeded are looked at once", () => {
  const worst = (count: number): number => {
    const message = `${"exceeds ".repeat(count)}it`;
    const times = Array.from({ length: 7 }, () => {
      const from = performance.now();
      statusError({ status: "8", message, origin: "grpc://h:1", isWithin: false });
      return performance.now() - from;
    });
    return Math.min(...times);
  };
  worst(1000);
  expect(worst(16_000)).toBeLessThan(Math.max(0.5, worst(1000)) * 40);
  const told = statusError({
    status: "8",
    message: "message exceeds the size limit",
    origin: "grpc://h:1",
    isWithin: false,
  });
  expect(told.code).toBe("upstream_rejected");
});
