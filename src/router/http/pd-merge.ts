import type { JsonBody } from "../../protocol/json/json-body.ts";
import { eachEntry, joinLists, memberAt, splice } from "../../protocol/json/splice.ts";
import type { PdConnector } from "../../engine/connector.ts";
import type { AnswerChange, ChangedEvent } from "../answer-change.ts";
import { LF, OPEN_BRACKET } from "../../util/ascii.ts";

/**
 * Puts parts of prefill's answer into decode's. A decode worker does not see the prompt's log-probabilities (SGLang), and counts the
 * handed-over KV cache as cached (vLLM). Only the bytes of these members change.
 */
export abstract class PrefillMerge implements AnswerChange {
  abstract readonly marker: string;
  abstract readonly readsText: boolean;

  /** Gets prefill's answer; undefined where there is none. Called before any change. */
  abstract know(prefill: Uint8Array | undefined): void;

  event(data: string): ChangedEvent | undefined {
    const json = Buffer.from(data);
    const merged = this.whole(json);
    if (merged === json) return undefined;
    const text = Buffer.from(merged.buffer, merged.byteOffset, merged.byteLength).toString();
    return { before: [], data: text, value: undefined };
  }

  abstract whole(body: Uint8Array): Uint8Array;
}

/** undefined where decode's answer needs nothing from prefill. */
export function mergeOf(connector: PdConnector, body: JsonBody): PrefillMerge | undefined {
  switch (connector.merges) {
    case "input_logprobs":
      return body.value("return_logprob") === true ? new LogprobMerge() : undefined;
    case "cached_tokens":
      return new CachedTokensMerge();
    case "nothing":
      return undefined;
  }
}

/** Members of `meta_info`, each a list with an entry for a token of the prompt. */
const INPUT_LOGPROBS = ["input_token_logprobs", "input_top_logprobs", "input_token_ids_logprobs"] as const;

/** Puts the prompt's log-probabilities before those of decode, which begin at the hand-over. */
class LogprobMerge extends PrefillMerge {
  readonly marker = '"meta_info"';
  /** Each event gets them. */
  readonly readsText = true;
  #ofEach: readonly (Uint8Array | undefined)[] = [];

  override know(prefill: Uint8Array | undefined): void {
    this.#ofEach = prefill ? bySequence(prefill) : [];
  }

  override whole(json: Uint8Array): Uint8Array {
    const ofEach = this.#ofEach;
    if (json[0] === OPEN_BRACKET) return eachEntry(json, (entry, index) => withLogprobs(entry, ofEach[index]));
    return withLogprobs(json, ofEach[indexOf(json)]);
  }
}

/** Replaces the counts of cached tokens by prefill's. */
class CachedTokensMerge extends PrefillMerge {
  readonly marker = "cache";
  /** Only events with counts change, and those are always read. */
  readonly readsText = false;
  #prefill: Uint8Array | undefined;

  override know(prefill: Uint8Array | undefined): void {
    this.#prefill = prefill;
  }

  override whole(json: Uint8Array): Uint8Array {
    return withCachedTokens(json, this.#prefill);
  }
}

function withLogprobs(json: Uint8Array, prefill: Uint8Array | undefined): Uint8Array {
  let merged = json;
  for (const name of INPUT_LOGPROBS) {
    const known = prefill && memberAt(prefill, ["meta_info", name]);
    if (known) merged = splice(merged, ["meta_info", name], (raw) => joinLists(known, raw));
  }
  return merged;
}

/** Prefill's answer for each sequence: from a list, from a single answer, or from the first event with the sequence's index. */
function bySequence(answer: Uint8Array): readonly (Uint8Array | undefined)[] {
  const found: Uint8Array[] = [];
  if (answer[0] === OPEN_BRACKET) eachEntry(answer, (entry, index) => (found[index] = entry));
  if (answer[0] !== LETTER_D) return answer[0] === OPEN_BRACKET ? found : [answer];
  for (let from = 0; from >= 0 && from < answer.length;) {
    const end = answer.indexOf(LF, from);
    const line = answer.subarray(from, end < 0 ? undefined : end);
    const data = line.subarray(DATA.length);
    if (startsWith(line, DATA) && memberAt(data, ["meta_info"])) found[indexOf(data)] ??= data;
    from = end < 0 ? end : end + 1;
  }
  return found;
}

/** Index of the answer's sequence in the batch. */
function indexOf(json: Uint8Array): number {
  const raw = memberAt(json, ["index"]);
  return raw ? Number(Buffer.from(raw).toString("latin1")) : 0;
}

/** Paths of the usage: in an answer, in an event of Responses, in an event of Messages. */
const USAGES: readonly (readonly string[])[] = [["usage"], ["response", "usage"], ["message", "usage"]];
const DETAILS = ["prompt_tokens_details", "input_tokens_details"] as const;

function withCachedTokens(json: Uint8Array, prefill: Uint8Array | undefined): Uint8Array {
  const known = prefill && memberAt(prefill, ["usage"]);
  const place = USAGES.find((path) => memberAt(json, path));
  return place ? splice(json, place, (usage) => usage && corrected(usage, known)) : json;
}

/** The usage with prefill's count. A prefill worker without a count had nothing cached. */
function corrected(usage: Uint8Array, known: Uint8Array | undefined): Uint8Array {
  const said = (...path: string[]): Uint8Array | undefined => known && memberAt(known, path);
  for (const details of DETAILS) {
    const path = [details, "cached_tokens"];
    if (memberAt(usage, path)) return splice(usage, path, () => said(...path) ?? "0");
  }
  if (!memberAt(usage, ["cache_read_input_tokens"])) return usage;
  // Anthropic counts cached tokens apart from the rest of the prompt.
  const rest = splice(usage, ["input_tokens"], (raw) => said("input_tokens") ?? raw);
  return splice(rest, ["cache_read_input_tokens"], () => said("cache_read_input_tokens") ?? "0");
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, at) => bytes[at] === byte);
}

const DATA = Buffer.from("data:");
const LETTER_D = 0x64;
