import type { Clock } from "../util/clock.ts";
import type { CacheEvent } from "./cache-event.ts";

/**
 * How much the events of one publisher say:
 * - `connecting`: there is no connection.
 * - `catching_up`: batches were missed, and the publisher has been asked for them.
 * - `exact`: every batch since the engine's cache was empty has been taken in.
 * - `partial`: batches before some point are lost, so the engine may hold more, or less, than is known.
 *
 * ```
 *   connecting -- up --> catching_up -- all is there --> exact
 *       ^                  ^    |                         |
 *       |                  |    +-- some are lost --> partial -- the cache is emptied, restart --> exact
 *       +-- connection lost, from any                     |
 *                          +------------ gap -------------+
 * ```
 */
export type FeedState = "connecting" | "catching_up" | "exact" | "partial";

/** Where the events go. */
export interface FeedBlocks {
  apply(event: CacheEvent): void;
  clear(): void;
  /** Why it misses something although it got all events; undefined where it does not. */
  readonly fault: string | undefined;
}

export interface FeedParts {
  readonly clock: Clock;
  readonly blocks: FeedBlocks;
  /** Asks for all batches from `sequence` on; false where the question cannot be sent now. Undefined: the publisher has no replay. */
  readonly ask: ((sequence: number) => boolean) | undefined;
  /** Ends the connection to the replay, and makes a new one: what was asked on it is answered no more. */
  hangUpReplay(): void;
  /** Called after each change of the state, with the reason as a sentence for operators. */
  onState(state: FeedState, reason: string): void;
}

/** What happened since the feed was made. */
export interface FeedCounts {
  batches: number;
  gaps: number;
  replays: number;
  restarts: number;
  unreadable: number;
  /** Events of kinds that the gateway does not know. */
  unknown: number;
}
