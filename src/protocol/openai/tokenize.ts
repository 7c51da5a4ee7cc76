import { JsonFields, isIds } from "../json/json-fields.ts";
import type { Prompt } from "../generation.ts";
import type { JsonBody } from "../json/json-body.ts";
import { countCharacters } from "./characters.ts";
import { OWN_FORM } from "../chat-form.ts";
import { readChatPrompt } from "./chat-request.ts";
import { readChatTools } from "./chat-tools.ts";
import { readPrompts } from "./prompt-fields.ts";

/** A body of vLLM's `/tokenize`: one prompt or one conversation. */
interface TokenizeRequest {
  readonly prompt: Prompt;
  /** Whether to add the tokenizer's special tokens, also to a conversation, whose template has its own. */
  readonly addSpecialTokens: boolean;
  readonly returnTokenStrs: boolean;
}

/** Throws invalid_request. */
export function readTokenize(body: JsonBody): TokenizeRequest {
  const fields = JsonFields.of(body);
  const isChat = fields.has("messages");
  const addSpecialTokens = fields.boolean("add_special_tokens") ?? !isChat;
  const returnTokenStrs = fields.boolean("return_token_strs") ?? false;
  if (isChat) {
    const chat = readChatPrompt(fields, readChatTools(fields, true), OWN_FORM);
    return { prompt: { kind: "chat", chat }, addSpecialTokens, returnTokenStrs };
  }
  const text = fields.string("prompt");
  if (text === undefined) throw fields.error("prompt", "must be a string, or messages must be there");
  return { prompt: { kind: "text", text, addSpecialTokens }, addSpecialTokens, returnTokenStrs };
}

/** The answer of `/tokenize`; with `tokenStrs` if the client asked for them. */
export function tokenizeAnswer(ids: readonly number[], maxModelLen: number, tokenStrs?: readonly string[]): string {
  const answer = { count: ids.length, max_model_len: maxModelLen, tokens: ids };
  return JSON.stringify({ ...answer, token_strs: tokenStrs ?? null });
}

/** Reads a body of vLLM's `/detokenize`. Throws invalid_request. */
export function readDetokenize(body: JsonBody): readonly number[] {
  const fields = JsonFields.of(body);
  const ids = fields.ids("tokens");
  if (!ids) throw fields.error("tokens", "must be a list of token ids");
  return ids;
}

export function detokenizeAnswer(text: string): string {
  return JSON.stringify({ prompt: text });
}

/** smg's `/v1/tokenize`: texts without special tokens around them. */
interface TextsRequest {
  readonly texts: readonly string[];
  /** Whether the answer is a list, even for one text. */
  readonly isBatch: boolean;
}

/** Throws invalid_request. */
export function readTokenizeTexts(body: JsonBody): TextsRequest {
  const fields = JsonFields.of(body);
  const texts = readPrompts(fields, "prompt", false).map((prompt, index) => {
    if (prompt.kind === "text") return prompt.text;
    throw fields.error(`prompt[${index}]`, "must be a string");
  });
  return { texts, isBatch: Array.isArray(fields.value("prompt")) };
}

export function tokenizeTextsAnswer({ texts, isBatch }: TextsRequest, ids: readonly (readonly number[])[]): string {
  const counts = ids.map(({ length }) => length);
  const characters = texts.reduce((sum, text) => sum + countCharacters(text), 0);
  return JSON.stringify(
    isBatch
      ? { tokens: ids, count: counts, char_count: characters }
      : { tokens: ids[0], count: counts[0], char_count: characters },
  );
}

/** smg's `/v1/detokenize`. */
interface IdsRequest {
  readonly ids: readonly (readonly number[])[];
  readonly isBatch: boolean;
  readonly skipSpecialTokens: boolean;
}

/** Throws invalid_request. */
export function readDetokenizeIds(body: JsonBody): IdsRequest {
  const fields = JsonFields.of(body);
  const skipSpecialTokens = fields.boolean("skip_special_tokens") ?? true;
  const list = fields.list("tokens");
  if (!list) throw fields.error("tokens", "must be a list of token ids or a list of such lists");
  if (isIds(list)) return { ids: [list], isBatch: false, skipSpecialTokens };
  const ids = list.map((entry, index) => {
    if (Array.isArray(entry) && isIds(entry)) return entry;
    throw fields.error(`tokens[${index}]`, "must be a list of token ids");
  });
  return { ids, isBatch: true, skipSpecialTokens };
}

export function detokenizeIdsAnswer({ isBatch }: IdsRequest, texts: readonly string[]): string {
  return JSON.stringify({ text: isBatch ? texts : texts[0] });
}
