import { describe, expect, test } from "bun:test";
import { type JsonBody, readJsonBody } from "../../protocol/json/json-body.ts";
import { connectorNamed } from "../../engine/connectors.ts";
import { mergeOf } from "./pd-merge.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function merged(connector: string, prefill: string | undefined, decode: string): Promise<string> {
  const body: JsonBody = await readJsonBody(bytes('{"return_logprob":true}'));
  const merge = mergeOf(connectorNamed(connector), body);
  merge?.know(prefill === undefined ? undefined : bytes(prefill));
  return Buffer.from(merge?.whole(bytes(decode)) ?? []).toString();
}

describe("log-probabilities of SGLang", () => {
  const prefill = '{"meta_info":{"input_token_logprobs":[[null,1,null],[-1.50e-3,2,"a"]],"e":1},"text":""}';
  const decode = (lists: string): string => `{"x":1.0,"meta_info":{"n":18446744073709551615,${lists}},"z":[ ]}`;

  test("keep their numbers as they were written, and all else stays as it is", async () => {
    expect(await merged("sglang", prefill, decode('"input_token_logprobs":[],"b":2.50'))).toBe(
      decode('"input_token_logprobs":[[null,1,null],[-1.50e-3,2,"a"]],"b":2.50'),
    );
    expect(await merged("sglang", prefill, decode('"input_token_logprobs":[[-0.10,3,null]]'))).toBe(
      decode('"input_token_logprobs":[[null,1,null],[-1.50e-3,2,"a"],[-0.10,3,null]]'),
    );
  });

  test("are added where decode has none, and so are those of other tokens", async () => {
    const top = '{"meta_info":{"input_top_logprobs":[null,[[-1,2,null]]],"input_token_ids_logprobs":[[0]]}}';
    expect(await merged("sglang", top, decode('"a":1'))).toBe(
      decode('"a":1,"input_top_logprobs":[null,[[-1,2,null]]],"input_token_ids_logprobs":[[0]]'),
    );
  });

  test("of a batch go to the sequence that they are of, in a list or in events in any order", async () => {
    const one = (index: number): string =>
      `{"index":${index},"meta_info":{"input_token_logprobs":[[-${index}.0,1,null]]}}`;
    const list = `[${one(0)}, ${one(1)}]`;
    const events = [1, 1, 0].map((index) => `data: ${one(index)}\n\n`).join("");
    const empty = '{"index":1,"meta_info":{"input_token_logprobs":[]}}';
    for (const answer of [list, `${events}data: [DONE]\n\n`, events.replaceAll("\n", "\r\n")]) {
      expect(await merged("sglang", answer, empty)).toBe(one(1));
      expect(await merged("sglang", answer, ` [${empty.replace("1", "0")} ,${empty}]`.trim())).toBe(
        `[${one(0)} ,${one(1)}]`,
      );
    }
  });

  test("that prefill does not have leave the answer alone", async () => {
    const answer = decode('"input_token_logprobs":[]');
    for (const said of [undefined, "{}", "[]", "nonsense", "data: {}\n\n"]) {
      expect(await merged("sglang", said, answer)).toBe(answer);
    }
  });
});

describe("cached tokens of vLLM", () => {
  const openai = (cached: string): string => `{"usage":{"prompt_tokens":9,"prompt_tokens_details":${cached}},"c":1.0}`;

  test("are prefill's, or none where it does not say", async () => {
    const decode = openai('{"cached_tokens":9}');
    expect(await merged("nixl", openai('{"cached_tokens":4}'), decode)).toBe(openai('{"cached_tokens":4}'));
    expect(await merged("nixl", openai("null"), decode)).toBe(openai('{"cached_tokens":0}'));
    expect(await merged("nixl", openai('{"cached_tokens":4}'), openai("null"))).toBe(openai("null"));
  });

  test("in Responses and Messages stand in events too, and Messages counts the rest of the prompt apart", async () => {
    const responses = (cached: number): string =>
      `{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":${cached}}}}`;
    const event = (of: string, inner: string): string => `{"type":"t","${of}":${inner}}`;
    expect(await merged("nixl", responses(3), event("response", responses(9)))).toBe(event("response", responses(3)));
    const messages = (rest: number, cached: number): string =>
      `{"usage":{"input_tokens":${rest},"cache_read_input_tokens":${cached},"output_tokens":1}}`;
    expect(await merged("nixl", messages(6, 3), event("message", messages(0, 9)))).toBe(
      event("message", messages(6, 3)),
    );
    expect(await merged("nixl", '{"usage":{"input_tokens":9}}', messages(0, 9))).toBe(messages(9, 0));
  });
});
