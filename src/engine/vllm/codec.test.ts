import { describe, expect, test } from "bun:test";
import { generateCall } from "../../../test/support/generate-call.ts";
import type { Constraint } from "../../protocol/generation.ts";
import {
  AbortRequest,
  EmbedRequest,
  EmbedResponse,
  GenerateRequest,
  GenerateResponse,
} from "../../transport/grpc/generated/engine/vllm.ts";
import { codec } from "./codec.ts";

describe("a request", () => {
  test("has the prompt as tokens alone, and leaves unsaid what the client left unsaid", () => {
    const sent = GenerateRequest.decode(codec.encodeGenerate(generateCall({ n: 2 })));
    expect(sent.input).toEqual({ $case: "tokenized", value: { originalText: "", inputIds: [1, 2, 3] } });
    expect([sent.samplingParams?.temperature, sent.samplingParams?.maxTokens, sent.samplingParams?.n]).toEqual([
      undefined,
      undefined,
      2,
    ]);
  });

  test("for prefill asks for one token of one sequence, with the parameters of the transfer", () => {
    const kv = { kind: "params", json: '{"do_remote_decode":true}', isPrefill: true } as const;
    const sent = GenerateRequest.decode(
      codec.encodeGenerate({ ...generateCall({ n: 4, maxTokens: 90, minTokens: 5 }), kv }),
    );
    expect(sent.kvTransferParamsJson).toBe(kv.json);
    expect(sent.samplingParams).toMatchObject({ maxTokens: 1, minTokens: 0, n: 1 });
  });

  test("for decode asks for all, with what prefill handed over", () => {
    const kv = { kind: "params", json: '{"remote_host":"p"}', isPrefill: false } as const;
    const sent = GenerateRequest.decode(codec.encodeGenerate({ ...generateCall({ maxTokens: 90 }), kv }));
    expect([sent.kvTransferParamsJson, sent.samplingParams?.maxTokens]).toEqual([kv.json, 90]);
  });

  const constraints: readonly (readonly [constraint: Constraint, sent: object])[] = [
    [
      { kind: "json_schema", schema: "{}" },
      { $case: "jsonSchema", value: "{}" },
    ],
    [{ kind: "json_object" }, { $case: "jsonObject", value: true }],
    [
      { kind: "regex", pattern: "a+" },
      { $case: "regex", value: "a+" },
    ],
    [
      { kind: "ebnf", grammar: "g" },
      { $case: "grammar", value: "g" },
    ],
    [
      { kind: "structural_tag", tag: "t" },
      { $case: "structuralTag", value: "t" },
    ],
    [
      { kind: "choice", choices: ["a", "b"] },
      { $case: "choice", value: { choices: ["a", "b"] } },
    ],
  ];
  test.each(constraints)("constrains the answer as the engine can: %j", (constraint, expected) => {
    const sent = GenerateRequest.decode(codec.encodeGenerate(generateCall({ constraint })));
    expect(sent.samplingParams?.constraint).toEqual(expected as NonNullable<typeof sent.samplingParams>["constraint"]);
  });
});

test("a seed of a client is one that the engine can take", () => {
  const call = generateCall({});
  const sent = codec.encodeGenerate({ ...call, sampling: { ...call.sampling, seed: -(2 ** 31) - 7 } });
  expect(GenerateRequest.decode(sent).samplingParams?.seed).toBe(7);
});

test("the end of a prefill has what decode must be given, word for word", () => {
  const kvTransferParamsJson = '{"remote_block_ids":[1]}';
  const end = GenerateResponse.encode(
    GenerateResponse.fromPartial({
      response: { $case: "complete", value: { outputIds: [4], finishReason: "length", kvTransferParamsJson } },
    }),
  ).finish();
  expect(codec.decodeGenerate(end, false)).toMatchObject({ ids: [4], kvParams: kvTransferParamsJson });
  expect(codec.decodeGenerate(end, true)).toMatchObject({ ids: [], finish: { reason: "length", matched: undefined } });
});

test("log-probabilities of the prompt have none for its first token", () => {
  const chunk = GenerateResponse.encode(
    GenerateResponse.fromPartial({
      response: {
        $case: "chunk",
        value: {
          tokenIds: [4],
          inputLogprobs: {
            tokenIds: [1, 2],
            tokenLogprobs: [{}, { value: -2 }],
            topLogprobs: [{}, { values: [-1], tokenIds: [9] }],
          },
        },
      },
    }),
  ).finish();
  expect(codec.decodeGenerate(chunk, true)?.promptLogprobs).toEqual([
    { id: 1, logprob: undefined, top: [] },
    { id: 2, logprob: -2, top: [{ id: 9, logprob: -1 }] },
  ]);
});

test("an abort names the request, and an embedding comes back with its count", () => {
  expect(AbortRequest.decode(codec.encodeAbort("r1")).requestIds).toEqual(["r1"]);
  const asked = EmbedRequest.decode(codec.encodeEmbed("r1", Uint32Array.of(7, 8), "text"));
  expect([asked.requestId, asked.tokenized?.inputIds]).toEqual(["r1", [7, 8]]);
  const answer = EmbedResponse.encode(EmbedResponse.fromPartial({ embedding: [0.5], promptTokens: 2 })).finish();
  expect(codec.decodeEmbed(answer)).toEqual({ values: Float32Array.of(0.5), promptTokens: 2 });
});
