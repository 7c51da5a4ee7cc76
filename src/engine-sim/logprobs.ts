import { otherTokens } from "./text.ts";

/** Alternatives of a token that an engine gives at most. */
const MOST = 20;

/** Log-probability of a token of an answer: the longer the token, the less likely. */
export function logprobOf(token: string): number {
  return -(token.length / 10);
}

/** An entry of `logprobs.content` with the `top` likeliest tokens. The token itself is the first of them. */
export function logprobEntry(token: string, top: number): object {
  const others = alternatives(token, top).map(([text, logprob]) => ({ token: text, logprob, bytes: bytesOf(text) }));
  return { token, logprob: logprobOf(token), bytes: bytesOf(token), top_logprobs: others };
}

/** The `top` likeliest tokens in the place of this one, likeliest first. */
export function alternatives(token: string, top: number): [text: string, logprob: number][] {
  const count = Math.max(0, Math.min(top, MOST));
  const texts = [token, ...otherTokens(token, count)].slice(0, count);
  return texts.map((text, index) => [text, logprobOf(token) - index]);
}

function bytesOf(text: string): number[] {
  return [...Buffer.from(text)];
}
