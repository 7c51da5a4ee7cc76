import type { JsonBody } from "../json/json-body.ts";
import { checkChars, type TextModel } from "../text-model.ts";
import { countTokensAnswer, readCountTokens } from "./messages-request.ts";

/** Answers `/v1/messages/count_tokens`. Rejects with invalid_request, client_closed. */
export async function answerCountTokens(body: JsonBody, model: TextModel): Promise<string> {
  const text = model.renderChat(readCountTokens(body));
  checkChars(text.length);
  return countTokensAnswer((await model.encode(text, false)).length);
}
