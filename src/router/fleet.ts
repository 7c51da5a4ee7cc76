import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { isJsonObject, type JsonObject } from "../protocol/json/json.ts";
import { headerLine, type Transport } from "../transport/upstream.ts";
import type { Clock } from "../util/clock.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";

/** Workers that are asked at the same time when all are asked. */
const FAN_OUT = 32;
/** Largest answer to a question of the gateway's own. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Questions to one worker, in whatever it speaks. Each throws where the worker does not answer as it should. */
export interface FleetVoice {
  isHealthy(worker: Worker): Promise<boolean>;
  flushCache(worker: Worker): Promise<void>;
  loads(worker: Worker): Promise<JsonObject>;
  profile(worker: Worker, isStart: boolean): Promise<void>;
}

export interface FleetDeps {
  /** For workers that do not speak HTTP. */
  readonly grpc: FleetVoice;
  readonly workers: WorkerRegistry;
  readonly transport: Transport;
  readonly clock: Clock;
  /** For each question, ms. */
  readonly timeoutMs: number;
}

export interface WorkerAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** How one worker took a question that all were asked. */
export interface FanOutResult<T> {
  readonly worker: Worker;
  readonly value: T | undefined;
  readonly error: GatewayError | undefined;
}

/** Questions that the gateway itself asks of workers, outside of inference: their info, their load, to flush. */
export class Fleet {
  readonly #deps: FleetDeps;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  /**
   * The answer of the first available worker to the first of `paths` that it knows; none of one that has no pages. Throws
   * no_available_workers.
   */
  async askAny(paths: readonly string[]): Promise<{ worker: Worker; answer: WorkerAnswer | undefined }> {
    const worker = this.#anyWorker();
    if (worker.connectionMode === "grpc") return { worker, answer: undefined };
    for (const path of paths) {
      const answer = await this.ask(worker, "GET", path);
      if (answer.status !== 404 && answer.status !== 405) return { worker, answer };
    }
    return { worker, answer: undefined };
  }

  /** Whether an available worker generates, or at least says that it is well. */
  async isAnyHealthy(): Promise<boolean> {
    const worker = this.#anyWorker();
    if (worker.connectionMode === "grpc") return this.#deps.grpc.isHealthy(worker);
    // Engines that have no `/health_generate` are asked for their plain health.
    const { answer } = await this.askAny(["/health_generate", "/health"]);
    return answer !== undefined && answer.status >= 200 && answer.status < 300;
  }

  #anyWorker(): Worker {
    const { workers } = this.#deps;
    const [http] = workers.getWorkersForModel(undefined, "http").available;
    const worker = http ?? workers.getWorkersForModel(undefined, "grpc").available[0];
    if (worker) return worker;
    throw new GatewayError("no_available_workers", "no worker can answer now", { retryAfterSecs: 1 });
  }

  /** Throws what the transport throws. */
  async ask(worker: Worker, method: "GET" | "POST", path: string): Promise<WorkerAnswer> {
    const { transport, clock, timeoutMs } = this.#deps;
    const key = worker.spec.apiKey;
    const upstream = await transport.send(
      {
        origin: worker.url,
        method,
        path,
        headers: `accept-encoding: identity\r\n${key ? headerLine("authorization", key.bearer()) : ""}`,
        body: method === "POST" ? new Uint8Array(0) : undefined,
        timeouts: { connectMs: timeoutMs, firstByteMs: timeoutMs, idleMs: timeoutMs },
        deadline: clock.now() + timeoutMs,
      },
      undefined,
    );
    const body = await upstream.bytes(MAX_ANSWER_BYTES);
    return { status: upstream.status, contentType: upstream.headers.get("content-type") ?? "text/plain", body };
  }

  /** Empties the prefix caches of all workers. */
  flushCaches(): Promise<FanOutResult<true>[]> {
    return this.#askAll<true>(async (worker) => {
      if (worker.connectionMode === "grpc") {
        await this.#deps.grpc.flushCache(worker);
        return true;
      }
      // SGLang, then vLLM in its development mode.
      for (const path of ["/flush_cache", "/reset_prefix_cache"]) {
        const { status } = await this.ask(worker, "POST", path);
        if (status >= 200 && status < 300) return true;
        if (status !== 404 && status !== 405) break;
      }
      throw new GatewayError("upstream_error", "the worker did not flush its cache");
    });
  }

  /** What workers say of their load, in their own words. */
  loads(): Promise<FanOutResult<JsonObject>[]> {
    return this.#askAll(async (worker) => {
      if (worker.connectionMode === "grpc") return this.#deps.grpc.loads(worker);
      for (const path of ["/v1/loads", "/get_load"]) {
        const { status, body } = await this.ask(worker, "GET", path);
        if (status !== 200) continue;
        const value: unknown = JSON.parse(new TextDecoder().decode(body));
        // Older SGLang answers with one entry for each data-parallel rank.
        if (Array.isArray(value)) return { loads: value };
        if (isJsonObject(value)) return value;
      }
      throw new GatewayError("upstream_error", "the worker does not report its load");
    });
  }

  /** Starts or stops the engines' own profilers. */
  profile(isStart: boolean): Promise<FanOutResult<true>[]> {
    return this.#askAll<true>(async (worker) => {
      if (worker.connectionMode === "grpc") {
        await this.#deps.grpc.profile(worker, isStart);
        return true;
      }
      const { status } = await this.ask(worker, "POST", isStart ? "/start_profile" : "/stop_profile");
      if (status >= 200 && status < 300) return true;
      throw new GatewayError("upstream_error", `the worker answered ${status}`);
    });
  }

  async #askAll<T>(question: (worker: Worker) => Promise<T>): Promise<FanOutResult<T>[]> {
    const workers = this.#deps.workers.all().filter((worker) => worker.status !== "draining");
    const results: FanOutResult<T>[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let index = next++; index < workers.length; index = next++) {
        const worker = workers[index];
        if (worker) results[index] = await attempt(worker, question);
      }
    };
    await Promise.all(Array.from({ length: Math.min(FAN_OUT, workers.length) }, lane));
    return results;
  }
}

async function attempt<T>(worker: Worker, question: (worker: Worker) => Promise<T>): Promise<FanOutResult<T>> {
  try {
    return { worker, value: await question(worker), error: undefined };
  } catch (thrown) {
    return { worker, value: undefined, error: asGatewayError(thrown) };
  }
}
