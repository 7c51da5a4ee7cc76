import { expect, test } from "bun:test";
import { endpointNamed } from "../../test/support/endpoints.ts";
import type { EndpointName } from "./endpoints.ts";
import { readJsonBody } from "./json/json-body.ts";

const IDS = [1, 2, 3];
const CASES: readonly (readonly [endpoint: EndpointName, body: object, expected: number])[] = [
  ["chat_completions", {}, 1],
  ["chat_completions", { n: 3 }, 3],
  ["chat_completions", { n: null, prompt: ["not", "read"] }, 1],
  ["completions", { prompt: ["a", "b"], n: 2 }, 4],
  ["completions", { prompt: "a", n: 2, best_of: 5 }, 2],
  ["completions", { prompt: "a", best_of: 5 }, 1],
  ["completions", { prompt: IDS }, 1],
  ["completions", { prompt: [[1], [2], [3]] }, 3],
  ["completions", { prompt: [] }, 1],
  ["completions", { prompt_embeds: ["AAAA", "BBBB"] }, 2],
  ["completions", { prompt: ["a".repeat(100_000), "b"] }, 2],
  ["generate", { text: "a", n: 5 }, 1],
  ["generate", { text: ["a", "b"], sampling_params: { n: 2 } }, 4],
  ["generate", { input_ids: [[1], [2]], sampling_params: [{}] }, 2],
  ["generate", { input_ids: IDS, sampling_params: { json_schema: "x".repeat(100_000), n: 3 } }, 3],
  ["generate", { text: ["a", "b"], sampling_params: [{ n: 3 }, { n: 3 }] }, 6],
  [
    "generate",
    {
      input_embeds: [
        [0.5, 1],
        [-2, 3],
      ],
    },
    1,
  ],
  ["generate", { input_embeds: [[[0.5]], [[-2]]] }, 2],
  ["messages", { n: 0.5 }, 1],
];

for (const [endpoint, body, expected] of CASES) {
  const json = JSON.stringify(body);
  test(`${endpoint} ${json.slice(0, 80)}: ${expected}`, async () => {
    // Pretty-printed as clients may, so that white space stands between the brackets.
    for (const text of [json, JSON.stringify(body, undefined, 4)])
      expect(endpointNamed(endpoint).sequences(await readJsonBody(Buffer.from(text)))).toBe(expected);
  });
}
