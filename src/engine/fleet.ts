import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { isJsonObject, type JsonObject, numberField } from "../protocol/json/json.ts";
import type { Worker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { engineOf } from "./engines.ts";
import { MethodVoice } from "./method-voice.ts";
import { PageVoice } from "./page-voice.ts";
import type { ProfileOptions } from "./profile-options.ts";
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

  /** Empties the prefix caches of all workers, or of those at one address. Throws worker_not_found where none has it. */
  flushCaches(url?: string): Promise<FanOutResult<true>[]> {
    return this.#tellAll((voice) => voice.flushCache(), url);
  }

  /** Asks all workers for the reports of their load. Each data-parallel rank gets its part of the engine's report. */
  async loads(): Promise<FanOutResult<JsonObject>[]> {
    const { workers } = this.#deps;
    const results = await this.#askAll(async (worker) => this.#voiceOf(worker).loads());
    return results.flatMap((result) => {
      const ranks = result.worker.rank ? workers.at(result.worker.spec.url) : [];
      return ranks.length === 0
        ? [result]
        : ranks.map((worker) => ({ ...result, worker, value: result.value && partOf(result.value, worker) }));
    });
  }

  /** Starts the engines' own profilers. `url` as in `flushCaches`. */
  startProfiles(options: ProfileOptions | undefined, url?: string): Promise<FanOutResult<true>[]> {
    return this.#tellAll((voice) => voice.startProfile(options), url);
  }

  /** Stops the engines' own profilers. `url` as in `flushCaches`. */
  stopProfiles(url?: string): Promise<FanOutResult<true>[]> {
    return this.#tellAll((voice) => voice.stopProfile(), url);
  }

  #tellAll(order: (voice: WorkerVoice) => Promise<void>, url: string | undefined): Promise<FanOutResult<true>[]> {
    return this.#askAll<true>(async (worker) => {
      await order(this.#voiceOf(worker));
      return true;
    }, url);
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

  /** One worker of each address, or of the one address. */
  #addressed(url: string | undefined): Worker[] {
    const byAddress = new Map<string, Worker>();
    for (const worker of this.#deps.workers.all()) {
      const address = worker.spec.url;
      if (url !== undefined && url !== worker.url && url !== address) continue;
      if (worker.status !== "draining" && !byAddress.has(address)) byAddress.set(address, worker);
    }
    if (url === undefined || byAddress.size > 0) return [...byAddress.values()];
    throw new GatewayError("worker_not_found", "no worker has this url", { param: "url" });
  }

  async #askAll<T>(question: (worker: Worker) => Promise<T>, url?: string): Promise<FanOutResult<T>[]> {
    const workers = this.#addressed(url);
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

/**
 * The report's entry of a data-parallel rank; all where the worker is all ranks. Entries count from the lowest: a vLLM server with hybrid
 * load balancing numbers its ranks on from those of the nodes before it.
 */
function partOf(report: JsonObject, { pinnedRank }: Worker): JsonObject {
  const { loads } = report;
  if (pinnedRank === undefined || !Array.isArray(loads)) return report;
  const number = (entry: JsonObject): number => numberField(entry, "dp_rank") ?? 0;
  const entries = loads.filter(isJsonObject).toSorted((a, b) => number(a) - number(b));
  return { ...report, loads: entries.slice(pinnedRank, pinnedRank + 1) };
}

async function attempt<T>(worker: Worker, question: (worker: Worker) => Promise<T>): Promise<FanOutResult<T>> {
  try {
    return { worker, value: await question(worker), error: undefined };
  } catch (thrown) {
    return { worker, value: undefined, error: asGatewayError(thrown) };
  }
}
