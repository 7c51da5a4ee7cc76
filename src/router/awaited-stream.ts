import { asGatewayError, GatewayError, whyLeft } from "../errors/errors.ts";
import { isReplyStream, type Reply, type ReplySink, type ReplyStream } from "../transport/downstream.ts";
import { errorEvent } from "./error-event.ts";
import { responseHeaders } from "./relay.ts";
import type { InferenceRequest } from "./router.ts";
import type { StreamRelayDeps } from "./stream-relay.ts";
import type { WatchedStream } from "./stream-watch.ts";

export interface AwaitedStreamDeps extends Pick<StreamRelayDeps, "watch" | "clock" | "keepAliveMs"> {
  readonly onDefect: (error: GatewayError, requestId: string) => void;
}

/**
 * A stream whose client waits: in a line, for a worker, or for the first token. Until the head is sent, an error can be an HTTP
 * status. So the head waits too, but not for ever, because proxies close a connection without bytes.
 *
 * ```
 *   waiting -- the stream begins, or an error -------------------> it is the client's answer
 *      |
 *      | silence for `keepAliveMs`
 *      v
 *   head and comments -- the stream begins ----------------------> passes after them
 *      |
 *      +-- an error, when no further attempt is possible -------> error event, as in a stream that was cut
 * ```
 *
 * In both cases the client has no byte of an answer, so the second attempt is still possible.
 */
export class AwaitedStream implements WatchedStream, ReplyStream {
  readonly #deps: AwaitedStreamDeps;
  readonly #request: InferenceRequest;
  readonly #answer = Promise.withResolvers<Reply>();
  /** The stream that follows the early head; undefined until the head is sent. */
  #late: PromiseWithResolvers<Reply> | undefined;
  #sink: ReplySink | undefined;
  /** When the client last got a byte, or began to wait; on the clock of the deps. */
  #heardAt: number;

  private constructor(deps: AwaitedStreamDeps, request: InferenceRequest) {
    this.#deps = deps;
    this.#request = request;
    this.#heardAt = request.record.startedAt;
  }

  /** The client's answer: the result of `begun`, or an early head with comments, after which the result of `begun` passes. */
  static of(deps: AwaitedStreamDeps, request: InferenceRequest, begun: Promise<Reply>): Promise<Reply> {
    if (deps.keepAliveMs === Number.POSITIVE_INFINITY) return begun;
    const awaited = new AwaitedStream(deps, request);
    deps.watch.add(awaited);
    begun.then(
      (reply) => awaited.#over().resolve(reply),
      (error: unknown) => awaited.#over().reject(error),
    );
    return awaited.#answer.promise;
  }

  tick(now: number): void {
    if (now - this.#heardAt < this.#deps.keepAliveMs) return;
    this.#heardAt = now;
    if (this.#late) this.#keepAlive();
    else {
      this.#late = Promise.withResolvers<Reply>();
      // It may fail before `run` is called; `run` then throws the error.
      this.#late.promise.catch(() => undefined);
      this.#answer.resolve({ status: 200, headers: responseHeaders(this.#request, "text/event-stream"), body: this });
    }
  }

  async run(sink: ReplySink): Promise<void> {
    const late = this.#late;
    if (!late) throw new GatewayError("internal_error", "a head without a stream behind it");
    this.#sink = sink;
    this.#keepAlive();
    let stream: ReplyStream;
    try {
      const { body } = await late.promise;
      if (!isReplyStream(body)) throw new GatewayError("internal_error", "a stream was answered by something else");
      stream = body;
    } catch (thrown) {
      this.#fail(thrown, sink);
      return;
    } finally {
      this.#sink = undefined;
    }
    await stream.run(sink);
  }

  /** Ends the waiting. Returns the promise of the early head. */
  #over(): PromiseWithResolvers<Reply> {
    this.#deps.watch.delete(this);
    return this.#late ?? this.#answer;
  }

  #keepAlive(): void {
    void this.#sink?.write(Buffer.from(this.#request.endpoint.dialect.keepAliveEvent));
  }

  #fail(thrown: unknown, sink: ReplySink): void {
    const { record, signal, endpoint, body } = this.#request;
    const error = signal.aborted ? whyLeft(signal.reason) : asGatewayError(thrown);
    if (error.code === "internal_error") this.#deps.onDefect(error, record.requestId);
    if (error.code === "client_closed") record.settle(error.status, error.code);
    else {
      void sink.write(Buffer.from(errorEvent(this.#request, error, endpoint.dialect.createStreamReader(body))));
      record.settle(200, error.code);
    }
  }
}
