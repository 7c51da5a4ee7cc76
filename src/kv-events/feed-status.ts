import type { FeedParts, FeedState } from "./feed-state.ts";

/** The state of a feed, and why it has it. */
export class FeedStatus {
  readonly #onState: FeedParts["onState"];
  #state: FeedState = "connecting";
  #reason = "it was not reached yet";

  constructor(onState: FeedParts["onState"]) {
    this.#onState = onState;
  }

  get state(): FeedState {
    return this.#state;
  }

  /** A sentence for operators in which the publisher is "it". */
  get reason(): string {
    return this.#reason;
  }

  /** Tells of it if the state is another. */
  become(state: FeedState, reason: string): void {
    this.#reason = reason;
    if (this.#state === state) return;
    this.#state = state;
    this.#onState(state, reason);
  }

  becomeBehind(): void {
    this.become("catching_up", "it was asked for the missing batches");
  }
}
