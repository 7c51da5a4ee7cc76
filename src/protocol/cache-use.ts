import type { JsonBody } from "./json/json-body.ts";

/**
 * Whether the engine computes the whole prompt anew for this request, although its cache may hold the beginning: log probabilities of the
 * prompt's own tokens are not cached (vLLM: `prompt_logprobs`, also 0, or `echo` with log probabilities; SGLang: `logprob_start_len`).
 */
export function readsNoCache(body: JsonBody): boolean {
  const top = body.value("prompt_logprobs");
  if (top !== undefined && top !== null) return true;
  if (body.span("echo") && body.value("echo") === true) return asksLogprobs(body, "logprobs", "top_logprobs");
  const start = body.span("logprob_start_len") && body.value("logprob_start_len");
  return typeof start === "number" && start >= 0 && asksLogprobs(body, "return_logprob");
}

function asksLogprobs(body: JsonBody, ...names: readonly string[]): boolean {
  return names.some((name) => {
    const value = body.value(name);
    return value !== undefined && value !== null && value !== false;
  });
}
