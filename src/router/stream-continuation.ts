import type { ErrorCode, GatewayError } from "../errors/errors.ts";
import type { Metrics } from "../observability/metrics.ts";
import { isJsonObject } from "../protocol/json/json.ts";
import type { Continuation } from "../protocol/openai/continuation.ts";
import { isEndMarker } from "../protocol/stream-reader.ts";
import type { Usage } from "../protocol/usage.ts";
import type { StreamSource } from "./stream-source.ts";

/** Most continuations of one stream. */
const MAX_CONTINUATIONS = 2;

/** Errors that mean a lost worker, and not a request that is wrong, too long or unwanted. */
const LOST: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "upstream_reset",
  "upstream_closed",
  "upstream_truncated",
  "upstream_stalled",
  "upstream_protocol_error",
  "upstream_event_invalid",
  "upstream_stream_error",
  "upstream_busy",
]);

export interface StreamContinuationDeps {
  readonly continuation: Continuation;
  readonly metrics: Metrics;
  /** Sends the request for the rest to a worker that is not in `lost`. Throws as `dispatch` does. */
  readonly send: (body: Uint8Array, lost: ReadonlySet<string>) => Promise<StreamSource>;
}

/** Lets another worker continue a stream whose worker was lost, within the same answer. */
export class StreamContinuation {
  readonly #deps: StreamContinuationDeps;
  readonly #lost = new Set<string>();
  #rewritten: string[] = [];

  constructor(deps: StreamContinuationDeps) {
    this.#deps = deps;
  }

  /** Events of the worker do not pass as they are: they are taken with `takeRewritten`. */
  get isContinuing(): boolean {
    return this.#deps.continuation.isContinuing;
  }

  get usage(): Usage | undefined {
    return this.isContinuing ? this.#deps.continuation.usage : undefined;
  }

  onEvent(data: string): void {
    const { continuation } = this.#deps;
    const event: unknown = isEndMarker(data) ? data : JSON.parse(data);
    if (!isJsonObject(event)) {
      if (this.isContinuing) this.#rewritten.push(`data: ${data}\n\n`);
    } else if (this.isContinuing) {
      const fitting = continuation.rewrite(event);
      if (fitting) this.#rewritten.push(`data: ${JSON.stringify(fitting)}\n\n`);
    } else {
      continuation.observe(event);
    }
  }

  takeRewritten(): Uint8Array {
    const events = Buffer.from(this.#rewritten.join(""));
    this.#rewritten = [];
    return events;
  }

  /** Finds another worker that continues; undefined where the stream ends with the error. Ends the lost attempt. */
  async resume(error: GatewayError, { upstream, attempt }: StreamSource): Promise<StreamSource | undefined> {
    if (!LOST.has(error.code) || this.#lost.size >= MAX_CONTINUATIONS) return undefined;
    const body = this.#deps.continuation.nextBody();
    if (!body) return undefined;
    attempt.end(error);
    upstream.discard();
    this.#lost.add(attempt.worker.id);
    this.#deps.metrics.increment("continuations", { code: error.code });
    try {
      return await this.#deps.send(body, this.#lost);
    } catch {
      // No worker can continue. The stream ends with its own error, which says more than the reason for that.
      return undefined;
    }
  }
}
