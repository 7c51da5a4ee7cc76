import type { Bound } from "./bounds.ts";
import type { LoadResult } from "./load.ts";
import type { StartOptions, Target } from "./targets.ts";

/** A column of a section's table. */
export interface Column {
  readonly metric: string;
  readonly title: string;
  readonly digits: number;
}

/** One table of the report, and the bounds that are read off it. */
export interface Section {
  readonly name: string;
  readonly title: string;
  /** What must be known to read the table. */
  readonly note: string;
  readonly columns: readonly Column[];
  readonly bounds: readonly Bound[];
  /** No round begins when it has run for so long. */
  readonly maxSecs: number;
  measure(bench: Bench): Promise<void>;
}

/** What a section measures with. What it starts here is stopped at its end. */
export interface Bench {
  /** The two engines that every gateway stands before. */
  readonly engines: readonly string[];
  /** Directory for what programs say. */
  readonly logs: string;
  /** Process of the engines. */
  readonly enginesPid: number;
  /** Those of the names that were asked for, are installed, and have answered. */
  start(names: readonly string[], options: StartOptions): Promise<Target[]>;
  /** Will be stopped at the end of the section. */
  defer(stop: () => Promise<void>): void;
  /** Runs `measure` on each target in each round; who comes first changes from round to round. */
  inTurns(targets: readonly Target[], measure: (target: Target) => Promise<void>): Promise<void>;
  /** Runs `once` in each round. */
  rounds(once: (round: number) => Promise<void>): Promise<void>;
  record(row: string, metric: string, value: number): void;
  /** Counts what failed in a run. */
  note(row: string, result: LoadResult): void;
}
