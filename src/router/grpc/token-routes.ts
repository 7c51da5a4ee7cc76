import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { countTokensAnswer, readCountTokens } from "../../protocol/anthropic/messages-request.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
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
import { readWhole } from "./whole-body.ts";
import type { LeaveSignal } from "../../util/leave-signal.ts";
import type { Reply } from "../../transport/downstream.ts";

type Answer = (
  body: JsonBody,
  text: ModelText,
  bounds: { readonly maxModelLen: number | undefined; readonly signal: LeaveSignal },
) => Promise<string>;

/** More than any model takes; each million characters takes some seconds and 200 MB. */
const MAX_CHARS = 4 * 1024 * 1024;

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
    const text = await texts.of(model);
    const bounds = { maxModelLen: worker?.info.maxModelLen, signal: request.signal };
    const body = Buffer.from(await readWhole(request, undefined, (whole) => answer(whole, text, bounds)));
    const response = jsonAnswer(request, 200, body);
    request.record.settle(200);
    return response;
  }
}

const tokenize: Answer = async (body, { tokenizer, encoder }, { maxModelLen, signal }) => {
  const { prompt, addSpecialTokens, returnTokenStrs } = readTokenize(body);
  const text =
    prompt.kind === "chat" ? renderChat(prompt.chat, tokenizer).text : prompt.kind === "text" ? prompt.text : "";
  checkLength(text.length);
  const ids = await encoder.encode(text, { addSpecialTokens }, signal);
  const strings = returnTokenStrs ? Array.from(ids, (id) => tokenizer.tokenOf(id) ?? "") : undefined;
  return tokenizeAnswer(Array.from(ids), maxModelLen ?? tokenizer.maxTokens ?? 0, strings);
};

const countTokens: Answer = async (body, { tokenizer, encoder }, { signal }) => {
  const { text } = renderChat(readCountTokens(body), tokenizer);
  checkLength(text.length);
  return countTokensAnswer((await encoder.encode(text, { addSpecialTokens: false }, signal)).length);
};

const tokenizeTexts: Answer = async (body, { encoder }, { signal }) => {
  const asked = readTokenizeTexts(body);
  checkLength(asked.texts.reduce((sum, { length }) => sum + length, 0));
  const ids: number[][] = [];
  for (const text of asked.texts) {
    if (signal.aborted) throw clientClosed(signal.reason);
    ids.push(Array.from(await encoder.encode(text, { addSpecialTokens: false }, signal)));
  }
  return tokenizeTextsAnswer(asked, ids);
};

function checkLength(chars: number): void {
  if (chars <= MAX_CHARS) return;
  throw new GatewayError("invalid_request", `the text is longer than ${MAX_CHARS} characters`, { param: "prompt" });
}

async function detokenizeIds(body: JsonBody, { tokenizer }: ModelText): Promise<string> {
  const asked = readDetokenizeIds(body);
  const texts: string[] = [];
  for (const ids of asked.ids) {
    texts.push(await tokenizer.decode(ids, { skipSpecialTokens: asked.skipSpecialTokens }));
  }
  return detokenizeIdsAnswer(asked, texts);
}

/** Routes that the tokenizer answers, by name of the endpoint: no worker has a part in them. */
const ANSWERS: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  ["tokenize", tokenize],
  ["detokenize", async (body, { tokenizer }) => detokenizeAnswer(await tokenizer.decode(readDetokenize(body), KEPT))],
  ["count_tokens", countTokens],
  ["tokenize_texts", tokenizeTexts],
  ["detokenize_ids", detokenizeIds],
]);
