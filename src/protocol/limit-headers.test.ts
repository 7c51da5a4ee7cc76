import { expect, test } from "bun:test";
import { anthropicLimitLines, openaiLimitLines } from "./limit-headers.ts";

const STATES = {
  requests: { limit: 60, remaining: 59, resetMs: 1000 },
  tokens: { limit: 90_000, remaining: 80_000, resetMs: 6667 },
};

/** The fields of whole lines. */
function fieldsOf(lines: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of lines.split("\r\n").slice(0, -1)) {
    const colon = line.indexOf(": ");
    fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return fields;
}

test("clients of OpenAI's API get the headers that their SDKs know, and the standard's", () => {
  expect(fieldsOf(openaiLimitLines(STATES))).toEqual({
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
  const lines = anthropicLimitLines({ requests: STATES.requests, tokens: undefined }, Date.UTC(2026, 0, 1, 0, 0, 0, 1));
  expect(fieldsOf(lines)).toEqual({
    "ratelimit-policy": '"requests";q=60;w=60',
    ratelimit: '"requests";r=59;t=1',
    "anthropic-ratelimit-requests-limit": "60",
    "anthropic-ratelimit-requests-remaining": "59",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:02Z",
  });
});

test("a limit of tokens alone is told alone", () => {
  expect(openaiLimitLines({ requests: undefined, tokens: STATES.tokens })).toBe(
    'ratelimit-policy: "tokens";q=90000;w=60\r\nratelimit: "tokens";r=80000;t=7\r\n' +
      "x-ratelimit-limit-tokens: 90000\r\nx-ratelimit-remaining-tokens: 80000\r\nx-ratelimit-reset-tokens: 6.7s\r\n",
  );
});

test("a duration is written as OpenAI writes it, and never has 60 seconds beside a minute", () => {
  const reset = (resetMs: number): string | undefined =>
    fieldsOf(openaiLimitLines({ requests: { limit: 1, remaining: 0, resetMs }, tokens: undefined }))[
      "x-ratelimit-reset-requests"
    ];
  expect([0, 119.2, 1500, 59_000, 59_950, 60_000, 90_001, 119_900].map(reset)).toEqual([
    "0ms",
    "120ms",
    "1.5s",
    "59s",
    "1m0s",
    "1m0s",
    "1m31s",
    "2m0s",
  ]);
});

test("a caller without limits gets no line", () => {
  const none = { requests: undefined, tokens: undefined };
  expect([openaiLimitLines(none), anthropicLimitLines(none, 0)]).toEqual(["", ""]);
});
