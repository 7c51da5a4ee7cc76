import type { FleetView } from "./driver-fleet.ts";
import type { SimLeg } from "./driver-request.ts";

/**
 * The streams of one gateway that have begun, and what it hears of them. An engine skips over steps in which nothing but decoding happens, so
 * tokens are told when somebody is about to choose: those of the last step that each worker has finished.
 */
export class OpenStreams {
  readonly #fleet: FleetView;
  /** By worker. */
  readonly #legs: Set<SimLeg>[];
  /** End of the step that was told last, by worker, ms. */
  readonly #toldAt: number[];

  constructor(fleet: FleetView, workers: number) {
    this.#fleet = fleet;
    this.#legs = Array.from({ length: workers }, () => new Set<SimLeg>());
    this.#toldAt = Array<number>(workers).fill(0);
  }

  begin(leg: SimLeg): void {
    if (leg.picked?.onPiece) this.#legs[leg.worker]?.add(leg);
  }

  end(leg: SimLeg): void {
    this.#legs[leg.worker]?.delete(leg);
  }

  /** Tells the policy of the last tokens of each worker: those at the beginning of its last step, and those at the end. */
  tell(): void {
    for (const [worker, legs] of this.#legs.entries()) {
      const step = legs.size === 0 ? undefined : this.#fleet.engine(worker).lastGiving;
      if (!step || step.endAt === this.#toldAt[worker]) continue;
      this.#toldAt[worker] = step.endAt;
      for (const at of [step.startAt, step.endAt]) {
        for (const { picked, chargedAt } of legs) picked?.onPiece?.(at - chargedAt);
      }
    }
  }
}
