import { expect, test } from "bun:test";
import { boundedText } from "./bounded-text.ts";

interface Body {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Pieces that were taken. */
  readonly taken: () => number;
  readonly isCancelled: () => boolean;
}

function bodyOf(pieces: readonly string[]): Body {
  let taken = 0;
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        const piece = pieces[taken];
        if (piece === undefined) return controller.close();
        taken += 1;
        controller.enqueue(Buffer.from(piece, "latin1"));
      },
      cancel: () => void (isCancelled = true),
    },
    { highWaterMark: 0 },
  );
  return { body, taken: () => taken, isCancelled: () => isCancelled };
}

test("a body is read whole, also one whose characters come in parts", async () => {
  expect(await boundedText({ body: bodyOf(["tr\xc3", "\xa4in"]).body }, 6)).toBe("träin");
  expect(await boundedText({ body: null }, 0)).toBe("");
});

test("of a body that is too large the rest is not read", async () => {
  const { body, taken, isCancelled } = bodyOf(["1234", "5678", "9"]);
  expect(await boundedText({ body }, 7)).toBeUndefined();
  expect([taken(), isCancelled()]).toEqual([2, true]);
});
