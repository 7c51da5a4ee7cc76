import { expect, test } from "bun:test";
import { PlayedResponse } from "../../test/support/routing.ts";
import type { AnswerChange } from "./answer-change.ts";
import { ChangedResponse } from "./changed-response.ts";
import { ResponseStage, type StreamAccount, type WorkerResponse } from "./response-stage.ts";

class PlainStage extends ResponseStage {}

const CHANGE: AnswerChange = { marker: undefined, readsText: false, event: () => undefined, whole: (body) => body };

test("a stage that overrides nothing passes on all that there is", async () => {
  const account: StreamAccount = { events: 3, isEnded: false, usage: undefined };
  let begun = 0;
  const inner: WorkerResponse = Object.assign(new PlayedResponse(["a", "b"], { status: 201 }), {
    account,
    changes: [CHANGE],
    begun: () => void (begun += 1),
  });
  const stage = new PlainStage(new PlainStage(inner));
  expect([stage.status, stage.headers.get("content-type"), stage.account]).toEqual([201, "text/event-stream", account]);
  expect(stage.changes).toEqual([CHANGE]);
  stage.begun();
  expect(begun).toBe(1);
  expect(Buffer.from((await stage.read()) ?? []).toString()).toBe("a");
  expect(Buffer.from(await stage.bytes(10)).toString()).toBe("b");
});

test("the fast way of a stream goes through stages to the worker's answer", async () => {
  const inner = new PlayedResponse(["a", "b"]);
  const stage = new ChangedResponse(new PlainStage(inner), CHANGE);
  const taken: string[] = [];
  await stage.follow({ take: (bytes, from, to) => taken.push(Buffer.from(bytes.subarray(from, to)).toString()) > 0 });
  expect([taken, inner.followed]).toEqual([["a", "b"], 2]);
});

test("an answer that can only be read cannot be followed through a stage either", () => {
  const inner: WorkerResponse = {
    status: 200,
    headers: new Map(),
    read: () => undefined,
    bytes: () => new Uint8Array(0),
    discard: () => undefined,
  };
  const stage = new PlainStage(inner);
  expect(stage.follow({ take: () => true })).toBeUndefined();
  expect([stage.account, stage.changes]).toEqual([undefined, []]);
  expect(() => stage.begun()).not.toThrow();
});

test("changes stand in the order in which the stages stand", () => {
  const [first, second] = [{ ...CHANGE }, { ...CHANGE }];
  const stage = new ChangedResponse(new ChangedResponse(new PlayedResponse([]), first), second);
  expect(stage.changes[0]).toBe(first);
  expect(stage.changes[1]).toBe(second);
});

test("a stage that is discarded discards the worker's answer", () => {
  const inner = new PlayedResponse([]);
  new ChangedResponse(inner, CHANGE).discard();
  expect(inner.isDiscarded).toBe(true);
});
