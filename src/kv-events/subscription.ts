import type { Clock } from "../util/clock.ts";
import type { RankEndpoints } from "./endpoints.ts";
import type { BoundSockets, SubscriberEvents } from "./bound-sockets.ts";
import type { EventFeed } from "./event-feed.ts";
import type { Pump } from "./pump.ts";
import type { Tcp } from "./zmtp/tcp.ts";
import { ZmtpDialer } from "./zmtp/zmtp-dialer.ts";
import type { LinkEvents } from "./zmtp/zmtp-link.ts";

/** The network, and what is shared by all subscriptions. */
export interface SubscriptionParts {
  readonly tcp: Tcp;
  readonly clock: Clock;
  readonly random: () => number;
  readonly bound: BoundSockets;
  readonly pump: Pump;
}

/** Largest message of a publisher, bytes. A batch names at most the blocks of one step: some 10 bytes a token. */
export const MAX_MESSAGE_BYTES = 67_108_864;
/** How long a publisher may hear nothing of us, ms. */
export const TTL_MS = 60_000;
/** How long the subscription waits for the replay's connection before it goes on without, ms. */
const REPLAY_WAIT_MS = 3000;
/** In place of a sequence number: the answer is complete. */
const END = 2n ** 64n - 1n;

/**
 * Reads one publisher: its live events, and the answers of its replay. Messages go through the pump in the order in which they
 * came, and so do the ups and downs of the connections between them.
 */
export class Subscription implements Disposable {
  readonly #parts: SubscriptionParts;
  readonly #feed: EventFeed;
  readonly #live: Disposable & { setPaused(isPaused: boolean): void };
  readonly #dialReplay: (() => ZmtpDialer) | undefined;
  #replay: ZmtpDialer | undefined;
  #isPaused = false;
  #isLiveUp = false;
  #isReplayUp = false;
  #cancelWait: () => void = () => undefined;

  constructor({ live, replay, topic }: RankEndpoints, feed: EventFeed, parts: SubscriptionParts) {
    const { tcp, clock, random, bound } = parts;
    this.#parts = parts;
    this.#feed = feed;
    const settings = { maxMessageBytes: MAX_MESSAGE_BYTES, ttlMs: TTL_MS };
    const events = this.#liveEvents(topic);
    const dialing = { tcp, clock, random };
    this.#dialReplay =
      replay &&
      (() => new ZmtpDialer(replay, { ...settings, type: "DEALER", topics: [] }, dialing, this.#replayEvents()));
    this.#replay = this.#dialReplay?.();
    this.#live = live.isBound
      ? bound.subscribe(live, topic, events)
      : new ZmtpDialer(live, { ...settings, type: "SUB", topics: [topic] }, dialing, events);
  }

  /** Sends the question for all batches from `sequence` on; false where there is no connection for it. */
  ask(sequence: number): boolean {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(sequence));
    return this.#replay?.send([Buffer.alloc(0), bytes]) ?? false;
  }

  /** Ends the connection to the replay, and makes a new one. */
  hangUpReplay(): void {
    this.#replay?.[Symbol.dispose]();
    this.#isReplayUp = false;
    this.#replay = this.#dialReplay?.();
    this.#replay?.setPaused(this.#isPaused);
  }

  /** Stops and goes on reading. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#live.setPaused(isPaused);
    this.#replay?.setPaused(isPaused);
  }

  [Symbol.dispose](): void {
    this.#cancelWait();
    this.#live[Symbol.dispose]();
    this.#replay?.[Symbol.dispose]();
  }

  #liveEvents(topic: string): SubscriberEvents {
    const wanted = Buffer.from(topic, "utf8");
    return {
      onUp: () => this.#inTurn(0, () => this.#onLiveUp()),
      onDown: (reason) =>
        this.#inTurn(0, () => {
          this.#cancelWait();
          this.#isLiveUp = false;
          this.#feed.down(reason);
        }),
      onRival: () =>
        this.#inTurn(0, () => this.#feed.malformed("two engines publish at its address with the same topic")),
      onMessage: (frames) => {
        const [name, sequence, payload] = frames;
        // What others publish at the same address is none of ours.
        if (!name?.subarray(0, wanted.length).equals(wanted)) return;
        if (frames.length !== 3 || sequence?.length !== 8 || !payload) {
          this.#inTurn(0, () =>
            this.#feed.malformed(`a message of ${frames.length} frames is not topic, number and batch`),
          );
          return;
        }
        const number = Number(sequence.readBigUInt64BE());
        if (Number.isSafeInteger(number)) this.#inTurn(payload.length, () => this.#feed.live(number, payload));
        else this.#inTurn(0, () => this.#feed.malformed(`it has given a batch the number ${number}`));
      },
    };
  }

  #replayEvents(): LinkEvents {
    return {
      onUp: () => this.#inTurn(0, () => this.#onReplayUp()),
      onDown: (reason) =>
        this.#inTurn(0, () => {
          this.#isReplayUp = false;
          this.#feed.replayDown(reason);
        }),
      onMessage: (frames) => {
        // An empty frame, the topic in newer engines, the number, the batch.
        const [sequence, payload] = frames.slice(-2);
        if (frames.length < 3 || sequence?.length !== 8 || !payload) return;
        const number = sequence.readBigUInt64BE();
        if (number === END) this.#inTurn(0, () => this.#feed.replayEnded());
        else if (number <= Number.MAX_SAFE_INTEGER)
          this.#inTurn(payload.length, () => this.#feed.replayed(Number(number), payload));
      },
    };
  }

  /** The feed can ask for what came before only when the replay is there as well; it gets a moment to come. */
  #onLiveUp(): void {
    this.#isLiveUp = true;
    this.#cancelWait();
    if (!this.#replay || this.#isReplayUp) this.#feed.up();
    else this.#cancelWait = this.#parts.clock.after(REPLAY_WAIT_MS, () => this.#feed.up());
  }

  #onReplayUp(): void {
    this.#isReplayUp = true;
    const isWaiting = this.#isLiveUp && this.#feed.state === "connecting";
    this.#cancelWait();
    if (isWaiting) this.#feed.up();
    else this.#feed.replayUp();
  }

  #inTurn(bytes: number, run: () => void): void {
    this.#parts.pump.add(bytes, run);
  }
}
