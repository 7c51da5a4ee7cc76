import type { EngineRequest, Sequence } from "../../src/simulate/engine-sequence.ts";
import { SimEngine } from "../../src/simulate/engine.ts";
import type { Fault, WorkerSpec } from "../../src/simulate/loads/load.ts";

/** Hears of the tokens of one request. */
export interface TokenListener {
  onFirstToken(cachedTokens: number): void;
  /** A token after the first one. */
  onToken(): void;
  /** The last token has been given; it was told by one of the others. */
  onDone(): void;
}

/** The engine of `simulate`, run in real time: its steps end when the clock says so, at most a timer's delay later. */
export class TimedEngine {
  readonly #engine: SimEngine;
  readonly #kvTokens: number;
  readonly #listeners = new Map<number, TokenListener>();
  #timer: Timer | undefined;
  #tags = 0;
  #isAdvancing = false;

  constructor({ engine, kvTokens, slowness }: WorkerSpec) {
    this.#kvTokens = engine.memory === "bounded" ? kvTokens : Number.POSITIVE_INFINITY;
    this.#engine = new SimEngine(
      { model: engine, kvTokens, slowness },
      {
        onFirstToken: ({ tag, cachedTokens }) => this.#listeners.get(tag)?.onFirstToken(cachedTokens),
        onToken: ({ tag }) => this.#listeners.get(tag)?.onToken(),
        onDone: ({ tag }) => {
          this.#listeners.get(tag)?.onDone();
          this.#listeners.delete(tag);
        },
      },
    );
  }

  /** Whether a request of this size has room at all. */
  fits({ promptTokens, outputTokens }: EngineRequest): boolean {
    return promptTokens + outputTokens <= this.#kvTokens;
  }

  /** Adds a request. The returned function takes it out. */
  submit(request: EngineRequest, listener: TokenListener): () => void {
    const tag = (this.#tags += 1);
    this.#listeners.set(tag, listener);
    this.#catchUp();
    const sequence: Sequence = this.#engine.submit(performance.now(), request, tag);
    this.#arm();
    return () => {
      if (!this.#listeners.delete(tag)) return;
      this.#catchUp();
      this.#engine.abort(performance.now(), sequence);
      this.#arm();
    };
  }

  /** Lets a fault begin now. Throws for one that ends connections: no load that is run in real time has any. */
  strike(fault: Fault): void {
    this.#catchUp();
    if (fault.kind === "slow") this.#engine.slow(performance.now(), fault.slowness);
    else if (fault.kind === "freeze") this.#engine.freeze(performance.now(), fault.ms);
    else throw new Error(`a worker cannot ${fault.kind} in real time`);
    this.#arm();
  }

  /** Ends the steps whose time has come. Listeners may submit and abort meanwhile: the loop goes on with what they did. */
  #catchUp(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (this.#engine.nextAt <= performance.now()) this.#engine.advance();
    this.#isAdvancing = false;
  }

  #arm(): void {
    if (this.#isAdvancing) return;
    clearTimeout(this.#timer);
    const { nextAt } = this.#engine;
    if (nextAt === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.#catchUp();
        this.#arm();
      },
      Math.max(0, nextAt - performance.now()),
    );
  }
}
