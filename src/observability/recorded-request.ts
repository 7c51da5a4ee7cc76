import type { RequestRecord } from "./request-record.ts";

/** What a recording keeps of a request: lengths, times and what is equal to what. No text of the client is in it. */
export interface RecordedRequest {
  /** When the request came, ms since 1970. */
  readonly at: number;
  /** From then until its answer was over, ms. */
  readonly durationMs: number;
  /** The model, if a worker lists it; otherwise `other`, because a client may write anything there. */
  readonly model: string;
  readonly isStream: boolean;
  readonly inputTokens: number;
  /** Undefined where the worker did not report it and the answer was no stream. */
  readonly outputTokens: number | undefined;
  readonly promptBytes: number;
  /** For each block of the prompt a hash of everything up to the block's end. */
  readonly hashes: Int32Array;
  /** A hash of the routing key; undefined without one. */
  readonly sessionHash: number | undefined;
}

/** Gets the requests of a recording. */
export interface TrafficSink {
  record(request: RecordedRequest): void;
}

/** The parts of an inference request that a recording reads. `features` computes them once, for policies too. */
export interface RecordableRequest {
  readonly record: Pick<
    RequestRecord,
    | "onSettled"
    | "elapsedMs"
    | "model"
    | "isModelListed"
    | "isStream"
    | "tokens"
    | "events"
    | "workerUrl"
    | "status"
    | "errorCode"
  >;
  readonly features: {
    readonly promptTokens: number;
    promptBlocks(): { readonly hashes: Int32Array; readonly bytes: number };
    routingKey(): string | undefined;
  };
}

/** Bytes of a prompt that are taken for a token where nobody has counted. */
const USUAL_BYTES_PER_TOKEN = 4;

/**
 * Gives the request to the sink when it is over, if a worker has answered it, were it only a part before its client left. `wallNow` is in ms since 1970 and runs alike on all
 * threads.
 */
export function recordTraffic(sink: TrafficSink, { record, features }: RecordableRequest, wallNow: () => number): void {
  // Read at once: the end of a stream must not hold the body.
  const { hashes, bytes } = features.promptBlocks();
  // What the body has beside the prompt is no part of it.
  const promptTokens =
    bytes === 0 ? features.promptTokens : Math.min(features.promptTokens, Math.ceil(bytes / USUAL_BYTES_PER_TOKEN));
  const key = features.routingKey();
  const sessionHash = key === undefined ? undefined : Number(Bun.hash.wyhash(key) >> 11n);
  record.onSettled(() => {
    const { tokens, isStream, events, workerUrl, status, errorCode } = record;
    const isCutByClient = errorCode === "client_closed" && events > 0;
    if (workerUrl === undefined || (status >= 400 && !isCutByClient)) return;
    const durationMs = record.elapsedMs;
    sink.record({
      at: wallNow() - durationMs,
      durationMs,
      model: record.isModelListed ? (record.model ?? "other") : "other",
      isStream,
      inputTokens: tokens?.promptTokens ?? promptTokens,
      outputTokens: tokens?.completionTokens ?? (isStream ? events : undefined),
      promptBytes: bytes,
      hashes,
      sessionHash,
    });
  });
}

/** The clock of recordings: ms since 1970, alike on all threads, and without the jumps of the wall clock. */
export function wallNow(): number {
  return performance.timeOrigin + performance.now();
}
