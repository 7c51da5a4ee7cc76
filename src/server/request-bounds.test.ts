import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { JsonBody } from "../protocol/json/json-body.ts";
import { scanMembers } from "../protocol/json/json-scanner.ts";
import { checkBounds } from "./request-bounds.ts";

/** The `param` of the refusal; undefined where there is none. */
function refused(text: string): string | undefined {
  const bytes = Buffer.from(text);
  try {
    checkBounds(new JsonBody(bytes, scanMembers(bytes)));
    return undefined;
  } catch (error) {
    if (error instanceof GatewayError && error.code === "invalid_request") return error.details.param;
    throw error;
  }
}

describe("numbers that an engine would allocate by", () => {
  const taken: readonly string[] = [
    '{"n":1}',
    '{"n":1024,"best_of":1024}',
    '{"n":null,"max_tokens":null}',
    '{"n":"2","max_tokens":"100"}',
    '{"max_tokens":0,"min_tokens":0}',
    '{"max_completion_tokens":100000000}',
    '{"logprobs":true,"top_logprobs":20}',
    '{"logprobs":false,"prompt_logprobs":-1}',
    '{"top_logprobs_num":[1,2,3]}',
    '{"sampling_params":{"n":4,"max_new_tokens":128,"stop":["a"]}}',
    '{"sampling_params":[{"n":1},{"n":2},null]}',
    '{"sampling_params":null}',
    '{"messages":[{"n":1000000000}],"other":{"n":1000000000}}',
    '{"unknown":1e300}',
  ];
  for (const text of taken) test(`${text} is taken`, () => expect(refused(text)).toBeUndefined());

  const bad: Readonly<Record<string, string>> = {
    '{"n":0}': "n",
    '{"n":1025}': "n",
    '{"n":"1000000000"}': "n",
    '{"n":"1e9"}': "n",
    '{"n":" 1000000000 "}': "n",
    '{"n":"1_000_000_000"}': "n",
    '{"n":[1000000000]}': "n",
    '{"n":{"a":1}}': "n",
    '{"\\u006e":1000000000}': "n",
    [`{"n":1000000000.${"0".repeat(70_000)}}`]: "n",
    '{"top_logprobs":20000}': "top_logprobs",
    '{"min_tokens":1000000000}': "min_tokens",
    '{"max_new_tokens":-1}': "max_new_tokens",
    '{"prompt_logprobs":10000000}': "prompt_logprobs",
    '{"top_logprobs_num":[1,10000000]}': "top_logprobs_num",
    '{"sampling_params":{"n":1000000000}}': "sampling_params.n",
    '{"sampling_params":{"max_new_tokens":"1000000000"}}': "sampling_params.max_new_tokens",
    '{"sampling_params":[{},{"best_of":1000000000}]}': "sampling_params[1].best_of",
  };
  for (const [text, param] of Object.entries(bad)) {
    test(`${text.slice(0, 60)} is refused`, () => expect(refused(text)).toBe(param));
  }
});

describe("lists that an engine walks", () => {
  const list = (count: number): string => `[${Array.from({ length: count }, () => '"a"').join(",")}]`;
  for (const name of ["stop", "stop_sequences", "stop_token_ids", "bad_words", "tools", "functions"]) {
    test(`${name} may have 4,096 entries`, () => {
      expect([refused(`{"${name}":${list(4096)}}`), refused(`{"${name}":${list(4097)}}`)]).toEqual([undefined, name]);
    });
  }

  test("may be within the parameters", () => {
    expect(refused(`{"sampling_params":{"stop":${list(4097)}}}`)).toBe("sampling_params.stop");
    expect(refused(`{"sampling_params":{"stop":"text"}}`)).toBeUndefined();
  });

  test("of parameters are bounded together, as they are read whole", () => {
    const one = `{"n":1,"custom":"${"x".repeat(1000)}"}`;
    expect(refused(`{"sampling_params":[${Array.from({ length: 900 }, () => one).join(",")}]}`)).toBeUndefined();
    expect(refused(`{"sampling_params":[${Array.from({ length: 1100 }, () => one).join(",")}]}`)).toBe(
      "sampling_params",
    );
  });
});
