import type { Clock } from "../../util/clock.ts";
import type { Logger } from "../logger.ts";
import type { Deliver } from "./otlp-http.ts";
import type { Span } from "./span.ts";

export interface SpanExporterParts {
  /** The collector's address, for the log. */
  readonly url: string;
  readonly deliver: Deliver;
  readonly batching: Batching;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with spans that were sent, or that nobody will get. */
  readonly onCount: (outcome: "sent" | "dropped", spans: number) => void;
}

/** How spans are gathered for exports. */
export interface Batching {
  /** Time after which a batch that is not full is sent, ms. */
  readonly gatherMs: number;
  /** Most spans of one export. */
  readonly maxBatch: number;
  /** Most spans that wait; further ones are dropped. */
  readonly maxWaiting: number;
  /** Longest time for a batch from its first try to the end of its last, ms. */
  readonly exportMs: number;
}

/** OpenTelemetry's batch processor has the same batch and longest time, five seconds, and 2,048 spans that wait: a busy gateway has more of them. */
export const BATCHING: Batching = { gatherMs: 1000, maxBatch: 512, maxWaiting: 8192, exportMs: 30_000 };
/** Time for the last spans when the gateway ends, ms. */
const LAST_MS = 2000;
/** Tries of a batch that the collector may take later, and the wait before the second one, ms. */
const TRIES = 3;
const WAIT_MS = 1000;

/** Sends spans to a collector, in batches, off the way of requests. What it holds is bounded: a collector that is away costs spans, and nothing else. */
export class SpanExporter {
  readonly #parts: SpanExporterParts;
  #waiting: Span[] = [];
  #cancelTimer: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #isFailing = false;
  #isOver = false;

  constructor(parts: SpanExporterParts) {
    this.#parts = parts;
  }

  add(spans: readonly Span[]): void {
    const { maxBatch, gatherMs } = this.#parts.batching;
    const room = this.#isOver ? 0 : this.#parts.batching.maxWaiting - this.#waiting.length;
    if (spans.length > room) {
      this.#parts.onCount("dropped", spans.length);
      return;
    }
    this.#waiting.push(...spans);
    if (this.#waiting.length >= maxBatch) this.#start();
    else this.#cancelTimer ??= this.#parts.clock.after(gatherMs, () => this.#start());
  }

  /** Sends what waits, for two seconds at most. Spans that come later are dropped. */
  async close(): Promise<void> {
    this.#start();
    this.#isOver = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(LAST_MS, resolve);
    await Promise.race([this.#sending, promise]);
    cancel();
    if (this.#waiting.length > 0) this.#parts.onCount("dropped", this.#waiting.length);
    this.#waiting = [];
  }

  #start(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
      if (this.#waiting.length > 0 && !this.#isOver)
        this.#cancelTimer ??= this.#parts.clock.after(this.#parts.batching.gatherMs, () => this.#start());
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#parts.batching.maxBatch);
      const failure = await this.#send(batch);
      this.#parts.onCount(failure === undefined ? "sent" : "dropped", batch.length);
      this.#tell(failure);
      // A collector that is away is not asked for the next batch at once.
      if (failure !== undefined) return;
    }
  }

  /** Returns why the batch was not taken. */
  async #send(batch: readonly Span[]): Promise<string | undefined> {
    const { clock, deliver, batching } = this.#parts;
    const endsAt = clock.now() + batching.exportMs;
    for (let attempt = 1; ; attempt += 1) {
      const refusal = await deliver(batch, endsAt - clock.now());
      if (!refusal?.mayRepeat || this.#isOver || attempt === TRIES) return refusal?.reason;
      const waitMs = WAIT_MS * attempt;
      if (clock.now() + waitMs >= endsAt) return refusal.reason;
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
    }
  }

  /** Tells each change between working and failing once. */
  #tell(failure: string | undefined): void {
    const { logger, url } = this.#parts;
    const isFailing = failure !== undefined;
    if (isFailing === this.#isFailing) return;
    this.#isFailing = isFailing;
    if (isFailing) logger.warn({ url, reason: failure }, "traces are not taken; spans are dropped");
    else logger.info({ url }, "traces are taken again");
  }
}
