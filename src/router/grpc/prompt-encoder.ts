import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { type ChatForm, OWN_FORM } from "../../protocol/chat-form.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { ChatPrompt, Prompt, Sampling } from "../../protocol/generation.ts";
import { nextTurn } from "../../util/next-turn.ts";
import { type EncodeBounds, encodeWithin, tooLong } from "./encode-within.ts";
import type { ModelText } from "./model-text.ts";

/** Part of a batch that is encoded before other requests get a turn, characters and tokens. */
const STEP_CHARS = 65_536;

/** One prompt in the form that engines take. */
export interface EncodedPrompt {
  readonly ids: Uint32Array;
  /** The prompt's text, if it was a text. */
  readonly text: string;
  /** Whether the prompt ends within reasoning, so that the answer begins with reasoning. */
  readonly startsInReasoning: boolean;
}

/** Bounds of the prompts, and the members of the endpoint's body that have them. */
type PromptBounds = Pick<EncodeBounds, "maxModelLen" | "signal"> & Pick<Endpoint, "promptMembers">;

/**
 * Renders and tokenizes prompts; chats in this form, as they were read. Throws invalid_request with the template's own message, for ids
 * that are not tokens, and for a prompt that leaves no room for an answer within `maxModelLen` tokens.
 */
export async function encodePrompts(
  prompts: readonly Prompt[],
  text: ModelText,
  { maxModelLen, promptMembers, signal }: PromptBounds,
  form: ChatForm = OWN_FORM,
): Promise<readonly EncodedPrompt[]> {
  const encoded: EncodedPrompt[] = [];
  let chars = 0;
  for (const prompt of prompts) {
    const bounds = { maxModelLen, param: paramOf(prompt, promptMembers), signal };
    const one = await encodePrompt(prompt, text, bounds, form);
    checkLength(one.ids, bounds);
    encoded.push(one);
    // Each prompt of a batch may be short, but all together long.
    chars += one.text.length + one.ids.length;
    if (chars < STEP_CHARS) continue;
    chars = 0;
    await nextTurn();
    if (signal.aborted) throw clientClosed(signal.reason);
  }
  return encoded;
}

async function encodePrompt(
  prompt: Prompt,
  model: ModelText,
  bounds: EncodeBounds,
  form: ChatForm,
): Promise<EncodedPrompt> {
  switch (prompt.kind) {
    case "ids":
      // Before each id is checked.
      checkLength(prompt.ids, bounds);
      checkIds(prompt.ids, model.tokenizer, bounds.param);
      return { ids: Uint32Array.from(prompt.ids), text: "", startsInReasoning: false };
    case "text": {
      const options = { addSpecialTokens: prompt.addSpecialTokens };
      const ids = await encodeWithin(prompt.text, model, options, bounds);
      return { ids, text: prompt.text, startsInReasoning: false };
    }
    case "chat": {
      const { text, startsInReasoning } = renderChat(prompt.chat, model.chatTemplates, form);
      const ids = await encodeWithin(text, model, { addSpecialTokens: false }, bounds);
      return { ids, text, startsInReasoning };
    }
  }
}

/** Throws invalid_request with the template's own message. */
export function renderChat(
  chat: ChatPrompt,
  chatTemplates: ModelText["chatTemplates"],
  form: ChatForm = OWN_FORM,
): { readonly text: string; readonly startsInReasoning: boolean } {
  const hasTools = chat.tools !== undefined && chat.tools.length > 0;
  const template = chatTemplates.get({ hasTools });
  const { text, startsInReasoning } = template.render({
    messages: chat.messages,
    ...(chat.tools && hasTools ? { tools: chat.tools.map(form.toolOf) } : {}),
    ...(chat.documents ? { documents: chat.documents } : {}),
    addGenerationPrompt: chat.addGenerationPrompt,
    continueFinalMessage: chat.continueFinalMessage,
    kwargs: chat.kwargs,
    textForm: form.text,
  });
  return { text, startsInReasoning };
}

function checkIds(ids: readonly number[], tokenizer: ModelText["tokenizer"], param: string): void {
  const wrong = ids.findIndex((id) => !tokenizer.isToken(id));
  if (wrong < 0) return;
  const what = `the prompt's token ${wrong} is ${ids[wrong]}, which is no token of this model`;
  throw new GatewayError("invalid_request", what, { param });
}

/** The member that has the prompt: of several, a text is in the first, and a conversation or a list of ids in the last. */
function paramOf({ kind }: Prompt, promptMembers: readonly string[]): string {
  return (kind === "text" ? promptMembers[0] : promptMembers.at(-1)) ?? "prompt";
}

function checkLength(ids: { readonly length: number }, { maxModelLen, param }: EncodeBounds): void {
  if (ids.length === 0) throw new GatewayError("invalid_request", "the prompt is empty", { param });
  if (maxModelLen !== undefined && ids.length >= maxModelLen) throw tooLong(ids.length, maxModelLen, param);
}

/** Fills missing sampling parameters with the defaults of the model's authors. */
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
