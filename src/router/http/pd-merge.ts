import type { JsonBody } from "../../protocol/json/json-body.ts";
import { eachEntry, joinLists, memberAt, splice } from "../../protocol/json/splice.ts";
import type { PdConnector } from "../../engine/connector.ts";
import type { AnswerChange, ChangedEvent } from "../answer-change.ts";
import { LF, OPEN_BRACKET } from "../../util/ascii.ts";

/**
 * What the answer of a decode worker must be given of prefill's: a decode worker does not see the prompt's log-probabilities
 * (SGLang), and counts the KV cache that it was handed as cached (vLLM). Only bytes of these members change.
 */
export abstract class PrefillMerge implements AnswerChange {
  abstract readonly marker: string;
  abstract readonly readsText: boolean;

  /** What prefill answered; undefined where nothing is known of it. Called before anything is changed. */
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

/** Undefined where the answer is whole without prefill's. */
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

/** The prompt's log-probabilities stand before those that decode has, which begin where it took over. */
class LogprobMerge extends PrefillMerge {
  readonly marker = '"meta_info"';
  /** Each event is given them. */
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

/** Counts of cached tokens are prefill's. */
class CachedTokensMerge extends PrefillMerge {
  readonly marker = "cache";
  /** Only an event with counts is changed, and no such event passes unread. */
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

/** What prefill said of each sequence: in a list, alone, or in the first event that bears the sequence's index. */
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

/** Which sequence of a batch it is of. */
function indexOf(json: Uint8Array): number {
  const raw = memberAt(json, ["index"]);
  return raw ? Number(Buffer.from(raw).toString("latin1")) : 0;
}

/** Where the counts are: in an answer itself, in an event of Responses, in one of Messages. */
const USAGES: readonly (readonly string[])[] = [["usage"], ["response", "usage"], ["message", "usage"]];
const DETAILS = ["prompt_tokens_details", "input_tokens_details"] as const;

function withCachedTokens(json: Uint8Array, prefill: Uint8Array | undefined): Uint8Array {
  const known = prefill && memberAt(prefill, ["usage"]);
  const place = USAGES.find((path) => memberAt(json, path));
  return place ? splice(json, place, (usage) => usage && corrected(usage, known)) : json;
}

/** A prefill worker that does not say what it had cached found nothing. */
function corrected(usage: Uint8Array, known: Uint8Array | undefined): Uint8Array {
  const said = (...path: string[]): Uint8Array | undefined => known && memberAt(known, path);
  for (const details of DETAILS) {
    const path = [details, "cached_tokens"];
    if (memberAt(usage, path)) return splice(usage, path, () => said(...path) ?? "0");
  }
  if (!memberAt(usage, ["cache_read_input_tokens"])) return usage;
  // Anthropic counts what was cached apart from the rest of the prompt.
  const rest = splice(usage, ["input_tokens"], (raw) => said("input_tokens") ?? raw);
  return splice(rest, ["cache_read_input_tokens"], () => said("cache_read_input_tokens") ?? "0");
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, at) => bytes[at] === byte);
}

const DATA = Buffer.from("data:");
const LETTER_D = 0x64;
