import type { JsonBody } from "../json/json-body.ts";
import { readUsage, type Usage } from "../usage.ts";
import { samplesEach } from "./sequences.ts";

/** The usage of a whole answer to `/generate`: one object, or a list with one for each prompt and sample. */
export function usageOfAnswer(answer: unknown, body: JsonBody): Usage | undefined {
  return Array.isArray(answer) ? usageOfSamples(new Map(answer.map(readUsage).entries()), body) : readUsage(answer);
}

/**
 * Adds up the usage of all samples, by their numbers: prompt by prompt. The samples of one prompt tell its tokens each, so they count
 * once. A count that one of them lacks is not known.
 */
export function usageOfSamples(samples: ReadonlyMap<number, Usage | undefined>, body: JsonBody): Usage | undefined {
  const all = [...samples.values()];
  if (all.length <= 1) return all[0];
  const each = samplesEach(body);
  const firsts = [...samples].flatMap(([number, usage]) => (number % each === 0 ? [usage] : []));
  return {
    promptTokens: sumOf(firsts, "promptTokens"),
    completionTokens: sumOf(all, "completionTokens"),
    cachedTokens: sumOf(firsts, "cachedTokens"),
  };
}

function sumOf(samples: readonly (Usage | undefined)[], count: keyof Usage): number | undefined {
  let sum = 0;
  for (const sample of samples) {
    const tokens = sample?.[count];
    if (tokens === undefined) return undefined;
    sum += tokens;
  }
  return sum;
}
