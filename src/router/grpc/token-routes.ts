import { GatewayError } from "../../errors/errors.ts";
import { countTokensAnswer, readCountTokens } from "../../protocol/anthropic/messages-request.ts";
import type { JsonBody } from "../../protocol/json-body.ts";
import {
  detokenizeAnswer,
  detokenizeIdsAnswer,
  readDetokenize,
  readDetokenizeIds,
  readTokenize,
  readTokenizeTexts,
  tokenizeAnswer,
  tokenizeTextsAnswer,
} from "../../protocol/openai/tokenize.ts";
import type { TokenizerRegistry } from "../../tokenizer/tokenizer-registry.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";
import { jsonAnswer } from "../relay.ts";
import type { InferenceRequest } from "../router.ts";
import { nobodyServes } from "../worker-router.ts";
import type { ModelText, ModelTexts } from "./model-text.ts";
import { renderChat } from "./prompt-encoder.ts";
import type { Reply } from "../../transport/downstream.ts";

type Answer = (body: JsonBody, text: ModelText, maxModelLen: number | undefined) => Promise<string>;

/** Routes that the tokenizer answers, by name of the endpoint: no worker has a part in them. */
const ANSWERS: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  ["tokenize", tokenize],
  ["detokenize", async (body, { tokenizer }) => detokenizeAnswer(await tokenizer.decode(readDetokenize(body), KEPT))],
  ["count_tokens", countTokens],
  ["tokenize_texts", tokenizeTexts],
  ["detokenize_ids", detokenizeIds],
]);

const KEPT = { skipSpecialTokens: false } as const;

export interface TokenAnswersDeps {
  readonly workers: WorkerRegistry;
  readonly tokenizers: TokenizerRegistry;
  readonly texts: ModelTexts;
}

/** Answers what a tokenizer knows by itself. */
export class TokenAnswers {
  readonly #deps: TokenAnswersDeps;

  constructor(deps: TokenAnswersDeps) {
    this.#deps = deps;
  }

  /** Throws invalid_request, model_not_found, tokenizer_unavailable. Settles the record. */
  async answer(request: InferenceRequest): Promise<Reply> {
    const { workers, tokenizers, texts } = this.#deps;
    const answer = ANSWERS.get(request.endpoint.name);
    if (!answer) throw new GatewayError("not_implemented", "this route is not answered by a tokenizer");
    const [worker] = workers.getWorkersForModel(request.model).workers;
    const model = request.model ?? worker?.modelId;
    if (model === undefined || (!worker && !tokenizers.info(model))) throw nobodyServes(request.model);
    request.record.model = model;
    const body = Buffer.from(await answer(request.body, await texts.of(model), worker?.info.maxModelLen));
    const response = jsonAnswer(request, 200, body);
    request.record.settle(200);
    return response;
  }
}

async function tokenize(body: JsonBody, text: ModelText, maxModelLen: number | undefined): Promise<string> {
  const { prompt, addSpecialTokens, returnTokenStrs } = readTokenize(body);
  const { tokenizer, encoder } = text;
  const ids =
    prompt.kind === "chat"
      ? await encoder.encode(renderChat(prompt.chat, tokenizer).text, { addSpecialTokens })
      : await encoder.encode(prompt.kind === "text" ? prompt.text : "", { addSpecialTokens });
  const strings = returnTokenStrs ? Array.from(ids, (id) => tokenizer.tokenOf(id) ?? "") : undefined;
  return tokenizeAnswer(Array.from(ids), maxModelLen ?? tokenizer.maxTokens ?? 0, strings);
}

async function countTokens(body: JsonBody, { tokenizer, encoder }: ModelText): Promise<string> {
  const { text } = renderChat(readCountTokens(body), tokenizer);
  return countTokensAnswer((await encoder.encode(text, { addSpecialTokens: false })).length);
}

async function tokenizeTexts(body: JsonBody, { encoder }: ModelText): Promise<string> {
  const asked = readTokenizeTexts(body);
  const ids: number[][] = [];
  for (const text of asked.texts) ids.push(Array.from(await encoder.encode(text, { addSpecialTokens: false })));
  return tokenizeTextsAnswer(asked, ids);
}

async function detokenizeIds(body: JsonBody, { tokenizer }: ModelText): Promise<string> {
  const asked = readDetokenizeIds(body);
  const texts: string[] = [];
  for (const ids of asked.ids) {
    texts.push(await tokenizer.decode(ids, { skipSpecialTokens: asked.skipSpecialTokens }));
  }
  return detokenizeIdsAnswer(asked, texts);
}
