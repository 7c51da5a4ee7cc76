import type { JsonObject } from "../protocol/json/json.ts";
import { countTokens } from "./text.ts";
import { errorReply, newId, nowSecs } from "./reply.ts";

const DIMENSIONS = 32;
const LABELS = ["local", "express"];

/** Embeddings, rerank, score and classify: numbers that are a function of the text alone. */
export function embeddings(model: string, body: JsonObject): Response {
  const inputs = listOf(body["input"]);
  if (inputs.length === 0) return errorReply(400, "BadRequestError", "input must not be empty", "input");
  const isBase64 = body["encoding_format"] === "base64";
  const data = inputs.map((input, index) => {
    const vector = vectorOf(input);
    return {
      object: "embedding",
      index,
      embedding: isBase64 ? Buffer.from(vector.buffer).toString("base64") : [...vector],
    };
  });
  return Response.json({ id: newId("embd-"), object: "list", created: nowSecs(), model, data, usage: usage(inputs) });
}

/** Best first. */
export function rerank(model: string, body: JsonObject): Response {
  const query = JSON.stringify(body["query"] ?? "");
  const documents = listOf(body["documents"]);
  if (documents.length === 0) return errorReply(400, "BadRequestError", "documents must not be empty", "documents");
  const results = documents
    .map((document, index) => ({ index, document: { text: document }, relevance_score: relevance(query, document) }))
    .sort((a, b) => b.relevance_score - a.relevance_score);
  const top = typeof body["top_n"] === "number" ? body["top_n"] : results.length;
  return Response.json({ id: newId("rerank-"), model, results: results.slice(0, top), usage: usage(documents) });
}

export function score(model: string, body: JsonObject): Response {
  const [query = ""] = listOf(body["text_1"]);
  const others = listOf(body["text_2"]);
  const data = others.map((text, index) => ({ object: "score", index, score: relevance(query, text) }));
  return Response.json({ id: newId("score-"), object: "list", created: nowSecs(), model, data, usage: usage(others) });
}

export function classify(model: string, body: JsonObject): Response {
  const inputs = listOf(body["input"]);
  const data = inputs.map((input, index) => {
    const share = (Bun.hash.xxHash32(input) % 1000) / 1000;
    return { index, label: LABELS[share < 0.5 ? 0 : 1], probs: [1 - share, share], num_classes: LABELS.length };
  });
  return Response.json({
    id: newId("classify-"),
    object: "list",
    created: nowSecs(),
    model,
    data,
    usage: usage(inputs),
  });
}

function listOf(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const items: unknown[] = Array.isArray(value) && typeof value[0] !== "number" ? value : [value];
  return items.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
}

function vectorOf(text: string): Float32Array {
  const vector = Float32Array.from(
    { length: DIMENSIONS },
    (_, index) => (Bun.hash.xxHash32(text, index) % 2000) / 1000 - 1,
  );
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

function relevance(query: string, document: string): number {
  return (Bun.hash.xxHash32(`${query}\n${document}`) % 10_000) / 10_000;
}

function usage(inputs: readonly string[]): object {
  const tokens = inputs.reduce((sum, input) => sum + countTokens(Buffer.from(input)), 0);
  return { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0 };
}
