import type { Baseline } from "./baseline.ts";
import { lowest } from "./lowest.ts";
import { SeenPrefixes } from "./seen-prefixes.ts";

/** The load of a worker is what it was sent in this time, ms. */
const WINDOW_MS = 180_000;
/** Seconds to prefill a token, and for the decoding of a request: 45 tokens at an engine's step. */
const PREFILL_SECS = 57e-6;
const DECODE_SECS = 45 * 10.6e-3;

interface Sent {
  readonly at: number;
  readonly secs: number;
}

/** Preble's E2: exploit a cache that covers more than half of the prompt; else the least seconds of work within the window. */
export const preble: Baseline = {
  name: "preble",
  source: "Preble, arXiv 2407.00023, as in AIBrix prefix-cache-preble; with the constants of our simulated engine",
  chooses: "the longest match if it is more than half of the prompt; else the least work of the last three minutes",
  create({ random, now }) {
    const seen = new SeenPrefixes();
    const windows: Sent[][] = [];
    const loads: number[] = [];
    const loadOf = (slot: number): number => {
      const window = windows[slot] ?? [];
      while (window[0] && window[0].at < now() - WINDOW_MS)
        loads[slot] = (loads[slot] ?? 0) - (window.shift()?.secs ?? 0);
      return loads[slot] ?? 0;
    };
    return {
      name: "preble",
      pick(candidates, request) {
        const prompt = request.promptBlocks();
        const matched = candidates.map(({ slot }) => seen.tokens(slot, prompt));
        const secsAt = (index: number): number =>
          Math.max(0, request.promptTokens - (matched[index] ?? 0)) * PREFILL_SECS;
        const longest = Math.max(...matched);
        const isExploited = longest > request.promptTokens / 2;
        const costs = candidates.map(({ slot }, index) => {
          if (isExploited) return matched[index] === longest ? loadOf(slot) : Number.NaN;
          return loadOf(slot) + secsAt(index);
        });
        const chosen = lowest(candidates.length, (index) => costs[index] ?? Number.NaN, random);
        const worker = candidates[chosen];
        if (!worker) return chosen;
        const secs = secsAt(chosen) + DECODE_SECS;
        (windows[worker.slot] ??= []).push({ at: now(), secs });
        loads[worker.slot] = (loads[worker.slot] ?? 0) + secs;
        seen.insert(worker, prompt);
        return chosen;
      },
      forget: (_workerId, slot) => seen.forget(slot),
    };
  },
};
