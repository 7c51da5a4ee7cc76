import { describe, expect, test } from "bun:test";
import { planSequence, type SequenceRequest } from "./sequence.ts";
import { BYTE_TOKENIZER } from "./tokenizer.ts";

const PLAIN: SequenceRequest = {
  promptIds: BYTE_TOKENIZER.encode("a prompt"),
  limit: undefined,
  minTokens: 0,
  stopTokenIds: [],
  stopTexts: [],
  ignoreEos: false,
  seed: undefined,
  choice: 0,
};

function plan(own: Partial<SequenceRequest>): ReturnType<typeof planSequence> {
  return planSequence({ ...PLAIN, ...own }, BYTE_TOKENIZER, undefined);
}

describe("planSequence", () => {
  test("answers the same to the same prompt, and ends by itself", () => {
    expect(plan({})).toEqual(plan({}));
    expect([plan({}).finishReason, plan({}).ids.at(-1)]).toEqual(["stop", BYTE_TOKENIZER.eosId]);
    expect(plan({ promptIds: [1] }).ids).not.toEqual(plan({}).ids);
  });

  test("is cut by a limit, which is not an end", () => {
    const { ids, finishReason } = plan({ limit: 4 });
    expect([ids.length, finishReason]).toEqual([4, "length"]);
    expect(plan({}).ids.slice(0, 4)).toEqual([...ids]);
  });

  test("does not stop before the least number of tokens", () => {
    const [first = 0] = plan({}).ids;
    expect(plan({ stopTokenIds: [first] }).ids).toHaveLength(1);
    const later = plan({ stopTokenIds: [first], minTokens: 5 });
    expect(later.ids.length).toBeGreaterThanOrEqual(5);
  });

  test("says what it is given to say", () => {
    const { ids, finishReason } = planSequence(PLAIN, BYTE_TOKENIZER, ({ text }) => `you said ${text}`);
    expect([BYTE_TOKENIZER.decode(ids), finishReason]).toEqual(["you said a prompt", "stop"]);
  });
});
