import { describe, expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import type { WorkerSpec } from "../../worker/worker-spec.ts";
import { patchWorkerSpec, readWorkerSpec } from "./worker-body.ts";

/** Code, member and message of the refusal; `taken` without one. */
function outcome(read: () => unknown): string {
  try {
    read();
    return "taken";
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return `${error.code} ${error.details.param ?? "-"}: ${error.message}`;
  }
}

function nested(levels: number): unknown {
  return levels === 0 ? 1 : { a: nested(levels - 1) };
}

function labels(count: number, from = 0): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`label-${from + index}`, "x"]));
}

const worker = (fields: Record<string, unknown>): string =>
  outcome(() => readWorkerSpec({ url: "http://a:1", ...fields }));

describe("the body of a worker", () => {
  test("that is nested deep is refused as a mistake of the caller", () => {
    for (const levels of [40, 1000]) {
      expect(worker({ health: nested(levels) })).toBe("invalid_request -: the body has more than 32 levels");
      expect(worker({ health: [[nested(levels)]] })).toBe("invalid_request -: the body has more than 32 levels");
    }
  });

  test("has labels that are bounded in number and in length", () => {
    expect(worker({ labels: labels(64) })).toBe("taken");
    expect(worker({ labels: labels(65) })).toBe("invalid_request labels: labels must be 64 labels at most");
    expect(worker({ labels: { a: "x".repeat(1024), ["k".repeat(128)]: "y" } })).toBe("taken");
    expect(worker({ labels: { a: "x".repeat(1025) } })).toMatch(/^invalid_request labels\.a: .*0 to 1024 characters/);
    expect(worker({ labels: { ["k".repeat(129)]: "y" } })).toStartWith("invalid_request labels");
    expect(worker({ labels: { a: [[[1]]] } })).toStartWith("invalid_request labels.a");
  });

  test("has a refusal that is short, whatever was sent", () => {
    expect(worker({ ["k".repeat(100_000)]: 1 }).length).toBeLessThan(1000);
    expect(worker({ labels: { ["k".repeat(100_000)]: "y" } }).length).toBeLessThan(1000);
  });
});

test("changes that are small each do not come to more labels than a worker may have", () => {
  const before = readWorkerSpec({ url: "http://a:1", labels: labels(60) });
  expect(outcome(() => patchWorkerSpec(before, { labels: labels(4, 60) }))).toBe("taken");
  expect(outcome(() => patchWorkerSpec(before, { labels: labels(5, 60) }))).toBe(
    "invalid_request labels: labels must be 64 labels at most",
  );
  expect(outcome(() => patchWorkerSpec(before, { labels: labels(60) }))).toBe("taken");
});

/** For each field of a worker: its name, accepted values, refused values. */
const FIELDS: readonly [field: string, good: readonly unknown[], bad: readonly unknown[]][] = [
  ["url", ["http://a:1", "HTTP://A:1/", "http://a:1/v1"], ["ftp://a:1", "http://a:1/x", "http://u:p@a:1", "", 7, null]],
  ["model_id", ["m", "*", "m".repeat(256)], ["", "m".repeat(257), 7, null, ["m"]]],
  ["api_key", ["k"], ["", "[redacted]", "$KEY", 7, null]],
  ["worker_type", ["regular", "prefill", "decode"], ["encode", "", 7, null]],
  ["bootstrap_port", [1, 65_535], [0, 65_536, 1.5, "1", null]],
  ["policy", ["random", "consistent_hash"], [7, "", null, ["random"]]],
  ["labels", [{}, { a: "b" }, { policy: "random" }], [labels(65), { a: 1 }, { ["k".repeat(129)]: "x" }, "a", null]],
  ["priority", [0, 50, 1_000_000], [-1, 1_000_001, "high", null]],
  ["cost", [0, 0.5], [-1, "1", null]],
  ["tokenizer_path", ["x"], [7, ["x"], null]],
  [
    "health",
    [
      {},
      { endpoint: "/up", check_interval_secs: 1, timeout_secs: 1, failure_threshold: 1, success_threshold: 1 },
      { disable_health_check: true },
    ],
    [
      { endpoint: "up" },
      { timeout_secs: 0 },
      { failure_threshold: 0 },
      { disable_health_check: "no" },
      { x: 1 },
      7,
      null,
    ],
  ],
  ["modelId", [], ["m"]],
  ["source", [], ["file"]],
  ["connection_mode", [], ["grpc"]],
  ["frobnicate", [], [1]],
];

describe("POST, PUT and PATCH", () => {
  const before = readWorkerSpec({ url: "http://a:1" });
  // PUT and POST read their bodies in the same way.
  const put = (field: string, value: unknown): unknown => readWorkerSpec({ url: "http://a:1", [field]: value });
  const patch = (field: string, value: unknown): unknown => patchWorkerSpec(before, { [field]: value });

  for (const [field, good, bad] of FIELDS) {
    test(`take and refuse the same of ${field}`, () => {
      for (const value of good) {
        expect([field, value, outcome(() => put(field, value))]).toEqual([field, value, "taken"]);
        expect(patch(field, value)).toEqual(put(field, value));
      }
      for (const value of bad) {
        const refusal = outcome(() => put(field, value));
        expect([field, value, refusal.split(" ")[0]]).toEqual([field, value, "invalid_request"]);
        expect([field, value, outcome(() => patch(field, value))]).toEqual([field, value, refusal]);
      }
    });
  }
});

test("PATCH keeps what it does not name, and merges labels and health settings", () => {
  const before: WorkerSpec = {
    ...readWorkerSpec({
      url: "grpc://a:1",
      model_id: "m",
      api_key: "k",
      worker_type: "prefill",
      bootstrap_port: 7,
      policy: "random",
      labels: { zone: "a" },
      priority: 1,
      cost: 2,
      health: { timeout_secs: 1 },
    }),
    source: "file",
  };
  expect(patchWorkerSpec(before, {})).toEqual(before);
  expect(patchWorkerSpec(before, { labels: { rack: "1" }, health: { endpoint: "/up" }, cost: 3 })).toEqual({
    ...before,
    labels: { zone: "a", rack: "1" },
    health: { timeoutMs: 1000, endpoint: "/up" },
    cost: 3,
  });
  expect(patchWorkerSpec(before, { labels: { policy: "round_robin" } }).policyHint).toBe("round_robin");
});
