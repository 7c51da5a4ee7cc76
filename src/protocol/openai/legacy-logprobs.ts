import type { TextLogprob } from "../generation.ts";
import { countCharacters } from "./characters.ts";
import { finite } from "./logprobs.ts";

/** The `logprobs` of a completion's choice. */
export interface LegacyLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Readonly<Record<string, number>> | null)[];
  /** Index of each token in the choice's text, in characters. */
  readonly text_offset: number[];
}

/** Writes the log-probabilities of one choice, and tracks the offset in its text. */
export class LegacyLogprobWriter {
  #offset = 0;

  write(logprobs: readonly TextLogprob[]): LegacyLogprobs {
    const written: LegacyLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    for (const entry of logprobs) {
      written.tokens.push(entry.token);
      // The first token of a prompt has no log-probability.
      written.token_logprobs.push(entry.logprob === undefined ? null : finite(entry.logprob));
      written.top_logprobs.push(entry.logprob === undefined ? null : topOf(entry));
      written.text_offset.push(this.#offset);
      this.#offset += countCharacters(entry.token);
    }
    return written;
  }
}

/** The alternatives, plus the token itself if it is not one of them. */
function topOf({ token, logprob, top }: TextLogprob): Readonly<Record<string, number>> {
  const byToken = new Map(top.map((other) => [other.token, finite(other.logprob)]));
  if (!byToken.has(token)) byToken.set(token, finite(logprob));
  return Object.fromEntries(byToken);
}
