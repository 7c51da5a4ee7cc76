import { isRecord, type AnyRecord } from "../../util/objects.ts";
import type { AddedToken } from "./added-tokens.ts";
import { buildMerges, type Merge, type MergeTables } from "./bpe-merger.ts";
import { CHAR_OF_BYTE } from "./byte-alphabet.ts";
import { translatePattern } from "./split-pattern.ts";

type NormalForm = "NFC" | "NFD" | "NFKC" | "NFKD";

/** Everything that the TypeScript encoder needs of a tokenizer, besides its vocabulary and added tokens. It can be sent to other threads. */
export interface BpePlan {
  readonly forms: readonly NormalForm[];
  /** Sources of regular expressions (flags `u`, `g`) that cut text into words, applied one after the other. */
  readonly patterns: readonly string[];
  /** A whole word in the vocabulary becomes that token, even where the merges give another result. */
  readonly ignoresMerges: boolean;
  readonly merges: MergeTables;
  /** Ids that the post-processor puts before and after a text. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** A plan, or the reason why the TypeScript encoder cannot be used. */
export type BpePlanResult =
  | { readonly ok: true; readonly plan: BpePlan }
  | { readonly ok: false; readonly reason: string };

/** The pattern of a byte-level pre-tokenizer that uses its own. */
const BYTE_LEVEL_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const FORMS: ReadonlySet<unknown> = new Set<NormalForm>(["NFC", "NFD", "NFKC", "NFKD"]);

class Unsupported extends Error {}

/** Reads tokenizer.json. Returns the plan, or the reason why the TypeScript encoder cannot encode for this model. Never throws. */
export function planBpe(json: AnyRecord, added: readonly AddedToken[]): BpePlanResult {
  try {
    if (added.some((token) => token.isSingleWord))
      throw new Unsupported("added tokens that stand only as single words");
    return { ok: true, plan: plan(json) };
  } catch (thrown) {
    if (thrown instanceof Unsupported) return { ok: false, reason: thrown.message };
    throw thrown;
  }
}

function plan(json: AnyRecord): BpePlan {
  const model = json["model"];
  if (!isRecord(model) || model["type"] !== "BPE") throw new Unsupported("the model is not BPE");
  for (const key of ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[key] !== undefined && model[key] !== null && model[key] !== "")
      throw new Unsupported(`the model has ${key}`);
  }
  if (model["byte_fallback"] === true) throw new Unsupported("the model falls back to bytes");
  const patterns = readPreTokenizer(json["pre_tokenizer"]);
  return {
    forms: parts(json["normalizer"], "normalizers").map(readForm),
    patterns,
    ignoresMerges: model["ignore_merges"] === true,
    merges: readMerges(model),
    ...readPostProcessor(json["post_processor"]),
  };
}

/** The members of a sequence in order; the value itself where it is not a sequence; nothing for null. */
function parts(value: unknown, key: string): readonly AnyRecord[] {
  if (value === undefined || value === null) return [];
  if (!isRecord(value)) throw new Unsupported("a part of tokenizer.json is not an object");
  if (value["type"] !== "Sequence") return [value];
  const members = value[key];
  return Array.isArray(members) ? members.flatMap((member) => parts(member, key)) : [];
}

function isForm(type: unknown): type is NormalForm {
  return FORMS.has(type);
}

function readForm(normalizer: AnyRecord): NormalForm {
  const type = normalizer["type"];
  if (isForm(type)) return type;
  throw new Unsupported(`normalizer ${String(type)}`);
}

function readPreTokenizer(value: unknown): readonly string[] {
  const steps = parts(value, "pretokenizers");
  const last = steps.at(-1);
  if (last?.["type"] !== "ByteLevel") throw new Unsupported("the pre-tokenizer is not byte-level");
  if (last["add_prefix_space"] === true) throw new Unsupported("a space is put before each text");
  const sources = steps.slice(0, -1).map(readSplit);
  if (last["use_regex"] !== false) sources.push(BYTE_LEVEL_PATTERN);
  return sources.map((source) => {
    const translated = translatePattern(source);
    if (translated === undefined) throw new Unsupported("the split pattern has a construct that JavaScript has not");
    return translated;
  });
}

function readSplit(step: AnyRecord): string {
  if (step["type"] === "Digits") return step["individual_digits"] === true ? "\\p{N}" : "\\p{N}+";
  const pattern = step["pattern"];
  if (step["type"] !== "Split" || !isRecord(pattern)) throw new Unsupported(`pre-tokenizer ${String(step["type"])}`);
  if (step["invert"] === true || step["behavior"] !== "Isolated")
    throw new Unsupported("a split that does not isolate");
  const source = pattern["Regex"];
  if (typeof source !== "string") throw new Unsupported("a split by a string");
  return source;
}

function readMerges(model: AnyRecord): MergeTables {
  const vocabulary = model["vocab"];
  const merges = model["merges"];
  if (!isRecord(vocabulary) || !Array.isArray(merges)) throw new Unsupported("no vocabulary or merges");
  const idOf = (token: string): number => {
    const id = vocabulary[token];
    if (typeof id !== "number") throw new Unsupported("a byte or merge that is not in the vocabulary");
    return id;
  };
  const byteIds = Array.from(CHAR_OF_BYTE, (char) => idOf(String.fromCharCode(char)));
  return buildMerges(
    merges.map((pair: unknown): Merge => {
      const [left, right] = readPair(pair);
      return { left: idOf(left), right: idOf(right), merged: idOf(left + right) };
    }),
    byteIds,
  );
}

function readPair(pair: unknown): readonly [string, string] {
  const [left, right, ...rest]: unknown[] =
    typeof pair === "string" ? pair.split(" ") : Array.isArray(pair) ? pair : [];
  if (typeof left !== "string" || typeof right !== "string" || rest.length > 0) throw new Unsupported("an odd merge");
  return [left, right];
}

function readPostProcessor(value: unknown): { readonly prefix: readonly number[]; readonly suffix: readonly number[] } {
  const prefix: number[] = [];
  const suffix: number[] = [];
  for (const step of parts(value, "processors")) {
    // It only changes offsets.
    if (step["type"] === "ByteLevel") continue;
    if (step["type"] !== "TemplateProcessing") throw new Unsupported(`post-processor ${String(step["type"])}`);
    if (prefix.length + suffix.length > 0) throw new Unsupported("several templates of special tokens");
    let isBehind = false;
    for (const piece of Array.isArray(step["single"]) ? step["single"] : []) {
      if (isRecord(piece) && "Sequence" in piece) isBehind = true;
      else (isBehind ? suffix : prefix).push(...idsOfSpecial(step, piece));
    }
  }
  return { prefix, suffix };
}

function idsOfSpecial(template: AnyRecord, piece: unknown): readonly number[] {
  const special = isRecord(piece) ? piece["SpecialToken"] : undefined;
  const name = isRecord(special) ? special["id"] : undefined;
  const table = template["special_tokens"];
  const entry = isRecord(table) && typeof name === "string" ? table[name] : undefined;
  const ids = isRecord(entry) ? entry["ids"] : undefined;
  if (!Array.isArray(ids)) throw new Unsupported("a template of special tokens without ids");
  return ids.map(Number);
}
