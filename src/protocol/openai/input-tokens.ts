import type { JsonBody } from "../json/json-body.ts";
import { checkChars, type TextModel } from "../text-model.ts";
import { readInputTokens } from "./responses-request.ts";

/** Answers `/v1/responses/input_tokens` in OpenAI's form. Rejects with invalid_request, not_implemented, client_closed. */
export async function answerInputTokens(body: JsonBody, model: TextModel): Promise<string> {
  const text = model.renderChat(readInputTokens(body));
  checkChars(text.length);
  return JSON.stringify({ object: "response.input_tokens", input_tokens: (await model.encode(text, false)).length });
}
