import { stateOf, viewsOf, type WorkerView } from "./worker-views.ts";

/** What one look at a gateway tells of a worker. Counters run since its start. */
export interface WorkerSample {
  readonly url: string;
  /** Its status, and what keeps requests from it. */
  readonly state: string;
  readonly inFlight: number;
  readonly pendingTokens: number;
  readonly models: readonly string[];
  /** Attempts at it; undefined where its counts are among those of `other`, as those of the 257th worker are. */
  readonly attempts: number | undefined;
  readonly failed: number;
  readonly answerTokens: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Streams by their time to the first token: how many took at most so many seconds. */
  readonly ttft: readonly (readonly [secs: number, count: number])[];
}

/** One look at a gateway. */
export interface Sample {
  /** Ms on any clock that all samples share. */
  readonly at: number;
  readonly workers: readonly WorkerSample[];
}

/** A worker between two looks: rates are a second. */
export interface WorkerRates extends Pick<WorkerSample, "url" | "state" | "inFlight" | "pendingTokens" | "models"> {
  /** undefined where its counts are not known; then nothing of the rest is. */
  readonly requests: number | undefined;
  /** Share of the attempts that failed; undefined where there were none. */
  readonly failedShare: number | undefined;
  readonly tokens: number | undefined;
  readonly cachedShare: number | undefined;
  /** Of the streams between the looks, s; undefined where there was none. */
  readonly ttftP50: number | undefined;
  readonly ttftP95: number | undefined;
}

type Series = readonly (readonly [labels: ReadonlyMap<string, string>, value: number])[];

/** Reads a look out of `GET /workers` and the page of metrics. */
export function sampleOf(at: number, workers: WorkerView, page: string): Sample {
  const series = readPage(page);
  return { at, workers: viewsOf(workers).map((view) => workerSample(view, series)) };
}

function workerSample(view: WorkerView, series: ReadonlyMap<string, Series>): WorkerSample {
  const url = text(view["url"]);
  const of = (name: string): Series => (series.get(name) ?? []).filter(([labels]) => labels.get("worker") === url);
  const sum = (list: Series): number => list.reduce((total, [, value]) => total + value, 0);
  const attempts = of("pointsman_worker_attempts_total");
  const isUnknown =
    attempts.length === 0 &&
    series.get("pointsman_worker_attempts_total")?.some(([labels]) => labels.get("worker") === "other") === true;
  return {
    url,
    state: stateOf(view),
    inFlight: number(view["load"]),
    pendingTokens: number(view["pending_prompt_tokens"]),
    models: Array.isArray(view["models"]) ? view["models"].map(text) : [],
    attempts: isUnknown ? undefined : sum(attempts),
    failed: sum(attempts.filter(([labels]) => labels.get("outcome") !== "ok")),
    answerTokens: sum(of("pointsman_completion_tokens_total")),
    promptTokens: sum(of("pointsman_prompt_tokens_total")),
    cachedTokens: sum(of("pointsman_cached_prompt_tokens_total")),
    ttft: bucketsOf(of("pointsman_time_to_first_token_seconds_bucket")),
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The series of a page in Prometheus' text form, by name. */
function readPage(page: string): Map<string, Series> {
  const found = new Map<string, [ReadonlyMap<string, string>, number][]>();
  for (const line of page.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const map = new Map(
      Array.from(labels.matchAll(LABEL), ([, key = "", given = ""]) => [key, given.replace(/\\(.)/g, "$1")]),
    );
    const series = found.get(name);
    if (series) series.push([map, Number(value)]);
    else found.set(name, [[map, Number(value)]]);
  }
  return found;
}

/** Buckets of all models of a worker, ascending. */
function bucketsOf(series: Series): [number, number][] {
  const sums = new Map<number, number>();
  for (const [labels, value] of series) {
    const bound = labels.get("le") === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.get("le"));
    sums.set(bound, (sums.get(bound) ?? 0) + value);
  }
  return [...sums].toSorted(([one], [other]) => one - other);
}

/** What happened between two looks. A worker that the first one does not have counts from nothing, and so does one that began anew. */
export function ratesBetween(before: Sample, after: Sample): WorkerRates[] {
  const secs = Math.max(0.001, (after.at - before.at) / 1000);
  const known = new Map(before.workers.map((worker) => [worker.url, worker]));
  return after.workers.map((now) => {
    const was = known.get(now.url);
    const grown = (key: "attempts" | "failed" | "answerTokens" | "promptTokens" | "cachedTokens"): number =>
      Math.max(0, (now[key] ?? 0) - (was?.[key] ?? 0));
    const isKnown = now.attempts !== undefined;
    const then = new Map(was?.ttft);
    const streams = now.ttft.map(([bound, count]): [number, number] => [
      bound,
      Math.max(0, count - (then.get(bound) ?? 0)),
    ]);
    return {
      url: now.url,
      state: now.state,
      inFlight: now.inFlight,
      pendingTokens: now.pendingTokens,
      models: now.models,
      requests: isKnown ? grown("attempts") / secs : undefined,
      failedShare: share(grown("failed"), grown("attempts")),
      tokens: isKnown ? grown("answerTokens") / secs : undefined,
      cachedShare: share(grown("cachedTokens"), grown("promptTokens")),
      ttftP50: quantile(streams, 0.5),
      ttftP95: quantile(streams, 0.95),
    };
  });
}

function share(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : part / whole;
}

/** A quantile of a histogram, linear within a bucket, as Prometheus' `histogram_quantile`. */
export function quantile(buckets: readonly (readonly [bound: number, count: number])[], q: number): number | undefined {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total === 0) return undefined;
  const rank = q * total;
  let [low, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return low;
      return low + (bound - low) * ((rank - below) / Math.max(1, count - below));
    }
    [low, below] = [bound, count];
  }
  return low;
}
