import { GatewayError } from "../../errors/errors.ts";
import type { ChatPrompt, Prompt, Sampling } from "../../protocol/generation.ts";
import type { ModelText } from "./model-text.ts";

/** One prompt as an engine takes it. */
export interface EncodedPrompt {
  readonly ids: Uint32Array;
  /** As text, where it was one. */
  readonly text: string;
  /** It ends within reasoning, so that the answer begins with it. */
  readonly startsInReasoning: boolean;
}

/**
 * Renders and tokenises prompts. Throws invalid_request: with the template's own words, for ids that are no
 * tokens, and for a prompt that leaves no room for an answer within `maxModelLen` tokens.
 */
export async function encodePrompts(
  prompts: readonly Prompt[],
  text: ModelText,
  maxModelLen: number | undefined,
): Promise<readonly EncodedPrompt[]> {
  const encoded: EncodedPrompt[] = [];
  for (const prompt of prompts) {
    const one = await encodePrompt(prompt, text);
    checkLength(one, maxModelLen, prompt.kind);
    encoded.push(one);
  }
  return encoded;
}

async function encodePrompt(prompt: Prompt, { tokenizer, encoder }: ModelText): Promise<EncodedPrompt> {
  switch (prompt.kind) {
    case "ids":
      checkIds(prompt.ids, tokenizer.tokenOf.bind(tokenizer));
      return { ids: Uint32Array.from(prompt.ids), text: "", startsInReasoning: false };
    case "text": {
      const ids = await encoder.encode(prompt.text, { addSpecialTokens: prompt.addSpecialTokens });
      return { ids, text: prompt.text, startsInReasoning: false };
    }
    case "chat": {
      const { text, startsInReasoning } = renderChat(prompt.chat, tokenizer);
      const ids = await encoder.encode(text, { addSpecialTokens: false });
      return { ids, text, startsInReasoning };
    }
  }
}

/** Throws invalid_request with what the template says. */
export function renderChat(
  chat: ChatPrompt,
  { chatTemplates }: ModelText["tokenizer"],
): { readonly text: string; readonly startsInReasoning: boolean } {
  const hasTools = chat.tools !== undefined && chat.tools.length > 0;
  const template = chatTemplates.get({ hasTools });
  const { text, startsInReasoning } = template.render({
    messages: chat.messages,
    ...(chat.tools && hasTools ? { tools: chat.tools.map(toolOf) } : {}),
    ...(chat.documents ? { documents: chat.documents } : {}),
    addGenerationPrompt: chat.addGenerationPrompt,
    continueFinalMessage: chat.continueFinalMessage,
    kwargs: chat.kwargs,
  });
  return { text, startsInReasoning };
}

function toolOf({ name, description, parameters }: NonNullable<ChatPrompt["tools"]>[number]): object {
  return {
    type: "function",
    function: {
      name,
      ...(description === undefined ? {} : { description }),
      ...(parameters === undefined ? {} : { parameters }),
    },
  };
}

function checkIds(ids: readonly number[], tokenOf: (id: number) => string | undefined): void {
  const wrong = ids.findIndex((id) => tokenOf(id) === undefined);
  if (wrong < 0) return;
  throw new GatewayError(
    "invalid_request",
    `the prompt's token ${wrong} is ${ids[wrong]}, which is no token of this model`,
    {
      param: "prompt",
    },
  );
}

const PARAM_OF = { chat: "messages", text: "prompt", ids: "prompt" } as const;

function checkLength({ ids }: EncodedPrompt, maxModelLen: number | undefined, kind: Prompt["kind"]): void {
  const param = PARAM_OF[kind];
  if (ids.length === 0) throw new GatewayError("invalid_request", "the prompt is empty", { param });
  if (maxModelLen === undefined || ids.length < maxModelLen) return;
  throw new GatewayError(
    "invalid_request",
    `the prompt is ${ids.length} tokens long, and this model takes ${maxModelLen} with its answer`,
    { param, workerCode: "context_length_exceeded" },
  );
}

/** What the request does not say is as the model's authors say. */
export function withDefaults(sampling: Sampling, { tokenizer }: ModelText): Sampling {
  const own = tokenizer.generationDefaults;
  return {
    ...sampling,
    temperature: sampling.temperature ?? own.temperature,
    topP: sampling.topP ?? own.top_p,
    topK: sampling.topK ?? own.top_k,
    minP: sampling.minP ?? own.min_p,
    repetitionPenalty: sampling.repetitionPenalty ?? own.repetition_penalty,
  };
}
