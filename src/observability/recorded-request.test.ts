import { expect, test } from "bun:test";
import { type RecordableRequest, type RecordedRequest, recordTraffic } from "./recorded-request.ts";

/** A request that is settled by the returned function, and what a sink got of it. */
function recorded(given: {
  readonly record?: Partial<RecordableRequest["record"]>;
  readonly key?: string;
  readonly promptTokens?: number;
  readonly bytes?: number;
}): {
  readonly got: RecordedRequest[];
  readonly settle: () => void;
} {
  const got: RecordedRequest[] = [];
  let settle = (): void => undefined;
  const request: RecordableRequest = {
    record: {
      onSettled: (action) => (settle = action),
      elapsedMs: 250,
      model: "m",
      isModelListed: true,
      isStream: true,
      tokens: undefined,
      events: 7,
      workerUrl: "http://w:1",
      status: 200,
      errorCode: undefined,
      ...given.record,
    },
    features: {
      promptTokens: given.promptTokens ?? 40,
      promptBlocks: () => ({ hashes: Int32Array.of(5, 6), bytes: given.bytes ?? 300 }),
      routingKey: () => given.key,
    },
  };
  recordTraffic({ record: (one) => got.push(one) }, request, () => 10_000);
  return { got, settle };
}

test("a request is recorded when it is over, with the time at which it came", () => {
  const { got, settle } = recorded({});
  expect(got).toEqual([]);
  settle();
  expect(got).toEqual([
    {
      at: 9750,
      durationMs: 250,
      model: "m",
      isStream: true,
      inputTokens: 40,
      outputTokens: 7,
      promptBytes: 300,
      hashes: Int32Array.of(5, 6),
      sessionHash: undefined,
    },
  ]);
});

test("the worker's counts come before the gateway's", () => {
  const tokens = { promptTokens: 31, completionTokens: 9, cachedTokens: 0 };
  const { got, settle } = recorded({ record: { tokens } });
  settle();
  expect([got[0]?.inputTokens, got[0]?.outputTokens]).toEqual([31, 9]);
});

test("the length of an answer that is no stream and has no counts is unknown", () => {
  const { got, settle } = recorded({ record: { isStream: false, events: 0 } });
  settle();
  expect(got[0]?.outputTokens).toBeUndefined();
});

test("a request that failed, or that no worker got, is not recorded", () => {
  for (const record of [
    { status: 503 },
    { status: 499, errorCode: "client_closed", events: 0 },
    { workerUrl: undefined },
  ]) {
    const { got, settle } = recorded({ record });
    settle();
    expect(got).toEqual([]);
  }
});

test("a stream whose client left is recorded as far as it came: the worker has done that much", () => {
  const { got, settle } = recorded({ record: { status: 499, errorCode: "client_closed", events: 5 } });
  settle();
  expect(got.map(({ outputTokens }) => outputTokens)).toEqual([5]);
});

test("the length of a prompt that nobody has counted is that of the prompt, not of the whole body", () => {
  for (const [promptTokens, bytes, expected] of [
    [900, 300, 75],
    [60, 300, 60],
    [900, 0, 900],
  ] as const) {
    const { got, settle } = recorded({ promptTokens, bytes });
    settle();
    expect(got[0]?.inputTokens).toBe(expected);
  }
});

test("a model that no worker lists is not named, and a routing key is only hashed", () => {
  const { got, settle } = recorded({ record: { model: "secret", isModelListed: false }, key: "alice" });
  settle();
  expect(got[0]?.model).toBe("other");
  expect(JSON.stringify(got)).not.toContain("alice");
  const { got: again, settle: settleAgain } = recorded({ key: "alice" });
  settleAgain();
  expect(again[0]?.sessionHash).toBe(got[0]?.sessionHash ?? -1);
});
