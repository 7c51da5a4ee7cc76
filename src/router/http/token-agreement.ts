import type { Clock } from "../../util/clock.ts";

/** Requests that are looked at together. */
const WINDOW = 16;
/** How long a model whose tokens differ is left alone before it is tried again, ms. */
const REST_MS = 300_000;

interface Seen {
  agreed: number;
  differed: number;
  /** The gateway does not make this model's tokens before then, on the clock. */
  restUntil: number;
}

/**
 * Compares the gateway's own count of a prompt's tokens with the engine's. Where they differ in most of a model's requests, the gateway
 * has another tokenizer or chat template than the engine, and its tokens are no use.
 */
export class TokenAgreement {
  readonly #clock: Clock;
  readonly #onDiffers: (model: string, ours: number, theirs: number) => void;
  readonly #models = new Map<string, Seen>();

  /** `onDiffers` is told the counts of the last request each time that a model is found to differ. */
  constructor(clock: Clock, onDiffers: (model: string, ours: number, theirs: number) => void) {
    this.#clock = clock;
    this.#onDiffers = onDiffers;
  }

  /** Whether the model's tokens were found to differ a while ago. */
  differs(model: string): boolean {
    const seen = this.#models.get(model);
    return seen !== undefined && seen.restUntil > this.#clock.now();
  }

  /** `theirs`: the engine's count; undefined where it did not tell. */
  note(model: string, ours: number, theirs: number | undefined): void {
    if (theirs === undefined) return;
    const seen = this.#models.get(model) ?? { agreed: 0, differed: 0, restUntil: 0 };
    this.#models.set(model, seen);
    if (ours === theirs) seen.agreed += 1;
    else seen.differed += 1;
    if (seen.differed * 2 > WINDOW && !this.differs(model)) {
      seen.restUntil = this.#clock.now() + REST_MS;
      this.#onDiffers(model, ours, theirs);
    }
    if (seen.agreed + seen.differed < WINDOW) return;
    seen.agreed = 0;
    seen.differed = 0;
  }
}
