import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bodyOf, refusal } from "../../../test/support/answers.ts";
import { embeddingsAnswer, readEmbeddings } from "./embeddings.ts";

interface List {
  readonly data: { readonly index: number; readonly embedding: string | number[] }[];
  readonly usage: object;
}

function answer(request: object, ...values: number[][]): List {
  const embeddings = values.map((one) => ({ values: new Float32Array(one), promptTokens: 3 }));
  return JSON.parse(embeddingsAnswer("m", readEmbeddings(bodyOf({ input: "x", ...request })), embeddings)) as List;
}

test("input is a text, token ids, or a list of either", () => {
  const kinds = (input: unknown): unknown[] => readEmbeddings(bodyOf({ input })).prompts.map(({ kind }) => kind);
  expect([kinds("a"), kinds(["a", "b"]), kinds([1, 2]), kinds([[1], [2]])]).toEqual([
    ["text"],
    ["text", "text"],
    ["ids"],
    ["ids", "ids"],
  ]);
});

test("an adapter is refused, as no engine's messages carry it for an embedding", () => {
  expect(refusal(readEmbeddings, { input: "a", lora_path: "sql" })).toBe("not_implemented lora_path");
  expect(refusal(readEmbeddings, { input: "a", lora_path: null })).toBe("ok");
});

test("wrong members are named", () => {
  expect(refusal(readEmbeddings, {})).toBe("invalid_request input");
  expect(refusal(readEmbeddings, { input: [] })).toBe("invalid_request input");
  expect(refusal(readEmbeddings, { input: ["a", 1] })).toBe("invalid_request input[1]");
  expect(refusal(readEmbeddings, { input: "a", dimensions: 0 })).toBe("invalid_request dimensions");
  expect(refusal(readEmbeddings, { input: "a", encoding_format: "hex" })).toBe("invalid_request encoding_format");
  expect(refusal(readEmbeddings, { input: "a", user: 1, dimensions: null })).toBe("ok");
});

test("embeddings stand in the order of the inputs, and tokens are counted together", () => {
  const list = answer({}, [1, 2], [3, 4]);
  expect(list).toMatchObject({ object: "list", model: "m", usage: { prompt_tokens: 6, total_tokens: 6 } });
  expect(list.data).toEqual([
    { object: "embedding", index: 0, embedding: [1, 2] },
    { object: "embedding", index: 1, embedding: [3, 4] },
  ] as never);
});

describe("every number comes back as it was", () => {
  const floats = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 });

  test("in base64", () => {
    fc.assert(
      fc.property(floats, (values) => {
        const [entry] = answer({ encoding_format: "base64" }, values).data;
        const bytes = new Uint8Array(Buffer.from(String(entry?.embedding), "base64"));
        expect(bytes).toEqual(new Uint8Array(new Float32Array(values).buffer));
      }),
    );
  });

  test("as numbers", () => {
    fc.assert(
      fc.property(floats, (values) => {
        const [entry] = answer({}, values).data;
        // JSON has no negative zero that JavaScript would write.
        expect(entry?.embedding).toEqual(values.map((value) => value + 0));
      }),
    );
  });
});

test("fewer dimensions are the first ones, of length 1 again; more there are not", () => {
  const embedding = answer({ dimensions: 2 }, [3, 4, 12]).data[0]?.embedding;
  expect(embedding).toEqual([Math.fround(0.6), Math.fround(0.8)]);
  expect(() => answer({ dimensions: 4 }, [3, 4, 12])).toThrow("at most 3");
});
