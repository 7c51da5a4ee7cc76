import { GatewayError } from "../../errors/errors.ts";
import { JsonFields } from "../json/json-fields.ts";
import type { Prompt } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { readPrompts } from "./prompt-fields.ts";
import { refuseMembers } from "./sampling-fields.ts";

export interface EmbeddingRequest {
  readonly prompts: readonly Prompt[];
  /** Keep this many first numbers, normalised to length 1; undefined: keep all, unchanged. */
  readonly dimensions: number | undefined;
  readonly encoding: "float" | "base64";
}

/** The engine's embedding of one prompt. */
interface Embedding {
  readonly values: Float32Array;
  readonly promptTokens: number;
}

/** Reads a body of `/v1/embeddings`. Throws invalid_request, not_implemented. */
export function readEmbeddings(body: JsonBody): EmbeddingRequest {
  const fields = JsonFields.of(body);
  refuseMembers(fields, ["messages", "truncate_prompt_tokens", "lora_path", "lora_id"]);
  return {
    prompts: readPrompts(fields, "input", fields.boolean("add_special_tokens") ?? true),
    dimensions: fields.integer("dimensions", { least: 1 }),
    encoding: fields.oneOf("encoding_format", ["float", "base64"]) ?? "float",
  };
}

/** JSON of the answer; `embeddings` are in the order of the prompts. Throws invalid_request where the model has fewer dimensions than were asked for. */
export function embeddingsAnswer(model: string, request: EmbeddingRequest, embeddings: readonly Embedding[]): string {
  const tokens = embeddings.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
  return JSON.stringify({
    object: "list",
    data: embeddings.map(({ values }, index) => ({
      object: "embedding",
      index,
      embedding: encode(shorten(values, request.dimensions), request.encoding),
    })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

function encode(values: Float32Array, encoding: EmbeddingRequest["encoding"]): string | number[] {
  if (encoding === "float") return [...values];
  // Little-endian, as clients expect, and as all supported machines are.
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}

function shorten(values: Float32Array, dimensions: number | undefined): Float32Array {
  if (dimensions === undefined || dimensions === values.length) return values;
  if (dimensions > values.length) {
    const what = `dimensions must be at most ${values.length}, which is what the model has`;
    throw new GatewayError("invalid_request", what, { param: "dimensions" });
  }
  const first = values.slice(0, dimensions);
  const length = Math.hypot(...first);
  return length === 0 ? first : first.map((value) => value / length);
}
