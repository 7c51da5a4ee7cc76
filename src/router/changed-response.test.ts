import { expect, test } from "bun:test";
import fc from "fast-check";
import { changed } from "../../test/support/changed.ts";
import type { UpstreamResponse } from "../transport/upstream.ts";
import type { AnswerChange } from "./answer-change.ts";
import { ChangedResponse } from "./changed-response.ts";

/** An answer that comes in these pieces, some at once and some later. */
function answer(pieces: readonly Uint8Array[], status = 200, isLate: (index: number) => boolean = () => false) {
  let next = 0;
  let isDiscarded = false;
  const response: UpstreamResponse & { readonly isDiscarded: boolean } = {
    status,
    headers: new Map([["content-type", "text/event-stream"]]),
    read() {
      const index = next++;
      return isLate(index) ? Promise.resolve(pieces[index]) : pieces[index];
    },
    bytes: async () => Buffer.concat(pieces),
    discard: () => {
      isDiscarded = true;
    },
    get isDiscarded() {
      return isDiscarded;
    },
  };
  return response;
}

const seen: string[] = [];
/** Every number one more digit, so that a second pass would show. */
const RULE: AnswerChange = {
  marker: '"n"',
  readsText: true,
  event(data) {
    seen.push(data);
    return { before: [], data: data.replace(/"n":(\d+)/, '"n":$10'), value: undefined };
  },
  whole: (body) => Buffer.from(body.toString().replace(/"n":(\d+)/, '"n":$10')),
};

const EVENTS = [
  'data: {"n":1,"text":"größer 駅 🚂"}\n\n',
  'data: {"other":true}\n\n',
  ': a comment with "n"\n\n',
  'event: delta\ndata: {"n":2,"x":"later"}\nid: 7\n\n',
  'data:{"n":3}\r\n\r\n',
  'data: {"a":1,\ndata: "n":4}\n\n',
  "data: [DONE]\n\n",
];
const BEFORE = EVENTS.join("");
const AFTER = BEFORE.replace('"n":1,', '"n":10,').replace('"n":2,', '"n":20,').replace('"n":3}', '"n":30}');

test("events are changed each whole, wherever the worker's bytes are cut in two", async () => {
  const bytes = Buffer.from(BEFORE);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
    expect(await changed(new ChangedResponse(answer(pieces), RULE))).toBe(AFTER);
  }
});

test("and however often, and whether they are there at once or later", async () => {
  const bytes = Buffer.from(BEFORE);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 })),
      fc.array(fc.boolean()),
      async (cuts, late) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        const response = answer(pieces, 200, (index) => late[index] === true);
        expect(await changed(new ChangedResponse(response, RULE))).toBe(AFTER);
      },
    ),
  );
});

test("only what has the marker is looked at", async () => {
  seen.length = 0;
  await changed(new ChangedResponse(answer([Buffer.from(BEFORE)]), RULE));
  expect(seen).toEqual(['{"n":1,"text":"größer 駅 🚂"}', '{"n":2,"x":"later"}', '{"n":3}']);
});

test("a whole answer is changed as one, and an error is not", async () => {
  const body = Buffer.from('{"n":5}');
  expect(Buffer.from(await new ChangedResponse(answer([body]), RULE).bytes(100)).toString()).toBe('{"n":50}');
  expect(Buffer.from(await new ChangedResponse(answer([body], 500), RULE).bytes(100)).toString()).toBe('{"n":5}');
});

test("head and end are the worker's", () => {
  const inner = answer([], 201);
  const response = new ChangedResponse(inner, RULE);
  response.discard();
  expect([response.status, response.headers.get("content-type"), inner.isDiscarded]).toEqual([
    201,
    "text/event-stream",
    true,
  ]);
});
