import type { EngineModel } from "../engine-models.ts";
import { V1_ENGINE } from "../engine-models.ts";
import { GatewayError } from "../../errors/errors.ts";
import type { Load, Segment, Session, Turn } from "../loads/load.ts";
import { seededRandom } from "../seeded-random.ts";
import { MOONCAKE_BLOCK_TOKENS, type Trace, type TracedRequest } from "./trace-file.ts";

/** How a trace is replayed. */
export interface TraceOptions {
  readonly seed: number;
  /** Length of the replay, s; what comes later is left out. */
  readonly durationSecs: number;
  /** How many times as fast as it was recorded. */
  readonly rate: number;
  /** Size of the fleet; 8 by default. */
  readonly workers: number | undefined;
  /** Only requests for this model are replayed; undefined for all of them, as if they were for one model. */
  readonly model: string | undefined;
  /** Whether a request of a session comes only after the answer to the one before it, and the pause that was between them. */
  readonly isClosedLoop: boolean;
}

const USUAL_WORKERS = 8;
/** KV cache of a worker: that of a model of 32B on two H100s, with a host tier of ten times its size. */
const KV_TOKENS = 3_072_000;
const SLO = { ttftMs: 2000, tpotMs: 100 };
/** Numbers of sessions and texts from here on belong to one request only. */
const OWN = 2 ** 30;

/**
 * The load of a trace. In an open loop each request comes when it came, whatever became of those before it; in a closed one the requests of a
 * session that came one after the other do so again. Throws invalid_request where a closed loop is asked for and the trace has none.
 */
export function traceLoad(
  whole: Trace,
  name: string,
  { seed, durationSecs, rate, workers = USUAL_WORKERS, isClosedLoop, model }: TraceOptions,
): Load {
  const trace = model === undefined ? whole : ofModel(whole, model, name);
  const random = seededRandom(seed, 3);
  const times = spread(trace.requests, random);
  const toTokens = trace.blockEnds && tokensPerByte(trace.requests);
  const usualOutput = meanOutput(trace.requests);
  const { blockTokens } = trace;
  const engine: EngineModel = trace.blockEnds ? V1_ENGINE : { ...V1_ENGINE, blockTokens };
  const turns = trace.requests.map((request, index): Arrival => {
    const segments =
      toTokens === undefined ? equalBlocks(request, blockTokens) : blocksOf(request, trace.blockEnds ?? [], toTokens);
    const rest = request.inputTokens - segments.reduce((sum, { tokens }) => sum + tokens, 0);
    if (rest > 0) segments.push({ id: OWN + index, tokens: rest });
    const prompt = { segments, tokens: request.inputTokens, bytesPerToken: toTokens === undefined ? 4 : 1 / toTokens };
    const outputTokens = Math.max(1, Math.round(request.outputTokens ?? usualOutput));
    const turn = { prompt, outputTokens, answer: undefined, thinkMs: 0 };
    return {
      atMs: times[index] ?? 0,
      durationMs: request.durationMs,
      session: request.session,
      key: OWN + index,
      turn,
    };
  });
  turns.sort((a, b) => a.atMs - b.atMs);
  const sessions = isClosedLoop ? closedLoops(turns, rate, name) : turns.map((one) => sessionOf([one], rate));
  const durationMs = Math.min(durationSecs * 1000, (turns.at(-1)?.atMs ?? 0) / rate + 1);
  return {
    name: `${name}${noteOn(trace)}`,
    workers: Array.from({ length: workers }, () => ({ engine, kvTokens: KV_TOKENS, slowness: 1, joinsAtMs: 0 })),
    sessions: sessions.filter(({ startAtMs }) => startAtMs <= durationMs),
    faults: [],
    slo: SLO,
    durationMs,
    // Caches are cold at the beginning of every replay, so that all of it counts.
    warmupMs: 0,
  };
}

/** Throws invalid_request where no request is for the model. */
function ofModel(trace: Trace, model: string, name: string): Trace {
  const requests = trace.requests.filter((one) => one.model === model);
  if (requests.length > 0) return { ...trace, requests };
  const others = modelsOf(trace);
  const are = others.length === 0 ? "it names no models" : `its models are ${others.slice(0, 20).join(", ")}`;
  throw new GatewayError("invalid_request", `${name}: no request is for the model ${JSON.stringify(model)}; ${are}`);
}

function modelsOf({ requests }: Trace): string[] {
  return [...new Set(requests.flatMap(({ model }) => model ?? []))].sort();
}

/** What the replay takes the trace for, so that whoever knows better sees it. */
function noteOn(trace: Trace): string {
  const models = modelsOf(trace).length;
  const notes = [
    ...(trace.blockEnds === undefined && trace.blockTokens !== MOONCAKE_BLOCK_TOKENS
      ? [`blocks of ${trace.blockTokens} tokens`]
      : []),
    ...(models > 1 ? [`${models} models as one`] : []),
  ];
  return notes.length === 0 ? "" : ` (${notes.join(", ")})`;
}

