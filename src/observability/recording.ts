import { roundMs } from "./access-line.ts";
import { BoundedFile, type WriteFailure } from "./bounded-file.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { RECORDING_FORMAT } from "../util/recording-format.ts";
import { unicodeEscape } from "../util/unicode-escape.ts";
import { Numbering } from "./numbering.ts";
import type { RecordedRequest, TrafficSink } from "./recorded-request.ts";

/** Most blocks whose numbers are known: of 512 tokens each on average, they are 500 million tokens, and about 60 MB of memory. */
const MAX_BLOCKS = 1_000_000;
const MAX_SESSIONS = 100_000;

export interface RecordingParts {
  readonly path: string;
  readonly maxBytes: number;
  /** Where each block of a prompt ends, bytes, ascending. */
  readonly blockEnds: readonly number[];
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, "increment">;
  /** ms since 1970. */
  readonly wallNow: () => number;
}

/**
 * Writes the traffic of all threads to a file, one JSON line for each request, for `pointsman simulate --trace`. The lines have the members
 * of Mooncake's traces, and more. Blocks and sessions are numbered in the order in which they first come, so that the file says what is
 * equal and nothing that a guessed text could be compared with.
 */
export class Recording implements TrafficSink, AsyncDisposable {
  readonly #parts: RecordingParts;
  readonly #file: BoundedFile;
  readonly #blocks = new Numbering(MAX_BLOCKS);
  readonly #sessions = new Numbering(MAX_SESSIONS);
  readonly #startedAt: number;
  #written = 0;
  #dropped = 0;
  #isFull = false;
  #isDropping = false;

  private constructor(parts: RecordingParts, file: BoundedFile) {
    this.#parts = parts;
    this.#file = file;
    this.#startedAt = parts.wallNow();
    const started = new Date(this.#startedAt).toISOString();
    file.write(`${JSON.stringify({ format: RECORDING_FORMAT, version: 1, started, block_ends: parts.blockEnds })}\n`);
    parts.logger.info({ file: file.path, max_bytes: parts.maxBytes }, "recording the traffic");
  }

  /** Throws the error of the file system. */
  static async open(parts: RecordingParts): Promise<Recording> {
    let recording: Recording | undefined;
    const file = await BoundedFile.create(parts.path, parts.maxBytes, (failure) => recording?.failed(failure));
    recording = new Recording(parts, file);
    return recording;
  }

  record(request: RecordedRequest): void {
    const fate = this.#isFull ? "full" : this.#file.write(this.#lineOf(request));
    this.#parts.metrics.increment("recordedRequests", { outcome: fate });
    if (fate === "kept") this.#written += 1;
    else this.#dropped += 1;
    this.#tell(fate === "full", fate === "dropped");
  }

  /** Counts requests that another thread could not pass on, or that the disk has not taken. */
  lost(requests: number): void {
    this.#dropped += requests;
    for (let request = 0; request < requests; request += 1) {
      this.#parts.metrics.increment("recordedRequests", { outcome: "dropped" });
    }
    this.#tell(false, true);
  }

  /** Hears that the file cannot be written any more. */
  private failed({ lines, error }: WriteFailure): void {
    const facts = { file: this.#file.path, cause: String(error) };
    this.#parts.logger.error(facts, "the recording cannot be written; further requests are not recorded");
    this.#isDropping = true;
    // They were counted when the file took them. The first line is no request.
    const requests = Math.min(lines, this.#written);
    this.#written -= requests;
    this.lost(requests);
  }

  /** Logs the first request of each kind that is not written. */
  #tell(isFull: boolean, isDropped: boolean): void {
    const { logger } = this.#parts;
    const facts = { file: this.#file.path, requests: this.#written, bytes: this.#file.bytes };
    if (isFull && !this.#isFull)
      logger.warn(facts, "the recording has its full size; further requests are not recorded");
    if (isDropped && !this.#isDropping)
      logger.warn(facts, "requests are missing in the recording: the disk is too slow or full");
    this.#isFull ||= isFull;
    this.#isDropping ||= isDropped;
  }

  #lineOf(request: RecordedRequest): string {
    const { at, durationMs, model, isStream, inputTokens, outputTokens, promptBytes, hashes, sessionHash } = request;
    const blocks = Array.from(hashes, (hash) => this.#blocks.of(hash));
    const line = JSON.stringify({
      timestamp: roundMs(at - this.#startedAt),
      input_length: inputTokens,
      output_length: outputTokens,
      hash_ids: blocks,
      duration_ms: roundMs(durationMs),
      prompt_bytes: promptBytes,
      stream: isStream,
      model,
      session: sessionHash === undefined ? undefined : this.#sessions.of(sessionHash),
    });
    // The name of a model may have any character; the file's size is counted in ASCII.
    return `${line.replace(/[^\x20-\x7e]/g, unicodeEscape)}\n`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
    const facts = { file: this.#file.path, requests: this.#written, not_recorded: this.#dropped };
    this.#parts.logger.info({ ...facts, bytes: this.#file.bytes }, "the recording is closed");
  }
}
