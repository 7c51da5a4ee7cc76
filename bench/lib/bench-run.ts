import type { LoadResult } from "./load.ts";
import { ResultWriter } from "./results.ts";
import type { Bench, Section } from "./section.ts";
import { type StartOptions, startTarget, type Target } from "./targets.ts";

export interface BenchRunDeps {
  readonly engines: readonly string[];
  readonly enginesPid: number;
  readonly logs: string;
  readonly rounds: number;
  /** Names of the gateways that take part. */
  readonly targets: readonly string[];
}

/** One section being measured. */
export class BenchRun implements Bench, AsyncDisposable {
  readonly engines: readonly string[];
  readonly enginesPid: number;
  readonly logs: string;
  readonly #deps: BenchRunDeps;
  readonly #writer: ResultWriter;
  readonly #deadline: number;
  readonly #stops: (() => Promise<void>)[] = [];
  #rounds = 0;

  constructor(section: Section, deps: BenchRunDeps) {
    this.engines = deps.engines;
    this.enginesPid = deps.enginesPid;
    this.logs = deps.logs;
    this.#deps = deps;
    this.#writer = new ResultWriter(section.name, deps.rounds);
    this.#deadline = performance.now() + section.maxSecs * 1000;
  }

  async start(names: readonly string[], options: StartOptions): Promise<Target[]> {
    const targets: Target[] = [];
    for (const name of names) {
      if (!this.#deps.targets.includes(name)) continue;
      const target = await startTarget(name, options, this.logs);
      if (!target) continue;
      this.defer(() => target.stop());
      targets.push(target);
    }
    return targets;
  }

  defer(stop: () => Promise<void>): void {
    this.#stops.push(stop);
  }

  async rounds(once: (round: number) => Promise<void>): Promise<void> {
    for (let round = 0; round < this.#deps.rounds; round += 1) {
      if (round > 0 && performance.now() > this.#deadline) {
        console.error(`  time is up after ${round} rounds`);
        break;
      }
      await once(round);
      this.#rounds = round + 1;
    }
  }

  async inTurns(targets: readonly Target[], measure: (target: Target) => Promise<void>): Promise<void> {
    await this.rounds(async (round) => {
      const first = round % Math.max(1, targets.length);
      for (const target of [...targets.slice(first), ...targets.slice(0, first)]) await measure(target);
    });
  }

  record(row: string, metric: string, value: number): void {
    this.#writer.sample(row, metric, value);
  }

  note(row: string, { failures, failure }: LoadResult): void {
    if (failures === 0) return;
    console.error(`  ${row}: ${failures} failed: ${failure}`);
    this.#writer.failure(row, failures, failure ?? "");
  }

  /** It has come to its end: the results count. */
  end(): void {
    this.#writer.end(this.#rounds);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops.toReversed()) await stop();
  }
}
