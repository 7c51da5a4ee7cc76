import { asGatewayError, clientClosed, GatewayError } from "../errors/errors.ts";
import { errorFacts } from "../protocol/error-facts.ts";
import type { StreamReader } from "../protocol/stream-reader.ts";
import { SseFramer, type Verdict } from "../transport/sse-framer.ts";
import type { StreamAccount, UpstreamResponse } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import type { Attempt } from "./attempt.ts";
import type { InferenceRequest } from "./router.ts";
import type { StreamContinuation } from "./stream-continuation.ts";
import type { StreamWatch, WatchedStream } from "./stream-watch.ts";
import { engineError } from "./worker-error.ts";

/** Largest stream. A million tokens of chat are 200 MB. */
const MAX_STREAM_BYTES = 1024 * 1024 * 1024;

export interface StreamRelayDeps {
  readonly watch: StreamWatch;
  readonly clock: Clock;
  /** Silence towards the client after which it gets a comment or a ping, ms; Infinity for never. */
  readonly keepAliveMs: number;
  /** How long a client may take nothing while there is something for it, ms. */
  readonly clientStallMs: number;
}

/** A worker that streams, and the attempt that it is counted as. */
export interface StreamSource {
  readonly upstream: UpstreamResponse;
  readonly attempt: Attempt;
}

/**
 * Passes a worker's stream on to the client, as whole events:
 *
 * ```
 *   begin -- first event --> passing -- end marker ------------------------------> over
 *     |                       |  ^  |
 *     | nothing came          |  |  +-- worker lost, and the stream can go on ---> asks another worker, and passes
 *     v                       |  +------------------------------------------------------+
 *   error (HTTP status)       +-- worker lost, error told, client left ----------> over (with an error event)
 * ```
 */
