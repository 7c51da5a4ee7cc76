import type { EngineRequest } from "./engine-sequence.ts";
import { type EngineEvents, SimEngine } from "./engine.ts";
import type { WorkerSpec } from "./loads/load.ts";

/** The true state of one engine, for policies that scrape or know it. No gateway sees this without asking the engine. */
export interface EngineView {
  /** Sequences that run, and requests that wait. */
  readonly running: number;
  readonly waiting: number;
  /** Prompt tokens that it has yet to prefill; those of waiting requests count in full. */
  readonly pendingTokens: number;
  /** Share of the KV cache that running sequences use, 0 to 1. */
  readonly kvUsed: number;
  /** Tokens of the prompt being chosen for that it has in its cache now. */
  readonly hitTokens: number;
  /**
   * When the request being chosen for would get its first token here if nothing came after it, ms. Exact. Infinity where that takes
   * longer than `limitMs`.
   */
  predictTtftMs(limitMs?: number): number;
}

/** The engines of a run, by the slots of their workers. */
export interface FleetView {
  engine(slot: number): EngineView;
}

/** One worker of the fleet: its engine, and whether it is there. */
export class SimWorker implements EngineView {
  readonly spec: WorkerSpec;
  readonly engine: SimEngine;
  isDead = false;
  readonly #now: () => number;
  readonly #chosenFor: () => EngineRequest;

  /** `chosenFor` is the request that a policy chooses for at present. */
  constructor(spec: WorkerSpec, events: EngineEvents, now: () => number, chosenFor: () => EngineRequest) {
    this.spec = spec;
    const { engine: model, kvTokens, slowness } = spec;
    this.engine = new SimEngine({ model, kvTokens, slowness }, events);
    this.#now = now;
    this.#chosenFor = chosenFor;
  }

  get running(): number {
    return this.engine.running.length;
  }

  get waiting(): number {
    return this.engine.waiting.length;
  }

  get pendingTokens(): number {
    return this.engine.pendingTokens;
  }

  get kvUsed(): number {
    return this.engine.kvUsed;
  }

  get hitTokens(): number {
    return this.engine.hitTokens(this.#chosenFor());
  }

  predictTtftMs(limitMs?: number): number {
    return this.engine.predictTtftMs(this.#now(), this.#chosenFor(), limitMs);
  }

  /** Whether the request and its answer fit into the KV cache at all; an engine refuses those that do not. */
  fits({ promptTokens, outputTokens }: EngineRequest): boolean {
    return promptTokens + outputTokens <= this.spec.kvTokens;
  }
}

/** The workers of a run. */
export class SimFleet implements FleetView {
  readonly workers: readonly SimWorker[];
  #chosenFor: EngineRequest = { blocks: new Int32Array(0), promptTokens: 1, outputTokens: 1, receivedTokens: 0 };

  constructor(specs: readonly WorkerSpec[], events: (worker: number) => EngineEvents, now: () => number) {
    this.workers = specs.map((spec, worker) => new SimWorker(spec, events(worker), now, () => this.#chosenFor));
  }

  engine(slot: number): SimWorker {
    const worker = this.workers[slot];
    if (!worker) throw new RangeError(`the fleet has no worker ${slot}`);
    return worker;
  }

  /** From now on, views answer for this request. */
  chooseFor(request: EngineRequest): void {
    this.#chosenFor = request;
  }

  /** The engine whose step ends first; undefined while all are idle. */
  next(): SimEngine | undefined {
    let first: SimEngine | undefined;
    for (const { engine } of this.workers)
      if (engine.nextAt < (first?.nextAt ?? Number.POSITIVE_INFINITY)) first = engine;
    return first;
  }

  /** Preemptions of all engines. */
  get preemptions(): number {
    return this.workers.reduce((sum, { engine }) => sum + engine.preemptions, 0);
  }
}
