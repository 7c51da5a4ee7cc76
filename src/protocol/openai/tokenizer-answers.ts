import type { Prompt } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { checkChars, type TextModel } from "../text-model.ts";
import {
  detokenizeAnswer,
  detokenizeIdsAnswer,
  readDetokenize,
  readDetokenizeIds,
  readTokenize,
  readTokenizeTexts,
  tokenizeAnswer,
  tokenizeTextsAnswer,
} from "./tokenize.ts";

/** Answers `/tokenize`. Rejects with invalid_request, client_closed. */
export async function answerTokenize(body: JsonBody, model: TextModel): Promise<string> {
  const { prompt, addSpecialTokens, returnTokenStrs } = readTokenize(body);
  const text = textOf(prompt, model);
  checkChars(text.length);
  const ids = Array.from(await model.encode(text, addSpecialTokens));
  return tokenizeAnswer(ids, model.maxModelLen, returnTokenStrs ? ids.map((id) => model.tokenOf(id) ?? "") : undefined);
}

function textOf(prompt: Prompt, model: TextModel): string {
  if (prompt.kind === "chat") return model.renderChat(prompt.chat);
  return prompt.kind === "text" ? prompt.text : "";
}

/** Answers `/detokenize`. Rejects with invalid_request. */
export async function answerDetokenize(body: JsonBody, model: TextModel): Promise<string> {
  return detokenizeAnswer(await model.decode(readDetokenize(body), false));
}

/** Answers `/v1/tokenize`. Rejects with invalid_request, client_closed. */
export async function answerTokenizeTexts(body: JsonBody, model: TextModel): Promise<string> {
  const asked = readTokenizeTexts(body);
  checkChars(asked.texts.reduce((sum, { length }) => sum + length, 0));
  const ids: number[][] = [];
  for (const text of asked.texts) ids.push(Array.from(await model.encode(text, false)));
  return tokenizeTextsAnswer(asked, ids);
}

/** Answers `/v1/detokenize`. Rejects with invalid_request. */
export async function answerDetokenizeIds(body: JsonBody, model: TextModel): Promise<string> {
  const asked = readDetokenizeIds(body);
  const texts: string[] = [];
  for (const ids of asked.ids) texts.push(await model.decode(ids, asked.skipSpecialTokens));
  return detokenizeIdsAnswer(asked, texts);
}
