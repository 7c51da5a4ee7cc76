import type { Database } from "bun:sqlite";
import { KEPT_MS, type UsageQuery, type UsageRow, type UsageTotal, type UsageWindow, WINDOW_MS } from "./usage.ts";

/** Time between two times that old rows are dropped, ms. */
const SWEEP_MS = 3_600_000;

const SUMS = ["requests", "errors", "prompt_tokens", "completion_tokens", "cached_tokens"] as const;
const ADD = `INSERT INTO usage (window, time, key, model, ${SUMS.join(", ")})
  VALUES (${Array.from({ length: 4 + SUMS.length }, () => "?").join(", ")})
  ON CONFLICT DO UPDATE SET ${SUMS.map((name) => `${name} = ${name} + excluded.${name}`).join(", ")}`;

type Sums = Readonly<Record<(typeof SUMS)[number], number>>;
type TotalRow = Sums & { readonly key?: string; readonly model?: string; readonly time?: number };

/** The table of usage in the file of the keys: a row for each key, model and window. */
export class SqliteUsage {
  readonly #database: Database;
  readonly #wallNow: () => number;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(database: Database, wallNow: () => number) {
    this.#database = database;
    this.#wallNow = wallNow;
  }

  /** All rows, or none where it throws. */
  add(rows: readonly UsageRow[]): void {
    const statement = this.#database.query(ADD);
    const run = this.#database.transaction(() => {
      for (const row of rows) {
        for (const window of ["minute", "day"] as const) statement.run(...valuesOf(row, window));
      }
      this.#sweep();
    });
    run.immediate();
  }

  find({ window, from, to, by, key, model, limit }: UsageQuery): UsageTotal[] {
    const groups = by.length === 0 ? "" : `GROUP BY ${by.join(", ")} ORDER BY ${by.toSorted(timeFirst).join(", ")}`;
    const columns = [...by, ...SUMS.map((name) => `coalesce(sum(${name}), 0) AS ${name}`)];
    const filters = ["window = $window", "time >= $from", "time < $to"];
    const values: Record<string, string | number> = { window, from, to, limit };
    if (key !== undefined) {
      filters.push("key = $key");
      values["key"] = key;
    }
    if (model !== undefined) {
      filters.push("model = $model");
      values["model"] = model;
    }
    const sql = `SELECT ${columns.join(", ")} FROM usage WHERE ${filters.join(" AND ")} ${groups} LIMIT $limit`;
    return this.#database.query<TotalRow, [typeof values]>(sql).all(values).map(totalOf);
  }

  #sweep(): void {
    const now = this.#wallNow();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const window of ["minute", "day"] as const) {
      const before = now - KEPT_MS[window];
      this.#database.query("DELETE FROM usage WHERE window = $window AND time < $before").run({ window, before });
    }
  }
}

function timeFirst(one: string, other: string): number {
  return Number(other === "time") - Number(one === "time");
}

/** In the order of the statement. */
function valuesOf(row: UsageRow, window: UsageWindow): (string | number)[] {
  const { minute, key, model, requests, errors, promptTokens, completionTokens, cachedTokens } = row;
  const time = Math.floor(minute / WINDOW_MS[window]) * WINDOW_MS[window];
  return [window, time, key, model, requests, errors, promptTokens, completionTokens, cachedTokens];
}

function totalOf(row: TotalRow): UsageTotal {
  return {
    key: row.key,
    model: row.model,
    time: row.time,
    requests: row.requests,
    errors: row.errors,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    cachedTokens: row.cached_tokens,
  };
}
