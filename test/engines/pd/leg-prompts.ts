import { type JsonObject, numberField, objectField } from "../../../src/protocol/json/json.ts";
import { sampleCount } from "../../../src/engine-sim/generation-run.ts";
import { batchPrompts, chatPrompt, responsesPrompt } from "../../../src/engine-sim/prompt.ts";

/** The prompts of a request, one for each sequence it makes; undefined where the route generates nothing. */
export function legPrompts(path: string, body: JsonObject): readonly Uint8Array[] | undefined {
  switch (path) {
    case "/v1/chat/completions":
      return repeat([chatPrompt(body)], numberField(body, "n"));
    case "/v1/completions":
      return repeat(batchPrompts(body["prompt"]), numberField(body, "n"));
    case "/generate":
      return repeat(
        batchPrompts(body["text"] ?? body["input_ids"]),
        numberField(objectField(body, "sampling_params") ?? {}, "n"),
      );
    case "/v1/responses":
      return [responsesPrompt(body)];
    case "/v1/messages":
      return [chatPrompt(body)];
    default:
      return undefined;
  }
}

function repeat(prompts: readonly Uint8Array[], samples: number | undefined): readonly Uint8Array[] {
  return prompts.flatMap((prompt) => Array.from({ length: sampleCount(samples) }, () => prompt));
}

/** What stands for prompts where two engines compare theirs. */
export function promptHash(prompts: readonly Uint8Array[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const prompt of prompts) hash.update(prompt).update("\0");
  return hash.digest("hex");
}
