import { type JsonObject, numberField, objectField } from "../protocol/json/json.ts";
import type { PrefixCache } from "./prefix-cache.ts";
import type { Scheduler } from "./scheduler.ts";
import { answerTokens, countTokens, naturalLength, tokensOf } from "./text.ts";

/** What a generation will give, before it runs. */
export interface Plan {
  readonly tokens: readonly string[];
  readonly finishReason: "stop" | "length";
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Prompt tokens whose KV cache another engine computed and handed over. */
  readonly movedTokens?: number;
}

/**
 * Plans the generation that a request of any API asks for. `begun` is the beginning of the answer that the request gives; the
 * empty string lets the answer go on within the prompt's last text. `says` replaces the answer that the prompt would have.
 */
export function planGeneration(
  body: JsonObject,
  prompt: Uint8Array,
  cache: PrefixCache,
  begun: string | undefined,
  says?: string,
): Plan {
  const sampling = objectField(body, "sampling_params") ?? body;
  const limit =
    numberField(sampling, "max_completion_tokens") ??
    numberField(sampling, "max_tokens") ??
    numberField(sampling, "max_output_tokens") ??
    numberField(sampling, "max_new_tokens");
  const before = begun ? begun.split(" ").length : 0;
  const said = says === undefined ? undefined : tokensOf(says, begun);
  const whole = Math.max(1, said ? said.length : naturalLength(prompt) - before);
  const natural = sampling["ignore_eos"] === true && limit !== undefined ? limit : whole;
  const length = Math.min(limit ?? natural, natural);
  const all =
    said?.slice(0, length) ??
    answerTokens(Buffer.concat([prompt, Buffer.from(begun ?? "")]), length, begun !== undefined);
  const tokens = cutAtStop(all, stopsOf(sampling));
  return {
    tokens,
    finishReason: tokens.length < all.length || length === natural ? "stop" : "length",
    promptTokens: countTokens(prompt) + before,
    cachedTokens: cache.use(prompt),
  };
}

/** Gives the tokens when the scheduler has made them, or all at once without one. A loop that is left takes the sequence out of the scheduler. */
export async function* generate(plan: Plan, scheduler: Scheduler | undefined): AsyncGenerator<string, void, void> {
  if (!scheduler) {
    yield* plan.tokens;
    return;
  }
  let ready = 0;
  let wake: (() => void) | undefined;
  const leave = scheduler.add(
    plan.promptTokens - Math.max(plan.cachedTokens, plan.movedTokens ?? 0),
    Math.max(1, plan.tokens.length),
    () => {
      ready += 1;
      wake?.();
    },
  );
  try {
    for (let index = 0; index < plan.tokens.length; index += 1) {
      // oxlint-disable-next-line no-unmodified-loop-condition -- the scheduler's callback counts
      while (ready <= index) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      yield plan.tokens[index] ?? "";
    }
  } finally {
    leave();
  }
}

function stopsOf(sampling: JsonObject): readonly string[] {
  const stop = sampling["stop"] ?? sampling["stop_sequences"];
  if (typeof stop === "string") return [stop];
  return Array.isArray(stop) ? stop.filter((text) => typeof text === "string") : [];
}

/** The tokens before the first stop string. The token in which it begins is cut. */
function cutAtStop(tokens: readonly string[], stops: readonly string[]): readonly string[] {
  const text = tokens.join("");
  const ends = stops
    .filter((stop) => stop !== "")
    .map((stop) => text.indexOf(stop))
    .filter((at) => at >= 0);
  if (ends.length === 0) return tokens;
  const end = Math.min(...ends);
  const kept: string[] = [];
  let length = 0;
  for (const token of tokens) {
    if (length >= end) break;
    kept.push(token.slice(0, end - length));
    length += token.length;
  }
  return kept;
}
