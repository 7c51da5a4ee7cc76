import type { Clock } from "../../util/clock.ts";
import type { Logger } from "../logger.ts";
import { exportBody } from "./otlp-json.ts";
import type { Attributes, Span } from "./span.ts";

/** Where spans go, and who sends them. */
export interface ExportSettings {
  /** `http(s)://HOST:PORT/v1/traces`. */
  readonly url: string;
  /** Further headers, such as a key of the collector's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly resource: Attributes;
  readonly version: string;
}

export interface SpanExporterParts {
  readonly settings: ExportSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with spans that were sent, or that nobody will get. */
  readonly onCount: (outcome: "sent" | "dropped", spans: number) => void;
  readonly send?: (url: string, init: RequestInit & { readonly body: string }) => Promise<Response>;
}

/** Spans of one export, and time after which fewer are sent, ms (the defaults of OpenTelemetry's batch processor, a second instead of five). */
const BATCH = 512;
const GATHER_MS = 1000;
/** Most spans that wait; further ones are dropped. */
const MOST_WAITING = 8192;
/** Time for the collector to answer, ms. */
const SEND_MS = 10_000;
/** Time for the last spans when the gateway ends, ms. */
const LAST_MS = 2000;
/** Answers that mean "try again" (OTLP, "Retryable Response Codes"), tries, and the wait before the second one, ms. */
const RETRYABLE = new Set([429, 502, 503, 504]);
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
    const room = this.#isOver ? 0 : MOST_WAITING - this.#waiting.length;
    if (spans.length > room) {
      this.#parts.onCount("dropped", spans.length);
      return;
    }
    this.#waiting.push(...spans);
    if (this.#waiting.length >= BATCH) this.#start();
    else this.#cancelTimer ??= this.#parts.clock.after(GATHER_MS, () => this.#start());
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
        this.#cancelTimer ??= this.#parts.clock.after(GATHER_MS, () => this.#start());
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      const failure = await this.#send(batch);
      this.#parts.onCount(failure === undefined ? "sent" : "dropped", batch.length);
      this.#tell(failure);
      // A collector that is away is not asked for the next batch at once.
      if (failure !== undefined) return;
    }
  }

  /** Returns why the batch was not taken. */
  async #send(batch: readonly Span[]): Promise<string | undefined> {
    const { settings, clock, send = fetch } = this.#parts;
    const body = exportBody(batch, settings.resource, settings.version);
    let failure = "";
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      try {
        const headers = { "content-type": "application/json", ...settings.headers };
        const reply = await send(settings.url, { method: "POST", headers, body, signal: AbortSignal.timeout(SEND_MS) });
        await reply.arrayBuffer();
        if (reply.ok) return undefined;
        failure = `the collector answered ${reply.status}`;
        if (!RETRYABLE.has(reply.status)) return failure;
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error);
      }
      if (this.#isOver || attempt === TRIES) break;
      await new Promise<void>((resolve) => void clock.after(WAIT_MS * attempt, resolve));
    }
    return failure;
  }

  /** Tells each change between working and failing once. */
  #tell(failure: string | undefined): void {
    const { logger, settings } = this.#parts;
    const isFailing = failure !== undefined;
    if (isFailing === this.#isFailing) return;
    this.#isFailing = isFailing;
    if (isFailing) logger.warn({ url: settings.url, reason: failure }, "traces are not taken; spans are dropped");
    else logger.info({ url: settings.url }, "traces are taken again");
  }
}
