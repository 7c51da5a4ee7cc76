import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { ACCESS_FIELDS } from "./access-fields.ts";
import { isWritten, type Logger } from "./logger.ts";
import { Metrics } from "./metrics.ts";
import type { Decision } from "./decision.ts";
import { createRecordSink, RequestRecord } from "./request-record.ts";

const DECISION: Decision = {
  role: "regular",
  policy: "p",
  worker: "http://a:1",
  reason: "lowest_cost",
  candidates: 3,
  heldBack: 1,
  unit: "s",
  cost: 4,
  considered: [
    {
      worker: "http://a:1",
      cost: 4,
      terms: { waiting: 4 },
      predictedTtftMs: 12,
      cachedTokens: 1,
      inFlightTokens: 0,
    },
  ],
  chargeTokens: 9,
  predictedTtftMs: 12.04,
  predictedCachedTokens: 1,
};

/** Settles a record, and returns the lines that are written. */
function settled(logsDecisions: boolean): [message: string | undefined, fields: object][] {
  const lines: [message: string | undefined, fields: object][] = [];
  const write = (fields: object, message?: string): void => void lines.push([message, fields]);
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  const sink = createRecordSink(logger, new Metrics(), logsDecisions);
  const record = new RequestRecord("r1", "chat_completions", sink, new ManualClock());
  record.decisions = [DECISION];
  record.ttftMs = 12.345;
  record.settle(200);
  return lines;
}

test("a choice of a worker has a line before the access line, with what was expected and what came of it", () => {
  const [choice, access, ...others] = settled(true);
  expect([choice?.[0], access?.[0], others]).toEqual(["choice", "request", []]);
  expect(choice?.[1]).toEqual({
    request_id: "r1",
    role: "regular",
    policy: "p",
    worker_url: "http://a:1",
    reason: "lowest_cost",
    candidates: 3,
    held_back: 1,
    unit: "s",
    cost: 4,
    cheapest: [{ worker_url: "http://a:1", cost: 4 }],
    charge_tokens: 9,
    predicted_ttft_ms: 12,
    ttft_ms: 12.3,
  });
});

test("where the log has no lines of choices, those of a sample are not written either", () => {
  expect(settled(false).map(([message]) => message)).toEqual(["request"]);
});

test("choices are wanted at the levels at which their lines are written", () => {
  const levels = ["trace", "debug", "info", "error", "silent"] as const;
  expect(levels.filter((level) => isWritten("debug", level))).toEqual(["trace", "debug"]);
});

test("the access line has the fields of the table, in its order", () => {
  let fields: object = {};
  const ignore = (): void => undefined;
  const logger = { debug: ignore, info: (given: object) => void (fields = given), warn: ignore, error: ignore };
  new RequestRecord("id", "chat_completions", createRecordSink(logger, new Metrics()), new ManualClock()).settle(200);
  expect(Object.keys(fields)).toEqual(Object.keys(ACCESS_FIELDS));
});
