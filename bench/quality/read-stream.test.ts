import { expect, test } from "bun:test";
import { readStream } from "./read-stream.ts";

const EVENTS =
  'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\ndata: {"choices":[{"delta":{"content":"ab "}}]}\n\n' +
  'data: {"choices":[{"delta":{"content":"cd "}}]}\n\ndata: {"choices":[]}\n\n';

function cut(text: string, each: number): Response {
  return new Response(
    new ReadableStream({
      start(controller) {
        for (let at = 0; at < text.length; at += each)
          controller.enqueue(new TextEncoder().encode(text.slice(at, at + each)));
        controller.close();
      },
    }),
  );
}

test("a stream is read however its bytes are cut", async () => {
  for (const each of [1, 7, 1000]) {
    const { text, firstAt, isWhole } = await readStream(cut(`${EVENTS}data: [DONE]\n\n`, each));
    expect({ text, isWhole, isTimed: firstAt !== undefined }).toEqual({ text: "ab cd ", isWhole: true, isTimed: true });
  }
});

test("a stream without its end marker is not whole", async () => {
  expect((await readStream(cut(EVENTS, 50))).isWhole).toBe(false);
});

test("an answer with an error status has no text", async () => {
  expect(await readStream(new Response("busy", { status: 503 }))).toEqual({
    text: "",
    firstAt: undefined,
    isWhole: false,
  });
});
