import type { LoadReport } from "./cache-event.ts";
import type { RankEndpoints } from "./endpoints.ts";
import { EventFeed } from "./event-feed.ts";
import type { FeedCounts, FeedState } from "./feed-state.ts";
import { HeldBlocks, type HeldSink } from "./held-blocks.ts";
import { RankUnion } from "./rank-union.ts";
import { Subscription, type SubscriptionParts } from "./subscription.ts";

/** Where the knowledge of one worker's cache goes. */
export interface WorkerFeedEvents extends HeldSink {
  /** The events are complete from now on, or no longer. */
  exact(isExact: boolean): void;
  /** The state of the worker has changed: that of its worst rank. */
  onState(state: FeedState, reason: string): void;
}

/** What operators see of a worker's events; counts of all its ranks together. */
export interface WorkerFeedView extends Readonly<FeedCounts> {
  readonly state: FeedState;
  readonly reason: string;
  readonly sequences: readonly number[];
  readonly blocks: number;
  readonly bytes: number;
  readonly orphans: number;
  readonly misfits: number;
  readonly foreign: number;
  readonly load: LoadReport | undefined;
}

interface Rank {
  readonly feed: EventFeed;
  readonly held: HeldBlocks;
  readonly subscription: Subscription;
  /** The place from which on its blocks are still to be told once more; undefined where that is not so. */
  toldFrom: number | undefined;
}

/** Share of the memory that is left for the ranks' own blocks where their union takes some as well: at most an entry for each 32 tokens. */
const RANKS_SHARE = 0.8;

/** From best to worst. */
const STATES: readonly FeedState[] = ["exact", "partial", "catching_up", "connecting"];

/** Follows the KV events of all ranks of one worker. */
export class WorkerFeed implements Disposable {
  readonly #events: WorkerFeedEvents;
  readonly #pump: SubscriptionParts["pump"];
  readonly #ranks: Rank[] = [];
  readonly #union: RankUnion | undefined;
  #state: FeedState = "connecting";

  /** `maxBytes`: memory for the blocks of all ranks. Throws where an address cannot be bound. */
  constructor(
    endpoints: readonly RankEndpoints[],
    maxBytes: number,
    parts: SubscriptionParts,
    events: WorkerFeedEvents,
  ) {
    this.#events = events;
    this.#pump = parts.pump;
    const union = endpoints.length > 1 ? new RankUnion(events) : undefined;
    this.#union = union;
    const bytesEach = (maxBytes * (union ? RANKS_SHARE : 1)) / endpoints.length;
    for (const [rank, one] of endpoints.entries()) {
      const held = new HeldBlocks(bytesEach, union?.of(rank) ?? this.#single());
      const feed = new EventFeed({
        clock: parts.clock,
        blocks: held,
        ask: one.replay && ((sequence) => this.#ranks[rank]?.subscription.ask(sequence) ?? false),
        hangUpReplay: () => this.#ranks[rank]?.subscription.hangUpReplay(),
        onState: () => this.#settle(),
      });
      this.#ranks.push({ feed, held, subscription: new Subscription(one, feed, parts), toldFrom: undefined });
    }
  }

  get isExact(): boolean {
    return this.#state === "exact";
  }

  get view(): WorkerFeedView {
    const worst = this.#worst();
    const sum = (of: (rank: Rank) => number): number => this.#ranks.reduce((total, rank) => total + of(rank), 0);
    return {
      state: this.#state,
      reason: worst?.feed.reason ?? "",
      sequences: this.#ranks.map(({ feed }) => feed.next),
      blocks: sum(({ held }) => held.blocks),
      bytes: sum(({ held, feed }) => held.bytes + feed.heldBytes) + (this.#union?.bytes ?? 0),
      orphans: sum(({ held }) => held.oddities.orphans),
      misfits: sum(({ held }) => held.oddities.misfits),
      foreign: sum(({ held }) => held.oddities.foreign),
      batches: sum(({ feed }) => feed.counts.batches),
      gaps: sum(({ feed }) => feed.counts.gaps),
      replays: sum(({ feed }) => feed.counts.replays),
      restarts: sum(({ feed }) => feed.counts.restarts),
      unreadable: sum(({ feed }) => feed.counts.unreadable),
      unknown: sum(({ feed }) => feed.counts.unknown),
      load: this.#ranks.find(({ feed }) => feed.load)?.feed.load,
    };
  }

  /** Says all of it once more, for a policy that has forgotten the worker or is new. The blocks follow in steps, between which requests go on. */
  tellAll(): void {
    this.#events.exact(this.isExact);
    for (const rank of this.#ranks) {
      const isTelling = rank.toldFrom !== undefined;
      rank.toldFrom = 0;
      if (!isTelling) this.#pump.add(0, () => this.#tellSome(rank));
    }
  }

  #tellSome(rank: Rank): void {
    if (rank.toldFrom === undefined) return;
    rank.toldFrom = rank.held.tellSome(rank.toldFrom);
    if (rank.toldFrom !== undefined) this.#pump.add(0, () => this.#tellSome(rank));
  }

  setPaused(isPaused: boolean): void {
    for (const { subscription } of this.#ranks) subscription.setPaused(isPaused);
  }

  /** Ends the feed. Whoever it was complete for has to do without it from now on. */
  [Symbol.dispose](): void {
    if (this.isExact) this.#events.exact(false);
    for (const rank of this.#ranks) {
      rank.toldFrom = undefined;
      rank.subscription[Symbol.dispose]();
      rank.feed[Symbol.dispose]();
    }
  }

  /** The only rank: its cache is the worker's. */
  #single(): HeldSink {
    const events = this.#events;
    return {
      stored: (lora, hashes) => events.stored(lora, hashes),
      removed: (lora, hashes) => events.removed(lora, hashes),
      cleared: () => {
        events.cleared();
        // The index has forgotten that as well.
        if (this.isExact) events.exact(true);
      },
    };
  }

  #settle(): void {
    const worst = this.#worst();
    const state = worst?.feed.state ?? "connecting";
    if (state === this.#state) return;
    const wasExact = this.isExact;
    this.#state = state;
    // What was told while they were not complete may have aged.
    if (this.isExact) this.tellAll();
    else if (wasExact) this.#events.exact(false);
    this.#events.onState(state, worst?.feed.reason ?? "");
  }

  #worst(): Rank | undefined {
    let worst: Rank | undefined;
    for (const rank of this.#ranks) {
      if (!worst || STATES.indexOf(rank.feed.state) > STATES.indexOf(worst.feed.state)) worst = rank;
    }
    return worst;
  }
}
