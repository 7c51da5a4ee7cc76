import type { Scheduler } from "../../../src/engine-sim/scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** New tokens of one choice. */
export interface Step {
  readonly choice: number;
  readonly sequence: Sequence;
  /** The tokens that are new with it. */
  readonly ids: readonly number[];
  /** Tokens of the choice so far, with these. */
  readonly total: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/**
 * The tokens of all choices at the engine's pace, or one after the other without waiting where there is no scheduler. A
 * reader that is slow gets several tokens at once, as from an engine. Leaving the loop, or the signal, frees the engine.
 */
export async function* stepsOf(
  sequences: readonly Sequence[],
  prefillTokens: number,
  scheduler: Scheduler | undefined,
  signal: AbortSignal,
): AsyncGenerator<Step, void, void> {
  const longest = Math.max(1, ...sequences.map(({ ids }) => ids.length));
  let ready = scheduler ? 0 : 1;
  let wake = (): void => undefined;
  const leave = scheduler?.add(prefillTokens, longest, () => {
    ready += 1;
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  try {
    for (let given = 0; given < longest;) {
      // oxlint-disable-next-line no-unmodified-loop-condition -- the scheduler's callback counts
      while (ready <= given && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (signal.aborted) return;
      const until = Math.min(ready, longest);
      for (const [choice, sequence] of sequences.entries()) yield* stepOf(choice, sequence, given, until);
      given = until;
      if (!scheduler) ready += 1;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    leave?.();
  }
}

function* stepOf(choice: number, sequence: Sequence, from: number, until: number): Generator<Step, void, void> {
  const { length } = sequence.ids;
  // An answer of no tokens at all has one step, its end.
  if (from >= length && !(length === 0 && from === 0)) return;
  const ids = sequence.ids.slice(from, until);
  yield { choice, sequence, ids, total: from + ids.length, isFirst: from === 0, isLast: until >= length };
}
