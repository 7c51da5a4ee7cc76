import type { AnswerHead, AnswerWriter, GenerationRequest } from "../../protocol/generation.ts";

/** A request as its API means it, and who writes the answer in the same API. */
export interface ApiRequest {
  readonly generation: GenerationRequest;
  createWriter(head: AnswerHead): AnswerWriter;
}
