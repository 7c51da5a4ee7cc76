import type { TextLogprob } from "../generation.ts";

/** The log-probability of an impossible token, because JSON has no -Infinity. vLLM and OpenAI use the same number. */
const IMPOSSIBLE = -9999;

/** A log-probability that JSON can express. */
export function finite(logprob: number | undefined): number {
  return logprob === undefined || !Number.isFinite(logprob) ? IMPOSSIBLE : logprob;
}

/** Entries for `logprobs.content` of a chat's choice, and for the text of a response. */
export function logprobEntries(logprobs: readonly TextLogprob[]): object[] {
  return logprobs.map(({ token, bytes, logprob, top }) => ({
    token,
    logprob: finite(logprob),
    bytes,
    top_logprobs: top.map((other) => ({ token: other.token, logprob: finite(other.logprob), bytes: other.bytes })),
  }));
}

/** vLLM's `prompt_logprobs`: for each token of the prompt its alternatives by id; the first token has none. */
export function promptLogprobEntries(logprobs: readonly TextLogprob[]): (object | null)[] {
  return logprobs.map(({ id, token, logprob, top }) => {
    if (logprob === undefined) return null;
    const entries = new Map<number, object>();
    top.forEach((other, index) =>
      entries.set(other.id, { logprob: finite(other.logprob), rank: index + 1, decoded_token: other.token }),
    );
    if (!entries.has(id)) entries.set(id, { logprob: finite(logprob), rank: null, decoded_token: token });
    return Object.fromEntries(entries);
  });
}
