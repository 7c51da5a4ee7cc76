import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { median } from "./statistics.ts";

const DIR = join(import.meta.dir, "../../.bench/results");

/** Lines of a result file: what began, what was measured, what failed, and that it came to its end. */
interface Start {
  readonly kind: "start";
  readonly at: string;
  readonly rounds: number;
  readonly load: number;
}
interface Sample {
  readonly kind: "sample";
  readonly row: string;
  readonly metric: string;
  readonly value: number;
}
interface Failure {
  readonly kind: "failure";
  readonly row: string;
  readonly count: number;
  readonly what: string;
}
interface End {
  readonly kind: "end";
  readonly rounds: number;
  readonly seconds: number;
  readonly load: number;
}
type Line = Start | Sample | Failure | End;

/** Writes what a section measures as it comes, so that a run that is cut off has not been for nothing. */
export class ResultWriter {
  readonly #path: string;
  readonly #from = performance.now();

  constructor(section: string, rounds: number) {
    mkdirSync(DIR, { recursive: true });
    this.#path = pathOf(section);
    writeFileSync(this.#path, "");
    this.#line({ kind: "start", at: new Date().toISOString(), rounds, load: loadavg()[0] ?? 0 });
  }

  sample(row: string, metric: string, value: number): void {
    this.#line({ kind: "sample", row, metric, value });
  }

  failure(row: string, count: number, what: string): void {
    this.#line({ kind: "failure", row, count, what });
  }

  end(rounds: number): void {
    this.#line({ kind: "end", rounds, seconds: (performance.now() - this.#from) / 1000, load: loadavg()[0] ?? 0 });
  }

  #line(line: Line): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}

/** What is known of a section. */
export class Results {
  readonly start: Start | undefined;
  /** Undefined where the run was cut off. */
  readonly end: End | undefined;
  readonly failures: readonly Failure[];
  readonly #samples = new Map<string, Map<string, number[]>>();

  constructor(lines: readonly Line[]) {
    this.start = lines.find((line) => line.kind === "start");
    this.end = lines.find((line) => line.kind === "end");
    this.failures = lines.filter((line) => line.kind === "failure");
    for (const line of lines) {
      if (line.kind !== "sample") continue;
      const metrics = this.#samples.get(line.row) ?? new Map<string, number[]>();
      this.#samples.set(line.row, metrics);
      metrics.set(line.metric, [...(metrics.get(line.metric) ?? []), line.value]);
    }
  }

  /** Undefined where the section was never run. */
  static read(section: string): Results | undefined {
    const path = pathOf(section);
    if (!existsSync(path)) return undefined;
    const whole = readFileSync(path, "utf8").split("\n").slice(0, -1);
    return new Results(whole.map((line) => JSON.parse(line) as Line));
  }

  /** In the order in which they were measured first. */
  get rows(): readonly string[] {
    return [...this.#samples.keys()];
  }

  values(row: string, metric: string): readonly number[] {
    return this.#samples.get(row)?.get(metric) ?? [];
  }

  /** Undefined where it was not measured. */
  median(row: string, metric: string): number | undefined {
    const values = this.values(row, metric);
    return values.length > 0 ? median(values) : undefined;
  }
}

function pathOf(section: string): string {
  return join(DIR, `${section}.jsonl`);
}
