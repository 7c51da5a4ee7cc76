import { expect, test } from "bun:test";
import { chosen } from "../../test/support/routing.ts";
import { setUpFleet } from "../../test/support/fleet.ts";
import { GatewayError } from "../errors/errors.ts";
import { PredictionErrors } from "../observability/prediction-errors.ts";
import { RequestRecord } from "../observability/request-record.ts";
import { FailedLoad } from "../worker/failed-load.ts";
import type { Worker } from "../worker/worker.ts";
import { FailureLog } from "./failure-log.ts";
import { beginTry, failTry, type Try } from "./try.ts";

const LOST = new GatewayError("upstream_closed", "the worker is gone");

interface Setup {
  readonly prefiller: Worker;
  readonly answerer: Worker;
  readonly record: RequestRecord;
  /** Requests in flight at the one that prefills and at the one that answers. */
  inFlight(): number[];
  /** A try of the one that answers, alone or with the one that prefills. */
  begin(isPair: boolean): Try;
}

function setUp(): Setup {
  const fleet = setUpFleet();
  const prefiller = fleet.add("http://prefill:1", { modelId: "m", workerType: "prefill" });
  const answerer = fleet.add("http://answer:1", { modelId: "m", workerType: "decode" });
  const { clock, ledger, metrics, board: outcomes } = fleet;
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const failureLog = new FailureLog(silent, clock);
  const predictionErrors = new PredictionErrors(metrics);
  const failedLoad = new FailedLoad(clock);
  const deps = { clock, ledger, metrics, outcomes, failedLoad, failureLog, decisions: undefined, predictionErrors };
  const record = new RequestRecord("r1", "chat_completions", { settle: () => undefined }, clock);
  const request = { body: { bytes: Buffer.from("{}") }, features: { model: "m", promptTokens: 7 }, record };
  return {
    prefiller,
    answerer,
    record,
    inFlight: () => [prefiller, answerer].map(({ slot }) => ledger.inFlight(slot)),
    begin: (isPair) =>
      beginTry(deps, request, { prefill: isPair ? chosen(prefiller) : undefined, answer: chosen(answerer) }),
  };
}

test("a try of one worker charges it and names it in the record", () => {
  const { record, answerer, inFlight, begin } = setUp();
  expect(begin(false).prefill).toBeUndefined();
  expect(inFlight()).toEqual([0, 1]);
  expect([record.attempts, record.workerId, record.workerUrl]).toEqual([1, answerer.id, "http://answer:1"]);
  expect([record.prefillWorkerId, record.prefillWorkerUrl]).toEqual([undefined, undefined]);
});

test("a try of two workers charges both, names both, and counts once", () => {
  const { record, prefiller, answerer, inFlight, begin } = setUp();
  begin(true);
  expect(inFlight()).toEqual([1, 1]);
  expect([record.attempts, record.prefillWorkerId, record.workerId]).toEqual([1, prefiller.id, answerer.id]);
  expect(record.prefillWorkerUrl).toBe("http://prefill:1");
});

test("where nobody said who failed it is the worker that answers, and nothing is said of the one that prefilled", () => {
  const { answerer, inFlight, begin } = setUp();
  const tried = begin(true);
  expect(failTry(tried, LOST)).toEqual([answerer]);
  expect([tried.prefill?.failure, tried.answer.failure]).toEqual([undefined, LOST]);
  expect(inFlight()).toEqual([0, 0]);
});

test("where the prefill failed only its worker has failed", () => {
  const { prefiller, inFlight, begin } = setUp();
  const tried = begin(true);
  tried.prefill?.end(LOST);
  expect(failTry(tried, LOST)).toEqual([prefiller]);
  expect(tried.answer.failure).toBeUndefined();
  expect(inFlight()).toEqual([0, 0]);
});

test("where it cannot be told which of the two failed both have", () => {
  const { prefiller, answerer, begin } = setUp();
  const tried = begin(true);
  tried.prefill?.endUnsure(LOST);
  tried.answer.endUnsure(LOST);
  expect(failTry(tried, LOST)).toEqual([prefiller, answerer]);
});

test("a prefill that went well before the answer failed has not failed", () => {
  const { answerer, begin } = setUp();
  const tried = begin(true);
  tried.prefill?.end();
  expect(failTry(tried, LOST)).toEqual([answerer]);
  expect(tried.prefill?.failure).toBeUndefined();
});
