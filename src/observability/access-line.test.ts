import { expect, test } from "bun:test";
import fc from "fast-check";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { ACCESS_FIELDS } from "./access-fields.ts";
import { AccessText, accessFields } from "./access-line.ts";
import { RequestRecord } from "./request-record.ts";

const NAME = fc.string({ maxLength: 300, unit: "grapheme" });
const COUNT = fc.option(fc.oneof(fc.nat(), fc.double()), { nil: undefined });
const MS = fc.oneof(fc.nat(300), fc.double({ min: 0, max: 300, noNaN: true }), fc.double());

/** Records of which many have the same worker and model, as in a gateway. */
const RECORD = fc.record({
  requestId: fc.stringMatching(/^[\w.:-]{1,128}$/),
  endpoint: fc.constantFrom("chat_completions", "messages"),
  key: fc.option(NAME, { nil: undefined }),
  isModelListed: fc.constantFrom(true, true, false),
  model: fc.option(fc.oneof(fc.constantFrom("m", 'a"b'), NAME), { nil: undefined }),
  route: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: NAME }),
  worker: fc.constantFrom(undefined, "w1", "w2"),
  workerUrl: fc.constantFrom("http://a:1", "http://b:2/ü"),
  prefill: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constant("w3") }),
  policy: fc.constantFrom(undefined, "least_ttft", 'own "policy"'),
  attempts: fc.constantFrom(1, 1, 1, 0, 2),
  failed: fc.constantFrom(undefined, undefined, undefined, [{ url: "http://a:1", code: "upstream_closed" }]),
  status: fc.constantFrom(200, 200, 200, 201, 503),
  error: fc.constantFrom(undefined, undefined, undefined, "upstream_closed"),
  isStream: fc.boolean(),
  ttftMs: fc.option(MS, { nil: undefined }),
  predictedTtftMs: fc.option(MS, { nil: undefined }),
  tokens: fc.option(fc.record({ promptTokens: COUNT, completionTokens: COUNT, cachedTokens: COUNT }), {
    nil: undefined,
  }),
  durationMs: MS,
});

test("the text of an access line is the JSON of its fields, whatever lines were written before", () => {
  fc.assert(
    fc.property(fc.array(RECORD, { maxLength: 20 }), (all) => {
      const text = new AccessText();
      for (const one of all) {
        const record = new RequestRecord(one.requestId, one.endpoint, { settle: () => undefined }, new ManualClock());
        const { worker, prefill, failed, error, requestId: _id, endpoint: _endpoint, ...rest } = one;
        Object.assign(record, rest, { workerId: worker, prefillWorkerId: prefill, prefillWorkerUrl: prefill });
        Object.assign(record, { failedAttempts: failed, errorCode: error });
        expect(`{${text.of(record)}}`).toBe(JSON.stringify(accessFields(record)));
      }
    }),
  );
});

function answeredBy(worker: string, model: string, isModelListed = true): RequestRecord {
  const record = new RequestRecord("r", "chat_completions", { settle: () => undefined }, new ManualClock());
  return Object.assign(record, { workerId: worker, model, isModelListed, attempts: 1, status: 200 });
}

test("the text that is kept for a worker leaves no field of the line out but those that such lines do not have", () => {
  const record = Object.assign(answeredBy("w", "m"), { key: "k", workerUrl: "http://a:1", policy: "p", ttftMs: 1 });
  Object.assign(record, { predictedTtftMs: 2, tokens: { promptTokens: 1, completionTokens: 2, cachedTokens: 3 } });
  const text = new AccessText();
  const written = Object.keys(JSON.parse(`{${text.of(record)}}`) as object);
  const others = ["route", "failed_models", "prefill_worker", "prefill_worker_url", "failed", "error"];
  expect(text.kept).toBe(1);
  expect([...written, ...others].toSorted()).toEqual(Object.keys(ACCESS_FIELDS).toSorted());
});

test("lines of more workers and models than are kept are right too", () => {
  const text = new AccessText();
  for (const number of Array.from({ length: 40_000 }).keys()) {
    const worker = `w${number % 20_000}`;
    expect(JSON.parse(`{${text.of(answeredBy(worker, "m"))}}`)).toMatchObject({ worker, model: "m" });
  }
});

test("names that clients made up are not kept", () => {
  const text = new AccessText();
  const names = Array.from({ length: 2000 }, (_, number) => `"made up" ${number}`);
  const of = (isListed: boolean): unknown[] =>
    names.map((name) => (JSON.parse(`{${text.of(answeredBy("w", name, isListed))}}`) as { model: string }).model);
  expect([of(false), text.kept]).toEqual([names, 0]);
  expect([of(true), text.kept]).toEqual([names, names.length]);
});
