import { expect, test } from "bun:test";
import fc from "fast-check";
import { bodyOf, follow } from "../../../test/support/answers.ts";
import { sglangDialect } from "./dialect.ts";

/** One sample of the prompt `prompt` tokens long. */
function sample(prompt: number, completion: number, cached: number): object {
  const counts = { prompt_tokens: prompt, completion_tokens: completion, cached_tokens: cached };
  return { text: "x", meta_info: { ...counts, finish_reason: { type: "stop" } } };
}

test("several prompts with several samples each are added up, whole and as a stream, and no prompt counts twice", () => {
  const prompts = fc.array(fc.tuple(fc.nat(9000), fc.nat(9000)), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(prompts, fc.integer({ min: 1, max: 4 }), (lengths, n) => {
      const body = { text: lengths.map(() => "p"), sampling_params: { n } };
      const samples = lengths.flatMap(([length, cached]) =>
        Array.from({ length: n }, (_, number) => sample(length + cached, number + 1, cached)),
      );
      const sum = (at: 0 | 1): number => lengths.reduce((total, one) => total + one[at], 0);
      const expected = {
        promptTokens: sum(0) + sum(1),
        completionTokens: (lengths.length * n * (n + 1)) / 2,
        cachedTokens: sum(1),
      };
      expect(sglangDialect.usageOf(samples, bodyOf(body))).toEqual(expected);
      const events = samples.map((one, index) => `data: ${JSON.stringify({ ...one, index })}\n\n`).toReversed();
      expect(follow(sglangDialect, `${events.join("")}data: [DONE]\n\n`, body).usage).toEqual(expected);
    }),
  );
});

test("a count that one sample lacks is not known", () => {
  const body = bodyOf({ text: ["a", "b"] });
  const { meta_info: _, ...untold } = { ...sample(5, 2, 0), meta_info: undefined };
  expect(sglangDialect.usageOf([sample(5, 2, 0), untold], body)).toEqual({
    promptTokens: undefined,
    completionTokens: undefined,
    cachedTokens: undefined,
  });
  expect(sglangDialect.usageOf({ text: "no counts" }, body)).toBeUndefined();
});
