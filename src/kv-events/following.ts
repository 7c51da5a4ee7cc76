import type { Clock } from "../util/clock.ts";
import { LoopTurns } from "../util/loop-turns.ts";
import type { KvEventsSpec } from "../worker/worker-spec.ts";
import { BoundSockets } from "./bound-sockets.ts";
import { endpointsFor, type RankedAddress } from "./endpoints.ts";
import { Pump } from "./pump.ts";
import { MAX_MESSAGE_BYTES, type SubscriptionParts, TTL_MS } from "./subscription.ts";
import { WorkerFeed, type WorkerFeedEvents } from "./worker-feed.ts";
import type { Tcp } from "./zmtp/tcp.ts";

export interface FollowingDeps {
  readonly tcp: Tcp;
  readonly clock: Clock;
  readonly random: () => number;
  /** Memory for the blocks of one worker, bytes. */
  readonly maxBytesPerWorker: number;
  /** Is called when too much has come to be taken at once, and when it has been taken. */
  readonly onPause: (isPaused: boolean) => void;
}

/** What the feeds of all workers share. It is loaded with the first worker that publishes KV events. */
export class Following implements Disposable {
  readonly #maxBytes: number;
  readonly #parts: SubscriptionParts;
  readonly #bound: BoundSockets;

  constructor({ tcp, clock, random, maxBytesPerWorker, onPause }: FollowingDeps) {
    this.#maxBytes = maxBytesPerWorker;
    this.#bound = new BoundSockets({ tcp, clock, settings: { maxMessageBytes: MAX_MESSAGE_BYTES, ttlMs: TTL_MS } });
    const pump = new Pump({ now: () => clock.now(), turns: new LoopTurns(), onPause });
    this.#parts = { tcp, clock, random, bound: this.#bound, pump };
  }

  /** Begins to follow this worker. Throws where it cannot be followed. */
  follow(spec: KvEventsSpec, worker: RankedAddress, events: WorkerFeedEvents): WorkerFeed {
    return new WorkerFeed(endpointsFor(spec, worker), this.#maxBytes, this.#parts, events);
  }

  [Symbol.dispose](): void {
    this.#bound[Symbol.dispose]();
  }
}
