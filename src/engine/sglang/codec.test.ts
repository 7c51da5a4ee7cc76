import { describe, expect, test } from "bun:test";
import { generateCall } from "../../../test/support/generate-call.ts";
import type { Constraint } from "../../protocol/generation.ts";
import {
  AbortRequest,
  EmbedRequest,
  EmbedResponse,
  GenerateRequest,
  GenerateResponse,
} from "../../transport/grpc/generated/engine/sglang.ts";
import { codec } from "./codec.ts";

describe("a request", () => {
  test("has the prompt as tokens and as text, and says its limits", () => {
    const sent = GenerateRequest.decode(codec.encodeGenerate(generateCall({ maxTokens: 12, n: 2, stopTokenIds: [5] })));
    expect([sent.requestId, sent.tokenized?.inputIds, sent.tokenized?.originalText, sent.stream]).toEqual([
      "r1",
      [1, 2, 3],
      "abc",
      true,
    ]);
    const { samplingParams } = sent;
    expect([samplingParams?.maxNewTokens, samplingParams?.n, samplingParams?.stopTokenIds]).toEqual([12, 2, [5]]);
  });

  test("says its defaults, as a zero would be another value than the engine's", () => {
    const { samplingParams } = GenerateRequest.decode(codec.encodeGenerate(generateCall({})));
    expect(samplingParams).toMatchObject({ temperature: 1, topP: 1, topK: -1, repetitionPenalty: 1 });
  });

  test("names the room where the two of a pair meet, and the rank that prefills", () => {
    const call = { ...generateCall({}), kv: { kind: "room", host: "p", port: 8998, room: 77 } as const, rank: 3 };
    const sent = GenerateRequest.decode(codec.encodeGenerate(call));
    expect(sent.disaggregatedParams).toEqual({ bootstrapHost: "p", bootstrapPort: 8998, bootstrapRoom: 77 });
    expect(sent.dataParallelRank).toBe(3);
  });

  const constraints: readonly (readonly [constraint: Constraint, sent: object])[] = [
    [
      { kind: "json_schema", schema: "{}" },
      { $case: "jsonSchema", value: "{}" },
    ],
    [{ kind: "json_object" }, { $case: "jsonSchema", value: '{"type":"object"}' }],
    [
      { kind: "regex", pattern: "a+" },
      { $case: "regex", value: "a+" },
    ],
    [
      { kind: "ebnf", grammar: "g" },
      { $case: "ebnfGrammar", value: "g" },
    ],
    [
      { kind: "structural_tag", tag: "t" },
      { $case: "structuralTag", value: "t" },
    ],
    [
      { kind: "choice", choices: ["a.b", "c"] },
      { $case: "regex", value: "(a\\.b|c)" },
    ],
  ];
  test.each(constraints)("constrains the answer as the engine can: %j", (constraint, expected) => {
    const sent = GenerateRequest.decode(codec.encodeGenerate(generateCall({ constraint })));
    expect(sent.samplingParams?.constraint).toEqual(expected as NonNullable<typeof sent.samplingParams>["constraint"]);
  });
});

test("the end of a stream repeats no token, and that of a whole answer has all", () => {
  const end = GenerateResponse.encode(
    GenerateResponse.fromPartial({
      response: {
        $case: "complete",
        value: {
          outputIds: [4, 5],
          index: 1,
          finishReason: "length",
          cachedTokens: 2,
          reasoningTokens: 1,
          matchedStop: { $case: "matchedStopStr", value: "END" },
          outputLogprobs: { tokenIds: [4], tokenLogprobs: [-0.5], topLogprobs: [{ values: [-1], tokenIds: [9] }] },
        },
      },
    }),
  ).finish();
  const logprobs = [{ id: 4, logprob: -0.5, top: [{ id: 9, logprob: -1 }] }];
  const finish = { reason: "length", matched: "END" };
  expect(codec.decodeGenerate(end, true)).toMatchObject({ index: 1, ids: [], logprobs: undefined, finish });
  expect(codec.decodeGenerate(end, false)).toMatchObject({
    ids: [4, 5],
    logprobs,
    cachedTokens: 2,
    reasoningTokens: 1,
  });
});

test("an answer that the engine gave up is an error", () => {
  const end = GenerateResponse.encode(
    GenerateResponse.fromPartial({ response: { $case: "complete", value: { finishReason: "abort" } } }),
  ).finish();
  expect(() => codec.decodeGenerate(end, true)).toThrow("the engine gave the request up");
});

test("a message without an answer says nothing", () => {
  expect(
    codec.decodeGenerate(GenerateResponse.encode(GenerateResponse.fromPartial({})).finish(), true),
  ).toBeUndefined();
});

test("an abort names the request, and an embedding comes back with its count", () => {
  expect(AbortRequest.decode(codec.encodeAbort("r1")).requestId).toBe("r1");
  const asked = EmbedRequest.decode(codec.encodeEmbed("r1", Uint32Array.of(7, 8), "text"));
  expect([asked.requestId, asked.tokenized?.inputIds]).toEqual(["r1", [7, 8]]);
  const answer = EmbedResponse.encode(EmbedResponse.fromPartial({ embedding: [0.5, -1], promptTokens: 2 })).finish();
  expect(codec.decodeEmbed(answer)).toEqual({ values: Float32Array.of(0.5, -1), promptTokens: 2 });
});
