import { idleTtftMs } from "./engine-models.ts";
import type { EngineRequest } from "./engine-sequence.ts";
import type { StepTimes } from "./engine-step.ts";
import { type EngineEvents, SimEngine } from "./engine.ts";
import type { WorkerSpec } from "./loads/load.ts";

/** The true state of one engine, for policies that scrape or know it. No gateway sees this without asking the engine. */
export interface EngineView {
  /** Sequences that run, and requests that wait. */
  readonly running: number;
  readonly waiting: number;
  /** Prompt tokens that it has yet to prefill; those of waiting requests count in full. */
  readonly pendingTokens: number;
  /** Sequences that decode, and the tokens of prompts and answers of all that run or wait. */
  readonly decoding: number;
  readonly contextTokens: number;
  /** Share of the KV cache that running sequences use, 0 to 1. */
  readonly kvUsed: number;
  readonly kvTokens: number;
  /** The last step at the end of which each sequence that decodes there got a token; undefined where there was none. */
  readonly lastGiving: StepTimes | undefined;
  /** Prefill of the request being chosen for, with what the engine has in its cache now, if it did nothing else, ms. */
  readonly ownPrefillMs: number;
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

  get decoding(): number {
    return this.engine.running.reduce((sum, one) => sum + (one.isDecoding ? 1 : 0), 0);
  }

  get contextTokens(): number {
    const { running, waiting } = this.engine;
    return [...running, ...waiting].reduce((sum, { known }) => sum + known, 0);
  }

  get kvUsed(): number {
    return this.engine.kvUsed;
  }

  get kvTokens(): number {
    return this.spec.kvTokens;
  }

  get lastGiving(): StepTimes | undefined {
    return this.engine.lastGiving(this.#now());
  }

  get ownPrefillMs(): number {
    return this.spec.slowness * idleTtftMs(this.spec.engine, this.#chosenFor().promptTokens, this.hitTokens);
  }

  get hitTokens(): number {
    return this.engine.hitTokens(this.#chosenFor());
  }

  predictTtftMs(limitMs?: number): number {
    return this.engine.predictTtftMs(this.#now(), this.#chosenFor(), limitMs);
  }
}

/** The workers of a run. */
export class SimFleet implements FleetView {
  readonly workers: readonly SimWorker[];
  #chosenFor: EngineRequest = { blocks: new Int32Array(0), promptTokens: 1, outputTokens: 1, receivedTokens: 0 };

  constructor(specs: readonly WorkerSpec[], events: () => EngineEvents, now: () => number) {
    const told: EngineEvents = {
      onFirstToken: (sequence, at) => events().onFirstToken(sequence, at),
      onDone: (sequence, at) => events().onDone(sequence, at),
    };
    this.workers = specs.map((spec) => new SimWorker(spec, told, now, () => this.#chosenFor));
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
