import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { RecordedRequest } from "../observability/recorded-request.ts";
import type { FromThread } from "./messages.ts";
import { ThreadRecording } from "./thread-recording.ts";

const REQUEST: RecordedRequest = {
  at: 0,
  durationMs: 5,
  model: "m",
  isStream: false,
  inputTokens: 1,
  outputTokens: 1,
  promptBytes: 4,
  hashes: new Int32Array(0),
  sessionHash: undefined,
};

function recording() {
  const clock = new ManualClock();
  const posted: [requests: number, lost: number][] = [];
  const post = (message: FromThread): void => {
    if (message.type === "recorded") posted.push([message.requests.length, message.lost]);
  };
  return { clock, posted, recording: new ThreadRecording(post, clock) };
}

test("requests of 50 ms become one message", () => {
  const { clock, posted, recording: thread } = recording();
  for (let request = 0; request < 3; request += 1) thread.record(REQUEST);
  expect(posted).toEqual([]);
  clock.advance(50);
  expect(posted).toEqual([[3, 0]]);
});

test("a second message waits until the first is taken", () => {
  const { clock, posted, recording: thread } = recording();
  thread.record(REQUEST);
  clock.advance(50);
  thread.record(REQUEST);
  thread.record(REQUEST);
  clock.advance(1000);
  expect(posted).toEqual([[1, 0]]);
  thread.onTaken();
  clock.advance(50);
  expect(posted).toEqual([
    [1, 0],
    [2, 0],
  ]);
});

test("requests beyond the bound are counted as lost, with the next message", () => {
  const { clock, posted, recording: thread } = recording();
  for (let request = 0; request < 4100; request += 1) thread.record(REQUEST);
  clock.advance(50);
  expect(posted).toEqual([[4096, 4]]);
  thread.onTaken();
  thread.record(REQUEST);
  clock.advance(50);
  expect(posted[1]).toEqual([1, 0]);
});

test("what is left is passed on when the thread ends, and no timer stays", () => {
  const { clock, posted, recording: thread } = recording();
  thread.record(REQUEST);
  thread[Symbol.dispose]();
  expect(posted).toEqual([[1, 0]]);
  expect(clock.pending).toBe(0);
});
