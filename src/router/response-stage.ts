import type { PieceTaker, UpstreamResponse } from "../transport/upstream.ts";
import type { AnswerChange } from "./answer-change.ts";

/** What a stream says of itself whose events are written here, and not by a worker: nobody has to read them. */
export interface StreamAccount {
  /** Events with data that have been read, the end marker left out. */
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

/** The answer of the workers of one try, as the relay reads it. A transport's answer is one to which nothing was added. */
export interface WorkerResponse extends UpstreamResponse {
  /** Where it is there, each `read` gives whole events of the client's API. */
  readonly account?: StreamAccount | undefined;
  /**
   * What changes the events of a stream, in this order. The relay applies them to each event when it has cut the event out
   * of the stream, so that no event is looked for twice. `bytes` has applied them already.
   */
  readonly changes?: readonly AnswerChange[];
  /** The relay has the first event of the answer, and the request is not sent again from now on. */
  begun?(): void;
}

const NO_CHANGES: readonly AnswerChange[] = [];

/**
 * Stands between a worker's answer and the relay. It passes everything on, the fast way (`follow`) and the account of a
 * stream that was written here included; a stage overrides what it has a part in. No stage cuts a stream into events.
 */
export abstract class ResponseStage implements WorkerResponse {
  readonly changes: readonly AnswerChange[];
  protected readonly inner: WorkerResponse;

  /** With one more change to make, if any. */
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
