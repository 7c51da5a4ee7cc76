import { GatewayError } from "../../errors/errors.ts";
import { isRecord } from "../../util/objects.ts";
import { V1_ENGINE } from "../engine-models.ts";
import { promptOf } from "./draw.ts";
import type { Load, Session } from "./load.ts";
import { type LoadOptions, USUAL_WORKERS, warmupMsOf } from "./loads.ts";
import { seededRandom } from "../seeded-random.ts";

/** Tokens that one id of a trace stands for. */
const TRACE_BLOCK_TOKENS = 512;

/** A request of a trace. */
export interface TraceRow {
  /** Time of its arrival, ms; several requests may have the same. */
  readonly timestamp: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** One id for each 512 tokens of the prompt, the last for what is left. Equal ids after equal ids are equal text. */
  readonly blocks: readonly number[];
}

/**
 * Reads a trace in Mooncake's format: a JSON object on each line with `timestamp` (ms), `input_length`, `output_length` (tokens) and
 * `hash_ids`. Throws invalid_request with the number of the line that is wrong.
 */
export function parseTrace(text: string): TraceRow[] {
  const rows: TraceRow[] = [];
  for (const [index, line] of text.split("\n").entries()) if (line.trim() !== "") rows.push(parseLine(line, index + 1));
  if (rows.length === 0) throw new GatewayError("invalid_request", "the trace has no requests");
  return rows.toSorted((one, other) => one.timestamp - other.timestamp);
}

function parseLine(line: string, number: number): TraceRow {
  const fail = (what: string): GatewayError =>
    new GatewayError("invalid_request", `line ${number} of the trace: ${what}`);
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    throw fail("it is not JSON");
  }
  if (!isRecord(row)) throw fail("it is not an object");
  const whole = (key: string, least: number): number => {
    const value = row[key];
    if (typeof value !== "number" || !Number.isFinite(value) || value < least)
      throw fail(`${key} must be a number from ${least}`);
    return value;
  };
  const ids: unknown = row["hash_ids"];
  if (!Array.isArray(ids) || !ids.every((id): id is number => Number.isInteger(id)))
    throw fail("hash_ids must be whole numbers");
  const inputTokens = Math.floor(whole("input_length", 1));
  if (ids.length !== Math.ceil(inputTokens / TRACE_BLOCK_TOKENS)) {
    throw fail(`hash_ids must have an id for each ${TRACE_BLOCK_TOKENS} tokens of input_length`);
  }
  // An answer of no tokens still has a first one, which says that it is over.
  const outputTokens = Math.max(1, Math.floor(whole("output_length", 0)));
  return { timestamp: whole("timestamp", 0), inputTokens, outputTokens, blocks: ids };
}

/** A trace as a load on vLLM's order of scheduling. `rate` is the multiple of the speed at which it was recorded. */
export function traceLoad(name: string, rows: readonly TraceRow[], kvTokens: number, options: LoadOptions): Load {
  const { seed, durationSecs, rate = 1, workers = USUAL_WORKERS } = options;
  const durationMs = durationSecs * 1000;
  const speed = rate * (workers / USUAL_WORKERS);
  const times = spread(rows, seed);
  const sessions: Session[] = [];
  for (const [index, row] of rows.entries()) {
    const startAtMs = (times[index] ?? 0) / speed;
    if (startAtMs < durationMs) sessions.push(sessionOf(row, startAtMs, index));
  }
  const engine = { ...V1_ENGINE, blockTokens: TRACE_BLOCK_TOKENS };
  return {
    name,
    workers: Array.from({ length: workers }, () => ({ engine, kvTokens, slowness: 1, joinsAtMs: 0 })),
    sessions,
    faults: [],
    slo: { ttftMs: 2000, tpotMs: 100 },
    durationMs,
    warmupMs: warmupMsOf(options),
  };
}

function sessionOf({ inputTokens, outputTokens, blocks }: TraceRow, startAtMs: number, key: number): Session {
  const segments = blocks.map((id, index) => ({
    id,
    tokens: Math.min(TRACE_BLOCK_TOKENS, inputTokens - index * TRACE_BLOCK_TOKENS),
  }));
  return { startAtMs, key, turns: [{ prompt: promptOf(segments), outputTokens, answer: undefined, thinkMs: 0 }] };
}

/**
 * Times that requests with the same timestamp get: at random until the next timestamp. Traces are written with coarse clocks, and no real
 * load arrives in such jolts.
 */
function spread(rows: readonly TraceRow[], seed: number): number[] {
  const random = seededRandom(seed, rows.length);
  const times: number[] = [];
  for (let first = 0; first < rows.length;) {
    const from = rows[first]?.timestamp ?? 0;
    let next = first;
    while (rows[next]?.timestamp === from) next += 1;
    const until = rows[next]?.timestamp ?? from;
    const some = Array.from({ length: next - first }, () =>
      next - first === 1 ? from : from + (until - from) * random(),
    );
    times.push(...some.sort((a, b) => a - b));
    first = next;
  }
  return times;
}
