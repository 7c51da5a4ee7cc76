import { PrefixCache } from "../../../src/engine-sim/prefix-cache.ts";
import { ENGINE_TIMING, type EngineTiming, Scheduler } from "../../../src/engine-sim/scheduler.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { type RpcCall, RpcError } from "./rpc-server.ts";
import { type Answer, planSequence, type Sequence, type SequenceRequest } from "./sequence.ts";
import { type Step, stepsOf } from "./steps.ts";
import type { SimTokenizer } from "./tokenizer.ts";

/** What goes wrong with a call, and after how many tokens of its answer (0: before it begins). */
export interface EngineFault {
  readonly afterTokens: number;
  /**
   * - `reset`: the stream is reset
   * - `stall`: nothing more comes
   * - `die`: the engine is gone, as if killed
   * - otherwise it ends with this status
   */
  readonly what: "reset" | "stall" | "die" | { readonly status: number; readonly message?: string };
}

/** A call as the engine got it. */
export interface EngineRecord {
  /** Counts up over all simulated engines of the process: what came before what. */
  readonly order: number;
  /** `Generate`, `Embed`, `Abort`. */
  readonly method: string;
  readonly requestId: string;
  readonly promptIds: readonly number[];
  readonly metadata: Readonly<Record<string, string>>;
  /** `grpc-timeout` as it came. */
  readonly timeout: string | undefined;
  /** The message, decoded. */
  readonly message: unknown;
  outcome: "running" | "finished" | "cancelled" | "failed" | "aborted";
  /** On the same count as `order`; 0 while it runs. */
  endedOrder: number;
  /** Tokens given out. */
  tokens: number;
}

export interface EngineCoreOptions {
  readonly tokenizer: SimTokenizer;
  readonly answer: Answer | undefined;
  /** `undefined` answers without waiting. */
  readonly timing: Partial<EngineTiming> | undefined;
  readonly kvTokens: number;
  readonly keptRecords: number;
  readonly fault: ((record: EngineRecord) => EngineFault | undefined) | undefined;
  readonly die: () => void;
}

let lastOrder = 0;

/** What a job needs besides the call. */
export interface Job {
  readonly record: EngineRecord;
  readonly sequences: readonly Sequence[];
  readonly cachedTokens: number;
}

/** What the services of all engines have in common: the model, its pace, and what they saw. */
export class EngineCore {
  readonly records: EngineRecord[] = [];
  /** Requests in which something was against the protocol. */
  readonly violations: string[] = [];
  readonly cache: PrefixCache;
  readonly scheduler: Scheduler | undefined;
  readonly tokenizer: SimTokenizer;
  readonly startedAt = Date.now();
  isHealthy = true;
  readonly #options: EngineCoreOptions;
  readonly #running = new Map<EngineRecord, AbortController>();

  constructor(options: EngineCoreOptions) {
    this.#options = options;
    this.tokenizer = options.tokenizer;
    this.cache = new PrefixCache(options.kvTokens);
    this.scheduler = options.timing && new Scheduler({ ...ENGINE_TIMING, ...options.timing }, systemClock);
  }

  get running(): number {
    return this.#running.size;
  }

  record(
    method: string,
    requestId: string,
    promptIds: readonly number[],
    message: unknown,
    call: RpcCall,
  ): EngineRecord {
    lastOrder += 1;
    const record: EngineRecord = {
      order: lastOrder,
      method,
      requestId,
      promptIds,
      metadata: call.metadata,
      timeout: call.timeout,
      message,
      outcome: "running",
      endedOrder: 0,
      tokens: 0,
    };
    this.records.push(record);
    if (this.records.length > this.#options.keptRecords) this.records.shift();
    return record;
  }

  /** The answers, and how much of the prompt is in the prefix cache. */
  plan(record: EngineRecord, requests: readonly SequenceRequest[]): Job {
    const { tokenizer, answer } = this.#options;
    const ids = Uint32Array.from(record.promptIds);
    return {
      record,
      sequences: requests.map((request) => planSequence(request, tokenizer, answer)),
      // The last token of a prompt is always computed.
      cachedTokens: Math.min(this.cache.use(new Uint8Array(ids.buffer)), Math.max(0, ids.length - 1)),
    };
  }

  /** Gives the answers out; notes how it ended, whatever the service does with it. */
  async *run(job: Job, call: RpcCall): AsyncGenerator<Step, void, void> {
    const { record, sequences, cachedTokens } = job;
    const controller = new AbortController();
    const onCancel = (): void => controller.abort();
    call.signal.addEventListener("abort", onCancel);
    // It may have been cancelled while it waited for its KV cache.
    if (call.signal.aborted) controller.abort();
    this.#running.set(record, controller);
    const fault = this.#options.fault?.(record);
    try {
      if (fault?.afterTokens === 0) await this.#break(fault, call, controller.signal);
      const prefill = record.promptIds.length - cachedTokens;
      for await (const step of stepsOf(sequences, prefill, this.scheduler, controller.signal)) {
        record.tokens += step.ids.length;
        yield step;
        if (fault && fault.afterTokens > 0 && record.tokens >= fault.afterTokens) {
          await this.#break(fault, call, controller.signal);
        }
      }
      if (!controller.signal.aborted) this.end(record, "finished");
    } catch (error) {
      this.end(record, call.signal.aborted ? "cancelled" : "failed");
      throw error;
    } finally {
      call.signal.removeEventListener("abort", onCancel);
      this.#running.delete(record);
      this.end(record, "cancelled");
    }
  }

  /** A fault of a call that gives out no tokens. */
  async breakBefore(record: EngineRecord, call: RpcCall): Promise<void> {
    const fault = this.#options.fault?.(record);
    if (fault) await this.#break(fault, call, call.signal);
  }

  /** Notes the end of a call; the first note counts. */
  end(record: EngineRecord, outcome: EngineRecord["outcome"]): void {
    if (record.outcome !== "running") return;
    lastOrder += 1;
    record.outcome = outcome;
    record.endedOrder = lastOrder;
  }

  /** Ends a generation from outside. False if there is none of this id. */
  abort(requestId: string): boolean {
    const [record, controller] = [...this.#running].find(([running]) => running.requestId === requestId) ?? [];
    if (!record || !controller) return false;
    this.end(record, "aborted");
    controller.abort();
    return true;
  }

  /** Refuses a request that is against the protocol, and remembers it. */
  violate(record: EngineRecord, what: string, status: number): never {
    this.violations.push(`${record.requestId}: ${what}`);
    this.end(record, "failed");
    throw new RpcError(status, what);
  }

  async #break({ what }: EngineFault, call: RpcCall, signal: AbortSignal): Promise<void> {
    if (typeof what === "object") throw new RpcError(what.status, what.message ?? "a fault of the simulation");
    if (what === "die") this.#options.die();
    if (what === "reset") call.reset();
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  }
}