/** A request of a trace, and when it came. */
interface Arrival {
  readonly atMs: number;
  readonly durationMs: number | undefined;
  readonly session: number | undefined;
  /** A key of its own, for a request without a session. */
  readonly key: number;
  readonly turn: Turn;
}

/** The arrivals as the turns of one session. */
function sessionOf(arrivals: readonly Arrival[], rate: number): Session {
  const [first] = arrivals;
  const turns = arrivals.map(({ turn, atMs }, index) => {
    const before = arrivals[index - 1];
    return before ? { ...turn, thinkMs: Math.max(0, atMs - endOf(before)) } : turn;
  });
  return { startAtMs: (first?.atMs ?? 0) / rate, key: first?.session ?? first?.key ?? OWN, turns };
}

/**
 * Puts requests of one session that came one after the other together. One that came while all before it ran, as of an agent that does
 * several things at once, begins another row. `arrivals` are in order.
 */
function closedLoops(arrivals: readonly Arrival[], rate: number, name: string): Session[] {
  if (!arrivals.some(({ session, durationMs }) => session !== undefined && durationMs !== undefined)) {
    throw new GatewayError(
      "invalid_request",
      `${name}: no request has a session and duration_ms, which a closed loop needs`,
    );
  }
  const rows: Arrival[][] = [];
  const bySession = new Map<number, Arrival[][]>();
  for (const arrival of arrivals) {
    const { session, atMs } = arrival;
    const own = (session === undefined ? undefined : bySession.get(session)) ?? [];
    const row = own.find((some) => endOfRow(some) <= atMs + NEARLY_MS);
    if (row) {
      row.push(arrival);
      continue;
    }
    const begun = [arrival];
    rows.push(begun);
    if (session !== undefined) bySession.set(session, [...own, begun]);
  }
  return rows.map((row) => sessionOf(row, rate));
}

function endOfRow(row: readonly Arrival[]): number {
  const last = row.at(-1);
  return last ? endOf(last) : Number.POSITIVE_INFINITY;
}

/** A client may have the end of an answer before the gateway has noted it, ms. */
const NEARLY_MS = 10;

/** When a request was over, ms; never where that is unknown. */
function endOf({ atMs, durationMs }: Arrival): number {
  return durationMs === undefined ? Number.POSITIVE_INFINITY : atMs + durationMs;
}

/**
 * When each request comes, ms after the first timestamp. Those of one timestamp are spread at random until the next one: traces are
 * written with coarse clocks, and no real load comes in such jolts. A request that has its timestamp for itself keeps it.
 */
function spread(requests: readonly TracedRequest[], random: () => number): number[] {
  const start = requests[0]?.atMs ?? 0;
  const times: number[] = [];
  let gap = 0;
  for (let first = 0; first < requests.length;) {
    const from = requests[first]?.atMs ?? 0;
    let next = first + 1;
    while (requests[next]?.atMs === from) next += 1;
    // After the last timestamp comes as much time as before it.
    gap = (requests[next]?.atMs ?? from + gap) - from;
    const width = next - first === 1 ? 0 : gap;
    for (; first < next; first += 1) times.push(from - start + width * random());
  }
  return times;
}

/** One factor for the whole trace, so that equal blocks have equally many tokens in each request. */
function tokensPerByte(requests: readonly TracedRequest[]): number {
  const bytes = requests.reduce((sum, { promptBytes = 0 }) => sum + promptBytes, 0);
  const tokens = requests.reduce(
    (sum, { promptBytes = 0, inputTokens }) => sum + (promptBytes > 0 ? inputTokens : 0),
    0,
  );
  return bytes === 0 ? 0.25 : tokens / bytes;
}

function meanOutput(requests: readonly TracedRequest[]): number {
  const known = requests.flatMap(({ outputTokens }) => (outputTokens === undefined ? [] : [outputTokens]));
  return known.length === 0 ? 1 : known.reduce((sum, one) => sum + one, 0) / known.length;
}

function equalBlocks({ blocks, inputTokens }: TracedRequest, blockTokens: number): Segment[] {
  return segmentsUpTo(inputTokens, blocks, (block) => (block + 1) * blockTokens);
}

function blocksOf({ blocks, inputTokens }: TracedRequest, ends: readonly number[], toTokens: number): Segment[] {
  return segmentsUpTo(inputTokens, blocks, (block) => Math.round((ends[block] ?? 0) * toTokens));
}

/** Segments of the blocks as far as the prompt reaches. A block's last part may be cut: it is then the beginning of the same text. */
function segmentsUpTo(inputTokens: number, blocks: readonly number[], endOf: (block: number) => number): Segment[] {
  const segments: Segment[] = [];
  let start = 0;
  for (const [block, id] of blocks.entries()) {
    const end = Math.min(inputTokens, endOf(block));
    if (end > start) segments.push({ id, tokens: end - start });
    start = Math.max(start, end);
  }
  return segments;
}
