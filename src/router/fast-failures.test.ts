import { describe, expect, test } from "bun:test";
import { createPolicy, requestWith } from "../../test/support/candidates.ts";
import { setUpFleet } from "../../test/support/fleet.ts";
import { chosen } from "../../test/support/routing.ts";
import { GatewayError } from "../errors/errors.ts";
import { PredictionErrors } from "../observability/prediction-errors.ts";
import { RequestRecord } from "../observability/request-record.ts";
import { POLICIES } from "../policy/policies.ts";
import type { RequestFeatures } from "../policy/policy.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import { Attempt } from "./attempt.ts";
import { FailureLog } from "./failure-log.ts";

const WORKERS = 4;
const REQUESTS = 400;
const EVERY_MS = 50;
const FIRST_TOKEN_MS = 200;
const ANSWER_MS = 1000;

/** A request whose prompt and session are its own. */
function requestNumber(number: number, isStream: boolean): RequestFeatures {
  const prompt = Buffer.from(`${number} asks. `.repeat(100));
  return requestWith({
    isStream,
    promptTokens: Math.ceil(prompt.length / 4),
    promptBytes: () => prompt,
    routingKey: () => `session ${number}`,
  });
}

/** Share of the requests that a policy sends to a worker that fails at everything at once, while nobody leaves the worker out. */
function shareOfFailing(row: (typeof POLICIES)[number], isStream: boolean): number {
  const { add, clock, ledger, metrics, logger } = setUpFleet();
  const workers = Array.from({ length: WORKERS }, (_, index) => add(`http://w${index}:1`, { modelId: "m" }));
  const deps = {
    clock,
    ledger,
    metrics,
    outcomes: { report: () => undefined },
    failedLoad: new FailedLoad(clock),
    failureLog: new FailureLog(logger, clock),
    decisions: undefined,
    predictionErrors: new PredictionErrors(metrics),
  };
  const policy = createPolicy(row, {}, { now: () => clock.now() });
  let failed = 0;
  for (let number = 0; number < REQUESTS; number += 1) {
    const features = requestNumber(number, isStream);
    const picked = policy.pick(workers, features);
    const [index, pick] = typeof picked === "number" ? [picked, undefined] : [picked.index, picked];
    const worker = workers[index];
    if (!worker) throw new Error("nobody was chosen");
    const record = new RequestRecord(`r${number}`, "chat_completions", { settle: () => undefined }, clock);
    record.model = "m";
    record.isModelListed = true;
    const attempt = new Attempt(deps, chosen(worker, { pick }), {
      body: { bytes: Buffer.from(`${number}`) },
      features,
      record,
    });
    if (index === 0) {
      failed += 1;
      attempt.end(new GatewayError("upstream_error", "no"));
    } else {
      if (isStream) clock.after(FIRST_TOKEN_MS, () => attempt.prefillDone());
      clock.after(ANSWER_MS, () => attempt.end());
    }
    clock.advance(EVERY_MS);
  }
  return failed / REQUESTS;
}

describe("a worker that fails at everything at once never looks idle", () => {
  for (const row of POLICIES.filter(({ name }) => name !== "passthrough")) {
    for (const isStream of [true, false]) {
      test(`${row.name}, ${isStream ? "streams" : "whole answers"}: it gets about its share and no more`, () => {
        expect(shareOfFailing(row, isStream)).toBeLessThan(1.6 / WORKERS);
      });
    }
  }
});
