import { describe, expect, test } from "bun:test";
import type { PdDialect } from "../engines/pd/pd-options.ts";
import type { JsonObject } from "../../src/protocol/json/json.ts";
import { post } from "../support/gateway.ts";
import { CHAT, COMPLETIONS } from "../support/pd-client.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";
import { eventsOf } from "../support/stream-text.ts";

/** What an answer says but for what differs by chance. */
function withoutIds(answer: unknown): unknown {
  const text = JSON.stringify(answer, (key, value: unknown) => (key === "id" ? undefined : value));
  return JSON.parse(text);
}

const PROMPTS = { text: ["over the border", "and moorland boulder"] };
const LOGPROBS = { return_logprob: true, logprob_start_len: 0 };
const NATIVE: readonly (readonly [title: string, body: object])[] = [
  ["one prompt", { text: "Past cotton grass and moorland" }],
  ["token ids from the third on", { input_ids: [5, 6, 7, 8, 9], logprob_start_len: 2 }],
  ["two samples", { text: "Past cotton grass", sampling_params: { n: 2, max_new_tokens: 5 } }],
  ["a batch", PROMPTS],
  ["a batch of samples", { ...PROMPTS, sampling_params: { n: 2, max_new_tokens: 4 } }],
];

describe("log-probabilities of the prompt come before those of the answer, as with one engine:", () => {
  for (const [title, more] of NATIVE) {
    for (const stream of [false, true]) {
      test(`${title}, ${stream ? "streamed" : "whole"}`, async () => {
        await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 1000 });
        await using gateway = await startPdGateway([["sglang", fleet]]);
        const body = { ...LOGPROBS, ...more, stream };
        const [pair, single] = await Promise.all(
          [gateway.url, fleet.single.url].map(async (url) => (await post(`${url}/generate`, body)).text()),
        );
        const read = (text = ""): unknown => withoutIds(stream ? eventsOf(text) : JSON.parse(text));
        expect(single).toContain("input_token_logprobs");
        expect(read(pair)).toEqual(read(single));
        expect(fleet.violations).toEqual([]);
      });
    }
  }
});

/** Where each API's answers and streams say what of the prompt was cached. */
const COUNTED: readonly (readonly [path: string, body: object])[] = [
  [CHAT, { model: "sim-1", messages: [{ role: "user", content: "x".repeat(600) }], max_tokens: 4 }],
  [COMPLETIONS, { model: "sim-1", prompt: "y".repeat(600), max_tokens: 4 }],
  ["/v1/messages", { model: "sim-1", messages: [{ role: "user", content: "z".repeat(600) }], max_tokens: 4 }],
  ["/v1/responses", { model: "sim-1", input: "w".repeat(600), max_output_tokens: 4 }],
];

/** All that an answer or its events say of the prompt's tokens. */
function counts(answer: unknown): JsonObject[] {
  const found: JsonObject[] = [];
  JSON.stringify(answer, (key, value: unknown) => {
    if (key === "usage" && typeof value === "object" && value !== null) {
      const { prompt_tokens, prompt_tokens_details, input_tokens, input_tokens_details, cache_read_input_tokens } =
        value as JsonObject;
      found.push({ prompt_tokens, prompt_tokens_details, input_tokens, input_tokens_details, cache_read_input_tokens });
    }
    return value;
  });
  return found;
}

for (const dialect of ["nixl", "mooncake", "p2p_nccl", "passthrough"] as const satisfies PdDialect[]) {
  for (const [path, body] of COUNTED) {
    test(`${dialect}: ${path} says what prefill had cached, first time and second, whole and streamed`, async () => {
      await using fleet = await startPdFleet({ dialect, prefills: 1, decodes: 1, waitMs: 1000 });
      await using gateway = await startPdGateway([[dialect, fleet]]);
      for (const stream of [false, true, false]) {
        const asked = { ...body, stream, ...(stream ? { stream_options: { include_usage: true } } : {}) };
        const [pair, single] = await Promise.all(
          [gateway.url, fleet.single.url].map(async (url) => {
            const text = await (await post(`${url}${path}`, asked)).text();
            return counts(stream ? eventsOf(text) : JSON.parse(text));
          }),
        );
        expect(single?.length).toBeGreaterThan(0);
        expect(pair).toEqual(single ?? []);
      }
      const cached = gateway.lines.map((line) => line["cached_tokens"]);
      expect(cached[0]).toBe(0);
      expect(Math.min(Number(cached[1]), Number(cached[2]))).toBeGreaterThan(0);
      expect(fleet.violations).toEqual([]);
    });
  }
}
