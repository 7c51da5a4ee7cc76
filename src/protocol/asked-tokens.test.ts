import { expect, test } from "bun:test";
import { askedTokens } from "./asked-tokens.ts";
import { readJsonBody } from "./json/json-body.ts";

const CASES: readonly [body: object, tokens: number][] = [
  [{ max_tokens: 10 }, 10],
  [{ max_tokens: 10, max_completion_tokens: 20 }, 20],
  [{ max_output_tokens: 7 }, 7],
  [{ sampling_params: { max_new_tokens: 5 } }, 5],
  [{ max_tokens: null }, 256],
  [{ max_tokens: -4 }, 256],
  [{ max_tokens: "many" }, 256],
  [{}, 256],
];

for (const [body, tokens] of CASES) {
  test(`${JSON.stringify(body)} asks for ${tokens} tokens`, async () => {
    expect(askedTokens(await readJsonBody(Buffer.from(JSON.stringify(body))))).toBe(tokens);
  });
}
