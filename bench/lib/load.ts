import { HttpTransport } from "../../src/transport/http1/http-transport.ts";
import type { UpstreamRequest } from "../../src/transport/upstream.ts";

/** What a run of load saw. */
export interface LoadResult {
  readonly requests: number;
  /** Events of streams, end markers included. */
  readonly chunks: number;
  readonly seconds: number;
  /** Sorted, ms. */
  readonly latencies: readonly number[];
  readonly failures: number;
}

const timeouts = { connectMs: 5000, firstByteMs: 60_000, idleMs: 60_000 };

export function chatRequest(origin: string, text: string, isStream: boolean): UpstreamRequest {
  const body = Buffer.from(
    JSON.stringify({
      model: "bench",
      stream: isStream,
      max_tokens: 64,
      messages: [
        { role: "system", content: "You are a helpful assistant. Answer briefly and to the point." },
        { role: "user", content: text },
      ],
    }),
  );
  const headers = "content-type: application/json\r\nauthorization: Bearer client-key\r\n";
  return {
    origin,
    method: "POST",
    path: "/v1/chat/completions",
    headers,
    body,
    timeouts,
    deadline: Number.POSITIVE_INFINITY,
  };
}

/** `lanes` clients, each sending its next request when the last one is answered, `total` in all. */
export async function closedLoop(request: UpstreamRequest, lanes: number, total: number): Promise<LoadResult> {
  using transport = new HttpTransport();
  const run = new Run(transport, request);
  let left = total;
  const from = performance.now();
  const lane = async (): Promise<void> => {
    while (left-- > 0) await run.one();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return run.result((performance.now() - from) / 1000);
}

/** Requests at a fixed rate whatever becomes of them, so that a slow gateway cannot slow its load. */
export async function openLoop(request: UpstreamRequest, perSec: number, seconds: number): Promise<LoadResult> {
  using transport = new HttpTransport();
  const run = new Run(transport, request);
  const pending: Promise<void>[] = [];
  const from = performance.now();
  for (let index = 0; index < perSec * seconds; index += 1) {
    const wait = from + (index * 1000) / perSec - performance.now();
    if (wait > 0) await Bun.sleep(wait);
    pending.push(run.one());
  }
  await Promise.all(pending);
  return run.result((performance.now() - from) / 1000);
}

class Run {
  readonly #transport: HttpTransport;
  readonly #request: UpstreamRequest;
  readonly #latencies: number[] = [];
  #chunks = 0;
  #failures = 0;

  constructor(transport: HttpTransport, request: UpstreamRequest) {
    this.#transport = transport;
    this.#request = request;
  }

  async one(): Promise<void> {
    const from = performance.now();
    try {
      const response = await this.#transport.send(this.#request, undefined);
      for (;;) {
        const next = response.read();
        const bytes = next instanceof Promise ? await next : next;
        if (!bytes) break;
        this.#chunks += eventsIn(bytes);
      }
      if (response.status !== 200) this.#failures += 1;
    } catch {
      this.#failures += 1;
    }
    this.#latencies.push(performance.now() - from);
  }

  result(seconds: number): LoadResult {
    const latencies = this.#latencies.sort((a, b) => a - b);
    return { requests: latencies.length, chunks: this.#chunks, seconds, latencies, failures: this.#failures };
  }
}

/** Every event begins with `data:`, and no text in the benchmark has a `d` after a line feed otherwise. */
function eventsIn(bytes: Uint8Array): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  for (let at = buffer.indexOf("data:"); at >= 0; at = buffer.indexOf("data:", at + 5)) count += 1;
  return count;
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}
