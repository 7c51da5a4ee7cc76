import type { PieceTaker, UpstreamResponse } from "../transport/upstream.ts";
import type { AnswerChange } from "./answer-change.ts";

/** The account of a stream whose events the gateway wrote itself, so that the relay need not read them. */
export interface StreamAccount {
  /** Number of events with data that have been read, without the end marker. */
  readonly events: number;
  /** The end marker has been read. */
  readonly isEnded: boolean;
  readonly usage:
    | {
        readonly promptTokens: number | undefined;
        readonly completionTokens: number | undefined;
        readonly cachedTokens: number | undefined;
      }
    | undefined;
}

/** The answer of one try's workers, as the relay reads it. A transport's answer fits it without additions. */
export interface WorkerResponse extends UpstreamResponse {
  /** If present, each `read` returns whole events of the client's API. */
  readonly account?: StreamAccount | undefined;
  /**
   * Changes to the events of a stream, in order. The relay applies them to each event after it has cut the event out of the stream,
   * so that no event is searched for twice. `bytes` has already applied them.
   */
  readonly changes?: readonly AnswerChange[];
  /** Called when the relay has the first event of the answer. From then on the request is not sent again. */
  begun?(): void;
}

const NO_CHANGES: readonly AnswerChange[] = [];

/**
 * A stage between a worker's answer and the relay. It passes everything on, including the fast path (`follow`) and the account of
 * a stream that the gateway wrote. A stage overrides only the methods that it changes. No stage cuts a stream into events.
 */
export abstract class ResponseStage implements WorkerResponse {
  readonly changes: readonly AnswerChange[];
  protected readonly inner: WorkerResponse;

  /** Adds a change, if one is given. */
  constructor(inner: WorkerResponse, change?: AnswerChange) {
    const { changes = NO_CHANGES } = inner;
    this.inner = inner;
    this.changes = change ? [...changes, change] : changes;
  }

  get status(): number {
    return this.inner.status;
  }

  get headers(): UpstreamResponse["headers"] {
    return this.inner.headers;
  }

  get account(): StreamAccount | undefined {
    return this.inner.account;
  }

  read(): ReturnType<UpstreamResponse["read"]> {
    return this.inner.read();
  }

  follow(taker: PieceTaker): Promise<void> | undefined {
    return this.inner.follow?.(taker);
  }

  begun(): void {
    this.inner.begun?.();
  }

  bytes(maxBytes: number): ReturnType<UpstreamResponse["bytes"]> {
    return this.inner.bytes(maxBytes);
  }

  discard(): void {
    this.inner.discard();
  }
}
