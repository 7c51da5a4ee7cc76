import { HeldEvents } from "./held-events.ts";
import { asGatewayError, GatewayError, whyLeft } from "../errors/errors.ts";
import type { PieceHearer } from "../policy/policy.ts";
import type { StreamReader } from "../protocol/stream-reader.ts";
import type { Reply, ReplySink, ReplyStream } from "../transport/downstream.ts";
import type { SseFramer } from "../transport/sse-framer.ts";
import type { PieceTaker } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import { errorEvent } from "./error-event.ts";
import type { StreamAccount } from "./response-stage.ts";
import type { InferenceRequest } from "./router.ts";
import type { StreamContinuation } from "./stream-continuation.ts";
import { StreamEvents, whyCut } from "./stream-events.ts";
import { finishUpstream, type StreamSource } from "./stream-source.ts";
import type { StreamWatch, WatchedStream } from "./stream-watch.ts";

/** Largest stream. A million tokens of chat are 200 MB. */
const MAX_STREAM_BYTES = 1024 * 1024 * 1024;
const NO_BYTES = new Uint8Array(0);

export interface StreamRelayDeps {
  readonly watch: StreamWatch;
  readonly clock: Clock;
  /** Silence towards the client after which it gets a comment or a ping, ms; Infinity for never. */
  readonly keepAliveMs: number;
  /** How long a client may read nothing while data waits for it, ms. */
  readonly clientStallMs: number;
}

/**
 * Passes a worker's stream on to the client, as whole events:
 *
 * ```
 *   begin -- first event --> passing -- end marker --------------------------> over
 *     |                       |  ^  |
 *     | nothing came          |  |  +-- worker lost, can be continued --------> asks another worker, and passes
 *     v                       |  +------------------------------------------------------+
 *   error (HTTP status)       +-- worker lost, engine's error, client left -> over (with an error event)
 * ```
 */
export class StreamRelay implements WatchedStream, ReplyStream, PieceTaker {
  readonly #deps: StreamRelayDeps;
  readonly #request: InferenceRequest;
  readonly #reader: StreamReader;
  readonly #continuation: StreamContinuation | undefined;
  #source: StreamSource;
  /** Reads this worker's stream, and its framer; undefined where the gateway wrote the stream, which needs no reading. */
  #events: StreamEvents | undefined;
  #framer: SseFramer | undefined;
  /** The account of this worker's stream: the stream's own, or the reader's. */
  #account: StreamAccount;
  /** Why a piece could not be passed on. */
  #failure: GatewayError | undefined;
  /** Number of events with data that earlier workers sent. */
  #eventsBefore = 0;
  #hearer: PieceHearer | undefined;
  #chargedAt = 0;
  #bytes = 0;
  #first: Uint8Array | undefined;
  #sink: ReplySink | undefined;
  /** Resolves when the client has room for more after the last write. */
  #pressure: Promise<void> | undefined;
  /** Whether something was written since the last tick, and the time of the tick that saw the last write. */
  #isFresh = false;
  #lastWriteAt = 0;
  /** Since when the client reads nothing; undefined while it reads. */
  #stalledSince: number | undefined;

  constructor(
    deps: StreamRelayDeps,
    request: InferenceRequest,
    source: StreamSource,
    continuation: StreamContinuation | undefined,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#source = source;
    this.#continuation = continuation;
    this.#reader = request.endpoint.dialect.createStreamReader(request.body);
    const { account, changes } = source.upstream;
    const isRead = continuation !== undefined || changes?.length || this.#reader.errorEvent !== undefined;
    if (account && !isRead) this.#account = account;
    else this.#account = this.#cut(source);
  }

