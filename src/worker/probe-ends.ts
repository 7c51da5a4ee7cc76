import type { LeaveSignal } from "../util/leave-signal.ts";
import { untilLeft } from "../util/until-left.ts";

/** Lets those wait who want to look again when a probe has ended, of whichever worker. */
export class ProbeEnds {
  readonly #waiting = new Set<() => void>();

  /** A probe has ended: everyone who waits goes on. */
  announce(): void {
    for (const resolve of this.#waiting) resolve();
  }

  /** Resolves with the end of the next probe. Rejects with the signal's reason. */
  async next(signal: LeaveSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await untilLeft(promise, signal);
    } finally {
      this.#waiting.delete(resolve);
    }
  }
}
