import { clientClosed, GatewayError } from "../../errors/errors.ts";
import type { TextModel } from "../../protocol/text-model.ts";
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

export interface TokenAnswersDeps {
  readonly workers: WorkerRegistry;
  readonly tokenizers: TokenizerRegistry;
  readonly texts: ModelTexts;
}

/** Answers routes with a model's tokenizer, without a worker. */
export class TokenAnswers {
  readonly #deps: TokenAnswersDeps;

  constructor(deps: TokenAnswersDeps) {
    this.#deps = deps;
  }

  /** Throws invalid_request, model_not_found, tokenizer_unavailable. Settles the record. */
  async answer(request: InferenceRequest): Promise<Reply> {
    const { workers, tokenizers, texts } = this.#deps;
    const { answer } = request.endpoint;
    if (!answer) throw new GatewayError("not_implemented", "this route is not answered by a tokenizer");
    const [worker] = workers.getWorkersForModel(request.model).workers;
    const model = request.model ?? worker?.modelId;
    if (model === undefined || (!worker && !tokenizers.info(model))) throw nobodyServes(request.model);
    request.record.model = model;
    const text = await texts.of(model);
    const asked = textModel(text, worker?.info.maxModelLen, request.signal);
    const body = Buffer.from(await readWhole(request, undefined, (whole) => answer(whole, asked)));
    const response = jsonAnswer(request, 200, body);
    request.record.settle(200);
    return response;
  }
}

/** The model as the answers need it. `maxModelLen` is a worker's word, tokens; without it the tokenizer's own counts. */
function textModel(
  { tokenizer, chatTemplates, encoder }: ModelText,
  maxModelLen: number | undefined,
  signal: LeaveSignal,
): TextModel {
  return {
    maxModelLen: maxModelLen ?? tokenizer.maxTokens ?? 0,
    renderChat: (chat) => renderChat(chat, chatTemplates).text,
    async encode(text, addSpecialTokens) {
      if (signal.aborted) throw clientClosed(signal.reason);
      return encoder.encode(text, { addSpecialTokens }, signal);
    },
    decode: async (ids, skipSpecialTokens) => tokenizer.decode(ids, { skipSpecialTokens }),
    tokenOf: (id) => tokenizer.tokenOf(id),
  };
}
