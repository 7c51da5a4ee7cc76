/** Entry of a thread with one native tokenizer. It makes the tokenizer and the tables for other threads, and encodes on request. */
import { errorMessage } from "../../util/error-message.ts";
import { isRecord } from "../../util/objects.ts";
import type { AddedToken } from "../bpe/added-tokens.ts";
import { ByteLevelBpe, MAX_SYNC_CHARS } from "../bpe/byte-level-bpe.ts";
import { planBpe, type BpePlanResult } from "../bpe/bpe-plan.ts";
import { readDecoder } from "../decode/decoder-plan.ts";
import { NativeTokenizer } from "./native-tokenizer.ts";
import { selfCheckTexts } from "./self-check.ts";
import type { FromTokenizerThread, ThreadTables, ToTokenizerThread } from "./tokenizer-thread.ts";
import { buildVocabulary, Vocabulary } from "../bpe/vocabulary.ts";

declare const self: Worker;

let native: NativeTokenizer | undefined;

function readAdded(value: unknown): AddedToken[] {
  return (Array.isArray(value) ? value : []).filter(isRecord).map((token) => ({
    id: Number(token["id"]),
    content: String(token["content"]),
    isSpecial: token["special"] === true,
    isNormalized: token["normalized"] === true,
    stripsLeft: token["lstrip"] === true,
    stripsRight: token["rstrip"] === true,
    isSingleWord: token["single_word"] === true,
  }));
}

/** Whether the tokenizer treats the first part of a text in a special way, and so each part that is encoded alone. */
function isFirstPartSpecial(preTokenizer: unknown): boolean {
  return /"prepend_scheme":\s*"first"/.test(JSON.stringify(preTokenizer ?? null));
}

/** The first text for which the two differ, if any. */
async function firstDifference(fast: ByteLevelBpe, exact: NativeTokenizer, texts: readonly string[]) {
  for (const text of texts) {
    if (text.length > MAX_SYNC_CHARS) continue;
    for (const addSpecialTokens of [false, true]) {
      const [ours, theirs] = [fast.encode(text, addSpecialTokens), await exact.encode(text, addSpecialTokens)];
      if (ours.length !== theirs.length || ours.some((id, index) => id !== theirs[index])) return text;
    }
  }
  return undefined;
}

async function load(json: Uint8Array): Promise<ThreadTables> {
  const text = new TextDecoder().decode(json);
  native = NativeTokenizer.create(text);
  const parsed: unknown = JSON.parse(text);
  if (!isRecord(parsed)) throw new Error("tokenizer.json is not an object");
  const added = readAdded(parsed["added_tokens"]);
  const vocabulary = buildVocabulary(native.tokens());
  let bpe: BpePlanResult = planBpe(parsed, added);
  if (bpe.ok) {
    const fast = new ByteLevelBpe(bpe.plan, new Vocabulary(vocabulary), added);
    const difference = await firstDifference(fast, native, selfCheckTexts(added));
    if (difference !== undefined) {
      bpe = { ok: false, reason: `differs from the native tokenizer on ${JSON.stringify(difference.slice(0, 40))}` };
    }
  }
  return {
    vocabulary,
    added,
    bpe,
    decoder: readDecoder(parsed["decoder"]),
    isSplitExact: !isFirstPartSpecial(parsed["pre_tokenizer"]) && !added.some((token) => token.isSingleWord),
  };
}

async function answer(message: ToTokenizerThread): Promise<FromTokenizerThread> {
  if (message.kind === "load") return { id: message.id, kind: "loaded", tables: await load(message.json) };
  if (!native) throw new Error("nothing is loaded");
  if (message.kind === "encode") {
    return { id: message.id, kind: "ids", ids: await native.encode(message.text, message.addSpecialTokens) };
  }
  return { id: message.id, kind: "text", text: await native.decode(message.ids, message.skipSpecialTokens) };
}

async function reply(message: ToTokenizerThread): Promise<void> {
  try {
    self.postMessage(await answer(message));
  } catch (thrown) {
    self.postMessage({
      id: message.id,
      kind: "failed",
      message: errorMessage(thrown),
    });
  }
}

self.addEventListener("message", (event: MessageEvent<ToTokenizerThread>) => void reply(event.data));
