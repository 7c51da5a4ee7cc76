import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { JsonObject } from "../protocol/json/json.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { engineOf } from "./engines.ts";
import { MethodVoice } from "./method-voice.ts";
import { PageVoice } from "./page-voice.ts";
import type { InfoPage, WorkerVoice } from "./voice.ts";
import { addresseeOf, type WorkerClient } from "./worker-client.ts";

/** Most workers that are asked at the same time. */
const FAN_OUT = 32;

/** The workers, and the client that asks them. */
export interface FleetDeps {
  readonly workers: WorkerRegistry;
  readonly client: Pick<WorkerClient, "page" | "call">;
  /** Time limit of each question, ms. */
  readonly timeoutMs: number;
}

/** One worker's answer to a question for all. Either `value` or `error` is set. */
export interface FanOutResult<T> {
  readonly worker: Worker;
  readonly value: T | undefined;
  readonly error: GatewayError | undefined;
}

/** Asks operators' questions, such as to flush caches: of all workers, or of any one. */
export class Fleet {
  readonly #deps: FleetDeps;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  /** Whether an available worker generates, or at least reports that it is well. Throws no_available_workers, and what `WorkerVoice` throws. */
  isAnyHealthy(): Promise<boolean> {
    return this.#voiceOf(this.#anyWorker()).isHealthy();
  }

  /**
   * The page of an available worker about its model or its server, and which worker it is. Throws no_available_workers, and what
   * `WorkerVoice` throws.
   */
  async info(what: InfoPage): Promise<{ readonly worker: Worker; readonly page: JsonObject | undefined }> {
    const worker = this.#anyWorker();
    return { worker, page: await this.#voiceOf(worker).info(what) };
  }

  /** Empties the prefix caches of all workers. */
  flushCaches(): Promise<FanOutResult<true>[]> {
    return this.#askAll<true>(async (worker) => {
      await this.#voiceOf(worker).flushCache();
      return true;
    });
  }

  /** Asks all workers for the reports of their load. */
  loads(): Promise<FanOutResult<JsonObject>[]> {
    return this.#askAll(async (worker) => this.#voiceOf(worker).loads());
  }

  /** Starts or stops the engines' own profilers. */
  profile(isStart: boolean): Promise<FanOutResult<true>[]> {
    return this.#askAll<true>(async (worker) => {
      await this.#voiceOf(worker).profile(isStart);
      return true;
    });
  }

  #voiceOf(worker: Worker): WorkerVoice {
    const { client, timeoutMs } = this.#deps;
    const engine = engineOf(worker);
    return worker.connectionMode === "grpc"
      ? new MethodVoice(client, addresseeOf(worker), engine, timeoutMs)
      : new PageVoice(client, addresseeOf(worker), engine.questions.http, timeoutMs);
  }

  #anyWorker(): Worker {
    const { workers } = this.#deps;
    const [http] = workers.getWorkersForModel(undefined, "http").available;
    const worker = http ?? workers.getWorkersForModel(undefined, "grpc").available[0];
    if (worker) return worker;
    throw new GatewayError("no_available_workers", "no worker can answer now", { retryAfterSecs: 1 });
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
