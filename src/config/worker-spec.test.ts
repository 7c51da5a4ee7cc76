import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { patchWorkerSpec, readWorkerSpec } from "./worker-spec.ts";

/** Code, member and message of the refusal; `taken` where there is none. */
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
