import { describe, expect, test } from "bun:test";
import type { Encoder } from "../../tokenizer/tokenizer.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import { type EncodeBounds, encodeWithin } from "./encode-within.ts";
import type { ModelText } from "./model-text.ts";

interface Setup {
  readonly model: Pick<ModelText, "tokenizer" | "encoder">;
  /** Lengths of the texts that were encoded by the tokenizer, and by the encoder before it. */
  readonly slices: number[];
  readonly whole: number[];
}

/** A token for so many characters. */
function setUp(charsAToken: number, longestToken = 100): Setup {
  const slices: number[] = [];
  const whole: number[] = [];
  const encoder = (seen: number[]): Encoder => ({
    encode(text) {
      seen.push(text.length);
      return new Uint32Array(Math.ceil(text.length / charsAToken));
    },
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else of a tokenizer is asked
  const tokenizer = { ...encoder(slices), longestToken } as ModelText["tokenizer"];
  return { model: { tokenizer, encoder: encoder(whole) }, slices, whole };
}

const BARE = { addSpecialTokens: false };

function bounds(maxModelLen: number | undefined, signal = new LeaveController()): EncodeBounds {
  return { maxModelLen, param: "messages", signal };
}

async function failure(promise: ReturnType<typeof encodeWithin>): Promise<unknown> {
  return Promise.resolve(promise).catch((error: unknown) => error);
}

describe("a text that is encoded within what the model takes", () => {
  test("is encoded at once where it is short, also where it is too long for the model", () => {
    const { model, slices, whole } = setUp(4);
    expect(encodeWithin("a".repeat(4000), model, BARE, bounds(10))).toBeInstanceOf(Uint32Array);
    expect([slices, whole]).toEqual([[], [4000]]);
  });

  test("is refused by its length where it must have more tokens, before any is made", async () => {
    const { model, slices, whole } = setUp(4);
    const text = "a".repeat(100 * 1000);
    expect(await failure(encodeWithin(text, model, BARE, bounds(1000)))).toMatchObject({
      code: "invalid_request",
      message: "the prompt is more than 1000 tokens long, and this model takes 1000 with its answer",
      details: { param: "messages", workerCode: "context_length_exceeded" },
    });
    expect([slices, whole]).toEqual([[], []]);
  });

  test("is refused as soon as too many tokens are counted, however long it is", async () => {
    const { model, slices, whole } = setUp(4);
    const text = "a".repeat(60_000_000);
    expect(await failure(encodeWithin(text, model, BARE, bounds(1_000_000)))).toMatchObject({
      code: "invalid_request",
    });
    // A million tokens are four million characters, and some for what the cuts may have added.
    expect(slices.length).toBeLessThan(4_200_000 / 32_768);
    expect(whole).toEqual([]);
  });

  test("is encoded whole where it fits, also where its tokens are long", async () => {
    const { model, slices, whole } = setUp(40);
    const text = "a".repeat(400_000);
    expect(await encodeWithin(text, model, BARE, bounds(20_000))).toHaveLength(10_000);
    expect([slices.length, whole]).toEqual([13, [400_000]]);
  });

  test("is not counted first where it is as long as text of the model's length is", async () => {
    const { model, slices } = setUp(4);
    expect(await encodeWithin("a".repeat(400_000), model, BARE, bounds(120_000))).toHaveLength(100_000);
    expect(slices).toEqual([]);
  });

  test("is left where it is when the client leaves", async () => {
    const { model, slices, whole } = setUp(4);
    const client = new LeaveController();
    const encoding = failure(encodeWithin("a".repeat(60_000_000), model, BARE, bounds(undefined, client)));
    client.leave("gone");
    expect(await encoding).toMatchObject({ code: "client_closed" });
    expect([slices.length, whole]).toEqual([1, []]);
  });
});
