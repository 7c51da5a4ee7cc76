/** How a request ended. */
export const ANSWERED = 0;
/** It failed at every worker that it was sent to, or nobody could take it. */
const FAILED = 1;

/** Numbers of one kind for each request. */
type Column = Float64Array | Int32Array;

/**
 * What happened to each request, in the order of arrival: one column for each fact, so that a run of many requests holds no objects.
 * Times are in ms of virtual time; NaN where something never came.
 */
export class Records {
  #length = 0;
  arrivedAt = new Float64Array(1024);
  /** From the arrival to the first token, with all attempts. */
  ttftMs = new Float64Array(1024);
  /** From the arrival to the last token. */
  totalMs = new Float64Array(1024);
  /** TTFT on an engine that does nothing else and has in its cache whatever any engine ever had. */
  boundMs = new Float64Array(1024);
  /**
   * How far the time from the send to the first token, of the worker that prefilled last, was from what the policy expected; NaN where it
   * expected none.
   */
  predictionErrorMs = new Float64Array(1024);
  /** Time that the policy took, on the clock of this machine, us. */
  decisionUs = new Float64Array(1024);
  /** The worker that answered, by its place in the load; -1 for none. For a pair the one that decoded. */
  worker = new Int32Array(1024);
  /** The worker that prefilled; the same as `worker` where there is no pair. */
  prefillWorker = new Int32Array(1024);
  gateway = new Int32Array(1024);
  promptTokens = new Int32Array(1024);
  /** Prompt tokens that the engine had in its cache. */
  cachedTokens = new Int32Array(1024);
  /** Prompt tokens that any engine ever had in its cache: what one endless cache for all would hit. */
  idealTokens = new Int32Array(1024);
  outputTokens = new Int32Array(1024);
  /** Attempts after the first one. */
  retries = new Int32Array(1024);
  outcome = new Int32Array(1024);

  /** Requests so far. */
  get length(): number {
    return this.#length;
  }

  /** A row for a request that arrives now. Returns its number. */
  add(arrivedAt: number, gateway: number): number {
    const row = this.#length;
    if (row === this.arrivedAt.length) this.#grow();
    this.#length += 1;
    for (const column of [this.ttftMs, this.totalMs, this.predictionErrorMs]) column[row] = Number.NaN;
    this.arrivedAt[row] = arrivedAt;
    this.gateway[row] = gateway;
    this.worker[row] = -1;
    this.prefillWorker[row] = -1;
    this.outcome[row] = FAILED;
    return row;
  }

  /** Mean time between tokens of an answer, ms; 0 for an answer of one token. */
  tpotMs(row: number): number {
    const tokens = (this.outputTokens[row] ?? 0) - 1;
    return tokens <= 0 ? 0 : ((this.totalMs[row] ?? 0) - (this.ttftMs[row] ?? 0)) / tokens;
  }

  #grow(): void {
    this.arrivedAt = grown(this.arrivedAt);
    this.ttftMs = grown(this.ttftMs);
    this.totalMs = grown(this.totalMs);
    this.boundMs = grown(this.boundMs);
    this.predictionErrorMs = grown(this.predictionErrorMs);
    this.decisionUs = grown(this.decisionUs);
    this.worker = grown(this.worker);
    this.prefillWorker = grown(this.prefillWorker);
    this.gateway = grown(this.gateway);
    this.promptTokens = grown(this.promptTokens);
    this.cachedTokens = grown(this.cachedTokens);
    this.idealTokens = grown(this.idealTokens);
    this.outputTokens = grown(this.outputTokens);
    this.retries = grown(this.retries);
    this.outcome = grown(this.outcome);
  }
}

function grown<C extends Column>(column: C): C;
function grown(column: Column): Column {
  const longer =
    column instanceof Float64Array ? new Float64Array(column.length * 2) : new Int32Array(column.length * 2);
  longer.set(column);
  return longer;
}
