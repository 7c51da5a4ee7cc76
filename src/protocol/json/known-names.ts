/**
 * Usual names of members of requests. A key with one of these names reuses the string here, instead of making a new one from its
 * bytes. A name that is missing here costs some tens of nanoseconds and nothing else.
 */
export const KNOWN_NAMES: readonly string[] = [
  ...[
    "model",
    "stream",
    "messages",
    "prompt",
    "input",
    "text",
    "input_ids",
    "system",
    "instructions",
    "query",
    "text_1",
  ],
  ...["n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "min_new_tokens"],
  ...["min_tokens", "logprobs", "top_logprobs", "prompt_logprobs", "top_logprobs_num", "sampling_params"],
  ...["stop", "stop_sequences", "stop_token_ids", "bad_words", "tools", "functions", "tool_choice"],
  ...["temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty", "repetition_penalty"],
  ...["stream_options", "response_format", "ignore_eos", "user", "metadata", "session_id", "prompt_cache_key"],
];

interface Known {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const SLOTS = 256;
const NONE: readonly Known[] = [];
const table: readonly Known[][] = Array.from({ length: SLOTS }, () => []);

/** A hash of the names above: no slot has more than two of them. */
function slotOf(bytes: Uint8Array, from: number, to: number): number {
  const first = bytes[from] ?? 0;
  const middle = bytes[(from + to) >> 1] ?? 0;
  const last = bytes[to - 1] ?? 0;
  return (first * 9 + middle * 27 + last * 3 + (to - from) * 5) & (SLOTS - 1);
}

for (const name of KNOWN_NAMES) {
  const bytes = Buffer.from(name);
  table[slotOf(bytes, 0, bytes.length)]?.push({ name, bytes });
}

/** The name in [`from`, `to`); undefined where it is none of those above. */
export function knownName(bytes: Uint8Array, from: number, to: number): string | undefined {
  const slot = table[slotOf(bytes, from, to)] ?? NONE;
  for (let at = 0; at < slot.length; at += 1) {
    const known = slot[at];
    if (known && isAt(known.bytes, bytes, from, to)) return known.name;
  }
  return undefined;
}

function isAt(name: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let at = 0; at < name.length; at += 1) if (name[at] !== bytes[from + at]) return false;
  return true;
}
