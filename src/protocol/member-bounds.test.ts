import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { JsonBody } from "../protocol/json/json-body.ts";
import { scanMembers } from "../../test/support/scan-members.ts";
import { endpointNamed } from "../../test/support/endpoints.ts";
import { ENDPOINTS, type EndpointName } from "./endpoints.ts";
import { checkMembers } from "./member-bounds.ts";

/** The `param` of the error for this body on an endpoint; undefined without an error. */
function refused(text: string, endpoint: EndpointName): string | undefined {
  const bytes = Buffer.from(text);
  try {
    checkMembers(new JsonBody(bytes, scanMembers(bytes)), endpointNamed(endpoint).bounds);
    return undefined;
  } catch (error) {
    if (error instanceof GatewayError && error.code === "invalid_request") return error.details.param;
    throw error;
  }
}

/** Names of the rows on which anything is generated. */
const GENERATING: readonly EndpointName[] = ENDPOINTS.filter(({ work }) => work === "generate").map(({ name }) => name);

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
  for (const text of taken) {
    test(`${text} is taken`, () => {
      for (const name of GENERATING) expect(refused(text, name)).toBeUndefined();
    });
  }

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
    [`{"n":1000000000.${"0".repeat(4000)}}`]: "n",
    [`{"n":[${"1,".repeat(40_000)}1]}`]: "n",
    '{"top_logprobs":20000}': "top_logprobs",
    '{"min_tokens":1000000000}': "min_tokens",
    '{"prompt_logprobs":10000000}': "prompt_logprobs",
  };
  for (const [text, param] of Object.entries(bad)) {
    test(`${text.slice(0, 60)} is refused where anything is generated`, () => {
      for (const name of GENERATING) expect(refused(text, name)).toBe(param);
    });
  }

  const ofOneApi: readonly (readonly [endpoint: EndpointName, text: string, param: string])[] = [
    ["responses", '{"max_output_tokens":-1}', "max_output_tokens"],
    ["generate", '{"max_new_tokens":-1}', "max_new_tokens"],
    ["generate", '{"top_logprobs_num":[1,10000000]}', "top_logprobs_num"],
    ["generate", '{"sampling_params":{"n":1000000000}}', "sampling_params.n"],
    ["generate", '{"sampling_params":{"max_new_tokens":"1000000000"}}', "sampling_params.max_new_tokens"],
    ["generate", '{"sampling_params":[{},{"best_of":1000000000}]}', "sampling_params[1].best_of"],
  ];
  for (const [endpoint, text, param] of ofOneApi) {
    test(`${text} is refused by ${endpoint}, whose API has the member`, () =>
      expect(refused(text, endpoint)).toBe(param));
  }

  test("are nobody's where nothing is generated", () => {
    expect(refused('{"n":1000000000}', "embeddings")).toBeUndefined();
    expect(refused('{"n":1000000000}', "tokenize")).toBeUndefined();
  });
});

describe("lists that an engine walks", () => {
  const list = (count: number): string => `[${Array.from({ length: count }, () => '"a"').join(",")}]`;
  const lists: readonly (readonly [endpoint: EndpointName, name: string])[] = [
    ...["stop", "stop_token_ids", "bad_words", "tools", "functions"].flatMap((name) =>
      GENERATING.map((endpoint) => [endpoint, name] as const),
    ),
    ["messages", "stop_sequences"],
    ["tokenize", "tools"],
    ["count_tokens", "tools"],
    ["response_input_tokens", "tools"],
  ];
  for (const [endpoint, name] of lists) {
    test(`${name} of ${endpoint} may have 4,096 entries`, () => {
      const asked = (count: number): string | undefined => refused(`{"${name}":${list(count)}}`, endpoint);
      expect([asked(4096), asked(4097)]).toEqual([undefined, name]);
    });
  }

  test("may be within the parameters", () => {
    expect(refused(`{"sampling_params":{"stop":${list(4097)}}}`, "generate")).toBe("sampling_params.stop");
    expect(refused(`{"sampling_params":{"stop":"text"}}`, "generate")).toBeUndefined();
  });

  test("of parameters are bounded together, as they are read whole", () => {
    const one = `{"n":1,"custom":"${"x".repeat(1000)}"}`;
    const batch = (count: number): string =>
      `{"sampling_params":[${Array.from({ length: count }, () => one).join(",")}]}`;
    expect(refused(batch(900), "generate")).toBeUndefined();
    expect(refused(batch(1100), "generate")).toBe("sampling_params");
  });
});
