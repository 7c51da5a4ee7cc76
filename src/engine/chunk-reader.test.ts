import { expect, test } from "bun:test";
import fc from "fast-check";
import { GenerateResponse as SglangResponse } from "../transport/grpc/generated/engine/sglang.ts";
import { GenerateResponse as VllmResponse } from "../transport/grpc/generated/engine/vllm.ts";
import { type ChunkLayout, readChunk } from "./chunk-reader.ts";
import { codec as sglangCodec } from "./sglang/codec.ts";
import { codec as vllmCodec } from "./vllm/codec.ts";

const SGLANG: ChunkLayout = { chunk: 2, index: 8, reasoningTokens: 9 };
const VLLM: ChunkLayout = { chunk: 1, index: 7, reasoningTokens: undefined };

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
/** A tag that says a number or bytes, and a few bytes that may be just that. */
const fieldBytes = fc.oneof(
  fc.tuple(fc.constantFrom(0x10, 0x18, 0x20, 0x40, 0x48, 0x50), fc.integer({ min: 0, max: 255 })),
  fc.tuple(fc.constant(0x0a), fc.constant(2), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 })),
  fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 3 }),
);
const counts = {
  tokenIds: fc.array(uint32, { maxLength: 5 }),
  promptTokens: uint32,
  completionTokens: uint32,
  cachedTokens: uint32,
  index: uint32,
};

test("a chunk of SGLang is what the generated decoder says it is", () => {
  fc.assert(
    fc.property(fc.string(), fc.record({ ...counts, reasoningTokens: uint32 }), (requestId, chunk) => {
      const value = { ...chunk, outputLogprobs: undefined, inputLogprobs: undefined, hiddenStates: [] };
      const bytes = SglangResponse.encode({ requestId, response: { $case: "chunk", value } }).finish();
      const { tokenIds: ids, index, promptTokens, cachedTokens, reasoningTokens } = chunk;
      expect(readChunk(bytes, SGLANG)).toMatchObject({ ids, index, promptTokens, cachedTokens, reasoningTokens });
    }),
  );
});

test("a chunk of vLLM is what the generated decoder says it is", () => {
  fc.assert(
    fc.property(fc.record(counts), (chunk) => {
      const value = { ...chunk, outputLogprobs: undefined, inputLogprobs: undefined };
      const bytes = VllmResponse.encode({ response: { $case: "chunk", value } }).finish();
      const { tokenIds: ids, index, promptTokens, cachedTokens } = chunk;
      expect(readChunk(bytes, VLLM)).toMatchObject({ ids, index, promptTokens, cachedTokens });
      expect(readChunk(bytes, VLLM)?.reasoningTokens).toBeUndefined();
    }),
  );
});

test("log probabilities and ends are left to the generated decoder", () => {
  const outputLogprobs = { tokenLogprobs: [-1], tokenIds: [5], topLogprobs: [] };
  const chunk = VllmResponse.fromPartial({ response: { $case: "chunk", value: { tokenIds: [5], outputLogprobs } } });
  const end = VllmResponse.fromPartial({ response: { $case: "complete", value: { outputIds: [5] } } });
  expect(readChunk(VllmResponse.encode(chunk).finish(), VLLM)).toBeUndefined();
  expect(readChunk(VllmResponse.encode(end).finish(), VLLM)).toBeUndefined();
});

test("what is cut or no message at all is never a chunk that the generated decoder does not read the same", () => {
  const whole = SglangResponse.encode(
    SglangResponse.fromPartial({
      requestId: "an id",
      response: { $case: "chunk", value: { tokenIds: [70_000, 5], promptTokens: 300, index: 1 } },
    }),
  ).finish();
  let read = 0;
  for (let length = 0; length < whole.length; length += 1) {
    expect(readChunk(whole.subarray(0, length), SGLANG)).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.array(fieldBytes, { maxLength: 6 }), (fields) => {
      const inner = fields.flat();
      const bytes = Uint8Array.of(0x12, inner.length, ...inner);
      const step = readChunk(bytes, SGLANG);
      if (!step) return;
      read += 1;
      const { ids: tokenIds, promptTokens, cachedTokens, index, reasoningTokens } = step;
      const value = { tokenIds, promptTokens, cachedTokens, index, reasoningTokens };
      expect(SglangResponse.decode(bytes).response).toMatchObject({ $case: "chunk", value });
    }),
    { numRuns: 5000 },
  );
  expect(read).toBeGreaterThan(100);
});

test("both engines read a chunk the short way and any other message the long way", () => {
  const value = { tokenIds: [5], promptTokens: 3 };
  const sglang = SglangResponse.encode(SglangResponse.fromPartial({ response: { $case: "chunk", value } })).finish();
  const vllm = VllmResponse.encode(VllmResponse.fromPartial({ response: { $case: "chunk", value } })).finish();
  expect(sglangCodec.decodeGenerate(sglang, true)).toMatchObject({ ids: [5], promptTokens: 3, reasoningTokens: 0 });
  expect(vllmCodec.decodeGenerate(vllm, true)).toMatchObject({ ids: [5], promptTokens: 3 });
  expect(() => sglangCodec.decodeGenerate(Uint8Array.of(0x12, 0x05, 0x0a), true)).toThrow();
});