export class StreamRelay implements WatchedStream {
  readonly #deps: StreamRelayDeps;
  readonly #request: InferenceRequest;
  readonly #reader: StreamReader;
  readonly #continuation: StreamContinuation | undefined;
  #source: StreamSource;
  #framer: SseFramer;
  /** What was told within the stream, or why an event cannot be passed. */
  #failure: GatewayError | undefined;
  /** Of a stream that has not to be read on its way; undefined where somebody wants to know what its events say. */
  readonly #account: StreamAccount | undefined;
  /** Events with data that the workers before this one sent. */
  #eventsBefore = 0;
  #bytes = 0;
  #isPumping = false;
  #controller: ReadableStreamDirectController | undefined;
  #lastWriteAt = 0;
  /** Since when the client takes nothing; undefined while it does. */
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
    this.#reader = request.endpoint.dialect.createStreamReader();
    this.#framer = this.#newFramer();
    const isRead = continuation !== undefined || this.#reader.errorEvent !== undefined;
    this.#account = isRead ? undefined : source.upstream.account;
  }

  /**
   * The client's answer, once the first event is there; from then on errors are told in the stream. Throws what makes
   * it an error or a retry.
   */
  async begin(headers: Record<string, string>): Promise<Response> {
    const first = await this.#read();
    if (!first) throw new GatewayError("upstream_truncated", "the worker's stream ended before its first event");
    const { record } = this.#request;
    record.ttftMs = performance.now() - record.startedAt;
    this.#source.attempt.prefillDone();
    const stream: Bun.DirectUnderlyingSource<Uint8Array> = {
      type: "direct",
      pull: (controller) => {
        this.#isPumping = true;
        return this.#pump(controller, first);
      },
      // Called alone where the client left before the stream was begun, and after that besides the pump's own end.
      cancel: () => {
        if (this.#isPumping) return;
        this.#settle(clientClosed());
        this.#source.upstream.discard();
      },
    };
    return new Response(new ReadableStream(stream), { status: this.#source.upstream.status, headers });
  }

  tick(now: number): void {
    if (this.#stalledSince !== undefined) {
      if (now - this.#stalledSince >= this.#deps.clientStallMs) this.#controller?.close();
    } else if (now - this.#lastWriteAt >= this.#deps.keepAliveMs) {
      this.#lastWriteAt = now;
      void this.#controller?.write(this.#request.endpoint.dialect.keepAliveEvent);
      void this.#controller?.flush();
    }
  }

  /** Passes events on until the stream ends one way or another, then settles everything. */
  async #pump(controller: ReadableStreamDirectController, first: Uint8Array): Promise<void> {
    const { watch, clock } = this.#deps;
    this.#controller = controller;
    this.#lastWriteAt = clock.now();
    watch.add(this);
    let failure: GatewayError | undefined;
    try {
      let events: Uint8Array | undefined = first;
      while (events) {
        this.#lastWriteAt = clock.now();
        const written = controller.write(events);
        if (written instanceof Promise) await this.#underPressure(written);
        try {
          events = await this.#read();
        } catch (thrown) {
          events = await this.#resume(asGatewayError(thrown));
        }
      }
      const { record, endpoint } = this.#request;
      record.lastEventMs = performance.now() - record.startedAt;
      const { closingEvent } = endpoint.dialect;
      if (closingEvent !== undefined) await this.#write(controller, closingEvent);
    } catch (thrown) {
      failure = this.#request.signal.aborted ? clientClosed() : asGatewayError(thrown);
      if (failure.code !== "client_closed") await this.#write(controller, this.#errorEvent(failure));
    } finally {
      watch.delete(this);
      this.#settle(failure);
      controller.close();
      await this.#finishUpstream();
    }
  }

  /** The worker is lost: the next events of another one that goes on. Throws where none does. */
  async #resume(lost: GatewayError): Promise<Uint8Array | undefined> {
    const resumed = this.#request.signal.aborted ? undefined : await this.#continuation?.resume(lost, this.#source);
    if (!resumed) throw lost;
    this.#eventsBefore += this.#framer.events;
    this.#failure = undefined;
    this.#source = resumed;
    this.#framer = this.#newFramer();
    try {
      return await this.#read();
    } catch (thrown) {
      return this.#resume(asGatewayError(thrown));
    }
  }

  /** The next whole events of this worker, undefined at the end. Throws what ended the stream before its end marker. */
  async #read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      if (this.#account?.isEnded ?? this.#framer.isEnded) return undefined;
      const next = this.#source.upstream.read();
      const chunk = next instanceof Promise ? await next : next;
      if (!chunk) return this.#endWithoutMarker();
      const events = this.#push(chunk);
      if (events.length > 0) return events;
    }
  }

  #push(chunk: Uint8Array): Uint8Array {
    const events = this.#account ? chunk : this.#framer.push(chunk);
    this.#bytes += events.length;
    if (this.#bytes > MAX_STREAM_BYTES) {
      throw new GatewayError("upstream_event_too_large", "the worker's stream is larger than it may be");
    }
    return this.#continuation?.isContinuing === true ? this.#continuation.takeRewritten() : events;
  }

  /** An answer that said why it stopped is whole; another was cut. */
  #endWithoutMarker(): Uint8Array {
    const { endEvent } = this.#request.endpoint.dialect;
    if (endEvent === undefined || !this.#reader.isFinished) {
      throw new GatewayError("upstream_truncated", "the worker's stream ended before the answer was whole");
    }
    this.#framer.end();
    return Buffer.from(endEvent);
  }

  #newFramer(): SseFramer {
    return new SseFramer((name, data) => this.#onEvent(name, data));
  }

  #onEvent(name: string | undefined, data: string): Verdict {
    try {
      const meaning = this.#reader.onEvent(name, data);
      if (meaning.kind === "failure") {
        this.#failure = engineError(meaning.failure, this.#source.attempt.worker.url);
        return "stop";
      }
      this.#continuation?.onEvent(data);
      return meaning.kind === "end" ? "last" : "pass";
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#failure = new GatewayError("upstream_event_invalid", "an event of the worker's stream is not JSON", {
        cause: error,
      });
      return "stop";
    }
  }

  /** `write` gives a promise under pressure; not awaiting it would buffer without end. */
  async #write(controller: ReadableStreamDirectController, bytes: Uint8Array | string): Promise<void> {
    const written = controller.write(bytes);
    if (written instanceof Promise) await this.#underPressure(written);
  }

  async #underPressure(written: Promise<unknown>): Promise<void> {
    this.#stalledSince = this.#deps.clock.now();
    await written;
    this.#stalledSince = undefined;
  }

  #errorEvent(failure: GatewayError): string {
    const facts = errorFacts(failure, this.#request.record.requestId);
    return this.#reader.errorEvent?.(facts) ?? this.#request.endpoint.dialect.errorEvent(facts);
  }

  #settle(failure: GatewayError | undefined): void {
    const { record } = this.#request;
    const { upstream, attempt } = this.#source;
    record.events = this.#eventsBefore + (this.#account ?? this.#framer).events;
    record.tokens = this.#account?.usage ?? this.#continuation?.usage ?? this.#reader.usage;
    attempt.end(failure);
    record.settle(failure?.code === "client_closed" ? failure.status : upstream.status, failure?.code);
  }

  /** After the end marker only the end of the body may follow; it is read so that the connection can be used again. */
  async #finishUpstream(): Promise<void> {
    const { upstream } = this.#source;
    try {
      if (this.#framer.hasRest || (await upstream.read())) upstream.discard();
    } catch {
      // The client has its whole answer; a connection that ends badly is not used again, and that is all.
    }
  }
}
