import type { PrefixIndex } from "../prefix-index.ts";
import { SLOTS } from "../../util/slots.ts";

/** A bound is set anew where it has changed by more than this share: the tokens of a byte change a little all the time. */
const CHANGED = 0.25;

/** Tells the index how many bytes of prompts each worker's KV cache holds. */
export class WorkerBounds {
  readonly #index: PrefixIndex;
  readonly #bytes = new Float64Array(SLOTS);

  constructor(index: PrefixIndex) {
    this.#index = index;
  }

  /** The worker's cache holds so many tokens, of which each byte of a prompt makes `tokensPerByte`. */
  set(slot: number, kvCapacityTokens: number, tokensPerByte: number): void {
    const bytes = kvCapacityTokens / tokensPerByte;
    const known = this.#bytes[slot] ?? 0;
    if (Math.abs(bytes - known) <= CHANGED * known) return;
    this.#bytes[slot] = bytes;
    this.#index.setBound(slot, bytes);
  }

  /** Another worker may get the slot. */
  forget(slot: number): void {
    this.#bytes[slot] = 0;
  }
}
