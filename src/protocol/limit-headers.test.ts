import { expect, test } from "bun:test";
import { addAnthropicLimits, addOpenaiLimits } from "./limit-headers.ts";

const STATES = {
  requests: { limit: 60, remaining: 59, resetMs: 1000 },
  tokens: { limit: 90_000, remaining: 80_000, resetMs: 6667 },
};

test("clients of OpenAI's API get the headers that their SDKs know, and the standard's", () => {
  const headers: Record<string, string> = {};
  addOpenaiLimits(headers, STATES);
  expect(headers).toEqual({
    "ratelimit-policy": '"requests";q=60;w=60, "tokens";q=90000;w=60',
    ratelimit: '"requests";r=59;t=1, "tokens";r=80000;t=7',
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "90000",
    "x-ratelimit-remaining-tokens": "80000",
    "x-ratelimit-reset-tokens": "6.7s",
  });
});

test("clients of Anthropic's API get times, and never one that is too early", () => {
  const headers: Record<string, string> = {};
  addAnthropicLimits(headers, { requests: STATES.requests, tokens: undefined }, Date.UTC(2026, 0, 1, 0, 0, 0, 1));
  expect(headers).toEqual({
    "ratelimit-policy": '"requests";q=60;w=60',
    ratelimit: '"requests";r=59;t=1',
    "anthropic-ratelimit-requests-limit": "60",
    "anthropic-ratelimit-requests-remaining": "59",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:02Z",
  });
});

test("a duration is written as OpenAI writes it", () => {
  const reset = (resetMs: number): string | undefined => {
    const headers: Record<string, string> = {};
    addOpenaiLimits(headers, { requests: { limit: 1, remaining: 0, resetMs }, tokens: undefined });
    return headers["x-ratelimit-reset-requests"];
  };
  expect([0, 119.2, 1500, 59_000, 60_000, 90_001].map(reset)).toEqual(["0ms", "120ms", "1.5s", "59s", "1m0s", "1m31s"]);
});

test("a caller without limits gets no header", () => {
  const headers: Record<string, string> = {};
  addOpenaiLimits(headers, { requests: undefined, tokens: undefined });
  addAnthropicLimits(headers, { requests: undefined, tokens: undefined }, 0);
  expect(headers).toEqual({});
});
