import type { EngineModel } from "./engine-models.ts";

/** What one step computes. */
export interface Batch {
  /** Sequences in it, and how many of them decode. */
  readonly sequences: number;
  readonly decoding: number;
  /** Tokens of context that the decoding ones attend to. */
  readonly contextTokens: number;
  /** Prompt tokens that it prefills, and how much the squares of their contexts grow. */
  readonly prefillTokens: number;
  readonly prefillSquares: number;
  /** For how many steps nothing but decoding can happen; 1 where something is prefilled. */
  readonly steps: number;
}

/** When a step began and ended, ms. */
export interface StepTimes {
  readonly startAt: number;
  readonly endAt: number;
}

/** One step, or several that only decode the same sequences and are carried out at once. Times in ms. */
export class EngineStep {
  readonly #startAt: number;
  /** Time of the first step, and how much longer each further one is than the one before. */
  readonly #firstMs: number;
  readonly #growthMs: number;
  #steps: number;
  #delayMs = 0;

  constructor(startAt: number, firstMs: number, growthMs: number, steps: number) {
    this.#startAt = startAt;
    this.#firstMs = firstMs;
    this.#growthMs = growthMs;
    this.#steps = steps;
  }

  /** The steps that compute the batch; undefined where it is empty. */
  static plan(model: EngineModel, slowness: number, startAt: number, batch: Batch): EngineStep | undefined {
    if (batch.sequences === 0) return undefined;
    const firstMs =
      model.stepMs +
      model.sequenceMs * batch.sequences +
      model.contextTokenMs * batch.contextTokens +
      model.prefillTokenMs * batch.prefillTokens +
      model.prefillSquareMs * batch.prefillSquares;
    // Each decoding sequence has one token of context more in the next step.
    const growthMs = model.contextTokenMs * batch.decoding;
    return new EngineStep(startAt, slowness * firstMs, slowness * growthMs, batch.steps);
  }

  get steps(): number {
    return this.#steps;
  }

  get endAt(): number {
    return this.#startAt + this.#lengthMs(this.#steps) + this.#delayMs;
  }

  /** Leaves out the steps that have not begun at `now`. */
  cutAfter(now: number): void {
    if (this.#steps === 1) return;
    const elapsedMs = now - this.#startAt - this.#delayMs;
    let steps = Math.max(1, Math.min(this.#steps, Math.floor(this.#stepsIn(elapsedMs))));
    while (steps < this.#steps && this.#lengthMs(steps) < elapsedMs) steps += 1;
    this.#steps = steps;
  }

  /** The last of the steps that was over at `now`; undefined where none was. */
  lastOver(now: number): StepTimes | undefined {
    const over = Math.min(this.#steps - 1, Math.floor(this.#stepsIn(now - this.#startAt) + 2e-6));
    return over < 1 ? undefined : this.#timesOf(over);
  }

  /** The last one of the steps. */
  get last(): StepTimes {
    return { ...this.#timesOf(this.#steps), endAt: this.endAt };
  }

  #timesOf(step: number): StepTimes {
    return { startAt: this.#startAt + this.#lengthMs(step - 1), endAt: this.#startAt + this.#lengthMs(step) };
  }

  /** It ends so much later. */
  delay(ms: number): void {
    this.#delayMs += ms;
  }

  copy(): EngineStep {
    const copy = new EngineStep(this.#startAt, this.#firstMs, this.#growthMs, this.#steps);
    copy.#delayMs = this.#delayMs;
    return copy;
  }

  #lengthMs(steps: number): number {
    return steps * this.#firstMs + this.#growthMs * ((steps * (steps - 1)) / 2);
  }

  /** How many steps, not rounded, take so long; a little less where numbers are not exact. */
  #stepsIn(ms: number): number {
    if (ms <= 0) return 0;
    const linear = this.#firstMs - this.#growthMs / 2;
    const root = Math.sqrt(linear * linear + 2 * this.#growthMs * ms);
    return (2 * ms) / (linear + root) - 1e-6;
  }
}
