import { joinLists, memberAt, splice } from "../../protocol/splice.ts";
import type { JsonBody } from "../../protocol/json-body.ts";
import type { RewriteRule } from "../rewritten-response.ts";
import type { PdConnector } from "./pd-connector.ts";
import type { PrefillAnswer } from "./pd-exchange.ts";

const LOGPROBS = ["meta_info", "input_token_logprobs"] as const;
const CACHED_TOKENS: readonly (readonly string[])[] = [
  ["usage", "prompt_tokens_details", "cached_tokens"],
  ["usage", "input_tokens_details", "cached_tokens"],
  ["usage", "cache_read_input_tokens"],
];

/**
 * What the answer must be given of prefill's, if anything. The decode worker does not see the prompt's log-probabilities
 * (SGLang), and counts the KV cache that it was handed as cached (vLLM). Only bytes of these members change.
 */
export function mergeRule(connector: PdConnector, body: JsonBody, answer: PrefillAnswer): RewriteRule | undefined {
  switch (connector.merges) {
    case "input_logprobs":
      if (body.value("return_logprob") !== true) return undefined;
      return { marker: '"meta_info"', rewrite: async (json) => withLogprobs(json, await answer) };
    case "cached_tokens":
      return { marker: "cache", rewrite: async (json) => withCachedTokens(json, await answer) };
    case "nothing":
      return undefined;
  }
}

/** The prompt's log-probabilities before those that decode has, which begin where it took over. */
function withLogprobs(json: Uint8Array, prefill: Uint8Array | undefined): Uint8Array {
  const known = prefill && memberAt(firstJson(prefill), LOGPROBS);
  return known ? splice(json, LOGPROBS, (raw) => joinLists(known, raw)) : json;
}

function withCachedTokens(json: Uint8Array, prefill: Uint8Array | undefined): Uint8Array {
  for (const path of CACHED_TOKENS) {
    if (!memberAt(json, path)) continue;
    // A prefill worker that does not say found nothing in its cache.
    const known = prefill && memberAt(prefill, path);
    return splice(json, path, () => known ?? "0");
  }
  return json;
}

/** A stream's first event says of the prompt what the whole answer does. */
function firstJson(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!text.subarray(0, 5).equals(Buffer.from("data:"))) return body;
  const end = text.indexOf(10);
  return text.subarray(5, end < 0 ? undefined : end);
}
