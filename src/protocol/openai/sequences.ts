import type { JsonBody } from "../json/json-body.ts";
import { type PromptList, promptCount } from "../prompt-count.ts";

const COMPLETION_PROMPTS: readonly PromptList[] = [
  ["prompt", 1],
  ["prompt_embeds", 1],
];

/** Answers to a body with one prompt: its `n`. `best_of` says among how many the engine chooses, not how many it answers. */
export function choiceCount(body: JsonBody): number {
  return answersEach(body.value("n"));
}

/** Answers to `/v1/completions`: `n` for each of its prompts. */
export function completionCount(body: JsonBody): number {
  return promptCount(body, COMPLETION_PROMPTS) * choiceCount(body);
}

/** Answers to each prompt, given the value of `n`; 1 where it is no count. */
export function answersEach(n: unknown): number {
  return typeof n === "number" && Number.isInteger(n) && n > 1 ? n : 1;
}
