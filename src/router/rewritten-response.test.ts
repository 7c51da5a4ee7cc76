import { expect, test } from "bun:test";
import fc from "fast-check";
import type { UpstreamResponse } from "../transport/upstream.ts";
import { RewrittenResponse, type RewriteRule } from "./rewritten-response.ts";

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

async function readAll(response: UpstreamResponse): Promise<string> {
  const pieces: Uint8Array[] = [];
  for (let piece = await response.read(); piece; piece = await response.read()) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const seen: string[] = [];
/** Every number one more digit, so that a second pass would show. */
const RULE: RewriteRule = {
  marker: '"n"',
  rewrite: (json) => {
    const text = Buffer.from(json).toString();
    seen.push(text);
    const changed = Buffer.from(text.replace(/"n":(\d+)/, '"n":$10'));
    return text.includes("later") ? Promise.resolve(changed) : changed;
  },
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
    expect(await readAll(new RewrittenResponse(answer(pieces), RULE))).toBe(AFTER);
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
        expect(await readAll(new RewrittenResponse(response, RULE))).toBe(AFTER);
      },
    ),
  );
});

test("only what has the marker is looked at", async () => {
  seen.length = 0;
  await readAll(new RewrittenResponse(answer([Buffer.from(BEFORE)]), RULE));
  expect(seen).toEqual(['{"n":1,"text":"größer 駅 🚂"}', '{"n":2,"x":"later"}', '{"n":3}']);
});

test("a whole answer is changed as one, and an error is not", async () => {
  const body = Buffer.from('{"n":5}');
  expect(Buffer.from(await new RewrittenResponse(answer([body]), RULE).bytes(100)).toString()).toBe('{"n":50}');
  expect(Buffer.from(await new RewrittenResponse(answer([body], 500), RULE).bytes(100)).toString()).toBe('{"n":5}');
});

test("head and end are the worker's", () => {
  const inner = answer([], 201);
  const response = new RewrittenResponse(inner, RULE);
  response.discard();
  expect([response.status, response.headers.get("content-type"), inner.isDiscarded]).toEqual([
    201,
    "text/event-stream",
    true,
  ]);
});