  /**
   * Resolves to the client's answer once the first event is there; later errors are events in the stream. Throws the errors that
   * become a status or a retry.
   */
  async begin(headers: Record<string, string>): Promise<Reply> {
    this.#first = await this.#readFirst();
    const { record } = this.#request;
    record.ttftMs = record.elapsedMs;
    this.#began();
    return { status: this.#source.upstream.status, headers, body: this };
  }

  /** Reads up to the first event that is a part of the answer. What comes before it is held. */
  async #readFirst(): Promise<Uint8Array> {
    const held = new HeldEvents();
    for (;;) {
      const { announced = 0 } = this.#reader;
      const events = await this.#read();
      if (!events) throw new GatewayError("upstream_truncated", "the worker's stream ended before its first event");
      if (this.#account.events === 0 && this.#whyOver) throw this.#whyOver;
      if (this.#account.events > 0 || this.#account.isEnded) return held.with(events);
      const isAnnouncement = (this.#reader.announced ?? 0) > announced;
      if (held.hold(events, isAnnouncement)) return held.with(NO_BYTES);
    }
  }

  tick(now: number): void {
    if (this.#isFresh) {
      this.#isFresh = false;
      this.#lastWriteAt = now;
    }
    if (this.#stalledSince !== undefined) {
      // A request whose time is over does not wait for its client.
      const isOver = this.#request.signal.aborted || now - this.#stalledSince >= this.#deps.clientStallMs;
      if (isOver) this.#sink?.breakOff();
    } else if (now - this.#lastWriteAt >= this.#deps.keepAliveMs) {
      this.#lastWriteAt = now;
      void this.#sink?.write(Buffer.from(this.#request.endpoint.dialect.keepAliveEvent));
    }
  }

  /** Passes events on until the stream ends one way or another, then settles everything. */
  async run(sink: ReplySink): Promise<void> {
    const { watch, clock } = this.#deps;
    this.#sink = sink;
    this.#lastWriteAt = clock.now();
    watch.add(this);
    let failure: GatewayError | undefined;
    try {
      let events = this.#first;
      this.#first = undefined;
      while (events) {
        await this.#write(sink, events);
        // Nearly all of a stream passes here.
        while (await this.#follow());
        try {
          events = await this.#read();
        } catch (thrown) {
          events = await this.#resume(asGatewayError(thrown));
        }
      }
      const { record, endpoint } = this.#request;
      record.lastEventMs = record.elapsedMs;
      const { closingEvent } = endpoint.dialect;
      if (closingEvent !== undefined) await this.#write(sink, closingEvent);
    } catch (thrown) {
      const { signal } = this.#request;
      failure = signal.aborted ? whyLeft(signal.reason) : asGatewayError(thrown);
      if (failure.code !== "client_closed") await this.#write(sink, errorEvent(this.#request, failure, this.#reader));
    } finally {
      watch.delete(this);
      this.#sink = undefined;
      this.#settle(failure);
    }
    void finishUpstream(this.#source, this.#events?.rest ?? NO_BYTES, this.#request.endpoint.dialect);
  }

  /** After the loss of the worker: the first events of another worker that continues. Throws where none does. */
  async #resume(lost: GatewayError): Promise<Uint8Array | undefined> {
    const resumed = this.#request.signal.aborted ? undefined : await this.#continuation?.resume(lost, this.#source);
    if (!resumed) throw lost;
    this.#eventsBefore += this.#account.events;
    this.#failure = undefined;
    this.#source = resumed;
    this.#account = this.#cut(resumed);
    try {
      const events = await this.#read();
      this.#began();
      return events;
    } catch (thrown) {
      return this.#resume(asGatewayError(thrown));
    }
  }

  /** This worker's first event of the answer is there. */
  #began(): void {
    const { upstream, attempt } = this.#source;
    attempt.prefillDone();
    ({ hearer: this.#hearer, chargedAt: this.#chargedAt } = attempt);
    upstream.begun?.();
  }

  /** Passes events on as they arrive, on the fast path. Returns true if it can be called again. */
  async #follow(): Promise<boolean> {
    const { upstream } = this.#source;
    if (this.#whyOver || this.#account.isEnded) return false;
    const following = upstream.follow?.(this);
    if (!following) return false;
    await following;
    const pressure = this.#pressure;
    if (!pressure) return false;
    this.#pressure = undefined;
    await this.#underPressure(pressure);
    return true;
  }

  /** Takes a piece on the fast path. Returns false if the slow path must continue. */
  take(bytes: Uint8Array, from: number, to: number, at = this.#hearer && this.#deps.clock.now()): boolean {
    if (at !== undefined) this.#hearer?.onPiece(at - this.#chargedAt);
    if (this.#bytes < MAX_STREAM_BYTES && (!this.#framer || this.#framer.passes(bytes, from, to))) {
      this.#isFresh = true;
      this.#bytes += to - from;
      this.#pressure = this.#sink?.write(bytes, from, to);
      return this.#pressure === undefined;
    }
    try {
      const events = this.#push(bytes.subarray(from, to));
      if (events.length > 0) {
        this.#isFresh = true;
        this.#pressure = this.#sink?.write(events);
      }
    } catch (thrown) {
      this.#failure = asGatewayError(thrown);
    }
    return !this.#pressure && !this.#whyOver && !this.#account.isEnded;
  }

  /** Why nothing more of this worker passes, although its stream has not ended. */
  get #whyOver(): GatewayError | undefined {
    return this.#failure ?? this.#events?.failure;
  }

  /** The next whole events of this worker, undefined at the end. Throws what ended the stream before its end marker. */
  async #read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const whyOver = this.#whyOver;
      if (whyOver) throw whyOver;
      if (this.#account.isEnded) return undefined;
      const next = this.#source.upstream.read();
      const chunk = next instanceof Promise ? await next : next;
      if (!chunk) return this.#endWithoutMarker();
      const events = this.#push(chunk);
      if (events.length > 0) return events;
    }
  }

  #push(chunk: Uint8Array): Uint8Array {
    const events = this.#events ? this.#events.push(chunk) : chunk;
    this.#bytes += events.length;
    if (this.#bytes <= MAX_STREAM_BYTES) return events;
    throw new GatewayError("upstream_event_too_large", "the worker's stream is larger than it may be");
  }

  /** Handles a stream without an end marker: an answer with a finish reason is complete, another one was cut. */
  #endWithoutMarker(): Uint8Array {
    const { endpoint, body } = this.#request;
    const { endEvent } = endpoint.dialect;
    if (endEvent === undefined || !this.#reader.hasFinished(endpoint.sequences(body))) {
      throw whyCut(this.#events);
    }
    this.#events?.end();
    this.#request.record.isEndMarkerAdded = true;
    return Buffer.from(endEvent);
  }

  /** Cuts this source's stream into events from now on. */
  #cut({ upstream, attempt }: StreamSource): StreamEvents {
    const events = new StreamEvents({
      reader: this.#reader,
      eventNames: this.#request.endpoint.dialect.eventNames,
      origin: attempt.worker.spec.url,
      changes: upstream.changes,
      continuation: this.#continuation,
    });
    this.#events = events;
    this.#framer = events.framer;
    return events;
  }

  async #write(sink: ReplySink, bytes: Uint8Array | string): Promise<void> {
    this.#isFresh = true;
    const pressure = sink.write(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    if (pressure) await this.#underPressure(pressure);
  }

  async #underPressure(pressure: Promise<void>): Promise<void> {
    this.#stalledSince = this.#deps.clock.now();
    await pressure;
    this.#stalledSince = undefined;
  }

  #settle(failure: GatewayError | undefined): void {
    const { record } = this.#request;
    const { upstream, attempt } = this.#source;
    record.events = this.#eventsBefore + this.#account.events;
    record.tokens = this.#account.usage;
    attempt.end(failure);
    record.settle(failure?.code === "client_closed" ? failure.status : upstream.status, failure?.code);
  }
}
