import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { JsonObject } from "../protocol/json/json.ts";
import { generate, type Plan, planGeneration } from "./generation.ts";
import { PrefixCache } from "./prefix-cache.ts";
import { ENGINE_TIMING, Scheduler } from "./scheduler.ts";

const PROMPT = Buffer.from("x".repeat(200));

function plan(body: JsonObject, begun?: string, says?: string): Plan {
  return planGeneration(body, PROMPT, new PrefixCache(1000), begun, says);
}

test("a limit cuts the answer under each of its names, and says so", () => {
  for (const name of ["max_completion_tokens", "max_tokens", "max_output_tokens", "max_new_tokens"]) {
    const { tokens, finishReason } = plan({ [name]: 3 });
    expect([name, tokens.length, finishReason]).toEqual([name, 3, "length"]);
  }
  expect(plan({ sampling_params: { max_new_tokens: 2 } }).tokens).toHaveLength(2);
});

test("an answer that ends by itself stopped, and one that may not end has all of its tokens", () => {
  expect(plan({}).finishReason).toBe("stop");
  expect(plan({ max_tokens: 200 }).finishReason).toBe("stop");
  expect(plan({ max_tokens: 200, ignore_eos: true }).tokens).toHaveLength(200);
});

test("an answer is cut before the first of its stop strings, also within a token", () => {
  const says = "one two three";
  expect(plan({ stop: "wo" }, undefined, says).tokens.join("")).toBe("one t");
  expect(plan({ stop_sequences: ["three", "two", ""] }, undefined, says).tokens.join("")).toBe("one ");
  expect(plan({ stop: ["absent"] }, undefined, says).tokens.join("")).toBe(says);
  expect(plan({ stop: "wo" }, undefined, says).finishReason).toBe("stop");
});

test("an answer that was begun goes on to where it would have ended", () => {
  const whole = plan({}).tokens;
  const begun = whole.slice(0, 3).join("");
  expect(plan({}, begun).tokens).toEqual(whole.slice(3));
});

test("the prompt's tokens are counted, those that the cache had among them", () => {
  const cache = new PrefixCache(1000);
  const counts = (): (number | undefined)[] => {
    const { promptTokens, cachedTokens } = planGeneration({}, PROMPT, cache, undefined);
    return [promptTokens, cachedTokens];
  };
  expect([counts(), counts()]).toEqual([
    [50, 0],
    [50, 48],
  ]);
});

test("without a scheduler all tokens come at once", async () => {
  const { tokens } = plan({});
  expect(await Array.fromAsync(generate(plan({}), undefined))).toEqual([...tokens]);
});

test("with a scheduler tokens come at its pace, and whoever leaves frees the engine", async () => {
  const clock = new ManualClock();
  const scheduler = new Scheduler(ENGINE_TIMING, clock);
  const tokens = generate(plan({}), scheduler);
  const first = tokens.next();
  expect(scheduler.running).toBe(1);
  clock.advance(1000);
  expect((await first).value).toBe(plan({}).tokens[0]);
  await tokens.return();
  expect([scheduler.running, scheduler.waiting]).toEqual([0, 0]);
});
