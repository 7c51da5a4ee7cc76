import { blocksIn, type PromptBlocks } from "../prefix-blocks.ts";
import { EQUAL_S, isChosenBefore, isIdle } from "./candidate-order.ts";
import { COPIES, PREFIX_CELLS, PREFIXES } from "./shared-layout.ts";
import { COST, MATCHED_BYTES, PREFILL_S, type Weighed, WORK } from "./weighed.ts";

/**
 * Cells of a prefix: first the hash of its last block, then the time that it has cost, s, and when that was noted; then of the prompt that was
 * seen last its length, bytes, and the hash of its last block.
 */
const COST_S = 1;
const NOTED_AT = 2;
const PROMPT_BYTES = 3;
const PROMPT_HASH = 4;
/** Half of the time is forgotten after so long, s: a copy helps those that come soon. */
const HALF_LIFE_S = 60;

/**
 * Decides when a prefix that many requests share gets a copy at a further worker. Each request by itself goes where the prefix is, even if it
 * waits there for others while another worker does nothing: to prefill the prefix once more would take longer than to wait. So in
 * a large fleet a few workers would have all requests of a system prompt, and most would have none.
 *
 * It is the question whether to rent or to buy: what requests have lost behind others since the last copy is added up, and the next one makes a copy
 * at a worker that does nothing once that is as much as it loses by it. Whatever comes, all of them then lose at most twice as much as they would
 * with the best choice of moments.
 */
export class FurtherCopies {
  readonly #cells: Float64Array;

  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /**
   * The place at which the request makes a copy of the prefix that it would find at the place `chosen`; -1 where it is to go there. Adds what it
   * loses there to what the prefix has cost.
   */
  placeInstead(weighed: Weighed, chosen: number): number {
    const matchedBytes = weighed.of(chosen, MATCHED_BYTES);
    if (matchedBytes === 0 || isIdle(weighed, chosen)) return -1;
    const idle = this.#cheapestIdle(weighed, matchedBytes);
    if (idle < 0) return -1;
    const lostS = lostTime(weighed, chosen, idle);
    if (!(lostS > 0)) return -1;
    const dearerS = weighed.of(idle, COST) - weighed.of(chosen, COST);
    return this.#isPaid(weighed, matchedBytes, lostS, dearerS) ? idle : -1;
  }

  /** Of those that do nothing and have less of the prompt the cheapest one, of equals the one that was chosen least recently; -1 for none. */
  #cheapestIdle(weighed: Weighed, matchedBytes: number): number {
    let found = -1;
    for (let at = 0; at < weighed.count; at += 1) {
      if (!isIdle(weighed, at) || weighed.of(at, MATCHED_BYTES) >= matchedBytes) continue;
      if (found >= 0 && !this.#isBetter(weighed, at, found)) continue;
      found = at;
    }
    return found;
  }

  #isBetter(weighed: Weighed, one: number, other: number): boolean {
    const more = weighed.of(one, COST) - weighed.of(other, COST);
    if (Math.abs(more) > EQUAL_S) return more < 0;
    return isChosenBefore(this.#cells, weighed, one, other);
  }

  /**
   * Whether the matched prefix has cost as much before as the request is dearer elsewhere: then a new account begins. Otherwise the request's
   * loss is added, unless it goes on with the conversation that was seen last: a copy would serve nobody else.
   */
  #isPaid({ prompt, now }: Weighed, matchedBytes: number, lostS: number, dearerS: number): boolean {
    const cells = this.#cells;
    const hash = hashUpTo(prompt, matchedBytes);
    const at = COPIES + ((hash >>> 0) % PREFIXES) * PREFIX_CELLS;
    const age = Math.max(0, now - (cells[at + NOTED_AT] ?? 0));
    const before = (cells[at + COST_S] ?? 0) * 2 ** (-age / HALF_LIFE_S);
    const isKnown = cells[at] === hash;
    if (!isKnown && before > lostS) return false;
    const goesOn = isKnown && this.#goesOn(at, prompt);
    cells[at + PROMPT_BYTES] = prompt.bytes;
    cells[at + PROMPT_HASH] = prompt.hashes.at(-1) ?? 0;
    if (goesOn) return false;
    const isPaid = isKnown && before >= dearerS;
    cells[at] = hash;
    cells[at + COST_S] = isPaid ? 0 : lostS + (isKnown ? before : 0);
    cells[at + NOTED_AT] = now;
    return isPaid;
  }

  /** The prompt is longer than the one that was seen last, and begins with it, as far as its blocks tell. */
  #goesOn(at: number, prompt: PromptBlocks): boolean {
    const bytes = this.#cells[at + PROMPT_BYTES] ?? 0;
    return prompt.bytes > bytes && hashUpTo(prompt, bytes) === this.#cells[at + PROMPT_HASH];
  }
}

/** The hash of the last whole block of so many bytes of the prompt. */
function hashUpTo({ hashes }: PromptBlocks, bytes: number): number {
  return hashes[blocksIn(bytes) - 1] ?? 0;
}

/** How much later the first token comes at `chosen` than it would at `idle` if that had the prefix as well, s. */
function lostTime(weighed: Weighed, chosen: number, idle: number): number {
  const own = Math.min(1, weighed.of(chosen, WORK) / weighed.of(idle, WORK));
  return weighed.ttftS(chosen) - (weighed.ttftS(idle) - (1 - own) * weighed.of(idle, PREFILL_S));
}
