import { idleTtftMs } from "./engine-models.ts";
import type { EngineRequest, Sequence } from "./engine-sequence.ts";
import type { StepTimes } from "./engine-step.ts";
import { type EngineEvents, SimEngine } from "./engine.ts";
import { LateEngine } from "./late-engine.ts";
import type { Fault, WorkerSpec } from "./loads/load.ts";
import type { VirtualTime } from "./virtual-time.ts";

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
  /**
   * The same as far as a gateway can know that hears late of everything but its own requests; exact where it hears at once. Only for policies
   * that ask for it (`SimPolicy.isLate`).
   */
  predictLateTtftMs(gateway: string, limitMs: number): number;
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
  readonly #time: VirtualTime;
  readonly #chosenFor: () => EngineRequest;
  /** The engine as it was some time ago, where a policy wants to know. */
  readonly #late: LateEngine | undefined;

  /** `chosenFor` is the request that a policy chooses for at present. `lateMs` is how late the engine is seen by policies that see it late. */
  constructor(
    spec: WorkerSpec,
    events: EngineEvents,
    time: VirtualTime,
    chosenFor: () => EngineRequest,
    lateMs: number | undefined,
  ) {
    this.spec = spec;
    const { engine: model, kvTokens, slowness } = spec;
    this.engine = new SimEngine({ model, kvTokens, slowness }, events);
    this.#time = time;
    this.#chosenFor = chosenFor;
    this.#late = lateMs === undefined ? undefined : new LateEngine(spec, time, lateMs);
  }

  /** A gateway sends it a request. `tag` comes back with the engine's events. */
  submit(gateway: string, request: EngineRequest, tag: number): void {
    this.engine.submit(this.#time.now(), request, tag);
    this.#late?.submit(gateway, request);
  }

  /** Something goes wrong with it. Returns the requests that it has lost. */
  strike(fault: Fault): readonly Sequence[] {
    this.#late?.later((twin, at) => strikeEngine(twin, fault, at));
    if (fault.kind === "die" || fault.kind === "restart") this.isDead = fault.kind === "die";
    return strikeEngine(this.engine, fault, this.#time.now());
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
    return this.engine.lastGiving(this.#time.now());
  }

  get ownPrefillMs(): number {
    return this.spec.slowness * idleTtftMs(this.spec.engine, this.#chosenFor().promptTokens, this.hitTokens);
  }

  get hitTokens(): number {
    return this.engine.hitTokens(this.#chosenFor());
  }

  predictTtftMs(limitMs?: number): number {
    return this.engine.predictTtftMs(this.#time.now(), this.#chosenFor(), limitMs);
  }

  predictLateTtftMs(gateway: string, limitMs: number): number {
    return this.#late?.predictTtftMs(gateway, this.#chosenFor(), limitMs) ?? this.predictTtftMs(limitMs);
  }
}

function strikeEngine(engine: SimEngine, fault: Fault, at: number): readonly Sequence[] {
  switch (fault.kind) {
    case "slow":
      engine.slow(at, fault.slowness);
      return [];
    case "freeze":
      engine.freeze(at, fault.ms);
      return [];
    case "die":
    case "restart":
      return engine.restart();
  }
}

/** The workers of a run. */
export class SimFleet implements FleetView {
  readonly workers: readonly SimWorker[];
  #chosenFor: EngineRequest = { blocks: new Int32Array(0), promptTokens: 1, outputTokens: 1, receivedTokens: 0 };

  /** `lateMs`: how late policies see the engines that see them late; undefined where none does. */
  constructor(specs: readonly WorkerSpec[], events: () => EngineEvents, time: VirtualTime, lateMs?: number) {
    const told: EngineEvents = {
      onFirstToken: (sequence, at) => events().onFirstToken(sequence, at),
      onDone: (sequence, at) => events().onDone(sequence, at),
    };
    this.workers = specs.map((spec) => new SimWorker(spec, told, time, () => this.#chosenFor, lateMs));
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
