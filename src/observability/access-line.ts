import type { AccessLine } from "./access-fields.ts";
import { SeriesMap } from "./series-map.ts";

/** Longest name of a model in a line or a label, characters, because clients may send any. */
const MAX_NAME_CHARS = 256;
/** Most pairs of a worker and a model whose text is kept, some 300 bytes each: as many as there can be workers. */
const MAX_KEPT = 16_384;
/** Times up to here, in tenths of a millisecond, are made text once. */
const USUAL_TENTHS = 2048;

/** What the access line tells of a request; a RequestRecord fits it by shape, and has the docstrings. */
export interface AccessFacts {
  readonly requestId: string;
  readonly endpoint: string;
  readonly key: string | undefined;
  readonly model: string | undefined;
  readonly isModelListed: boolean;
  readonly route: string | undefined;
  readonly failedModels: readonly object[] | undefined;
  readonly workerId: string | undefined;
  readonly workerUrl: string | undefined;
  readonly prefillWorkerId: string | undefined;
  readonly prefillWorkerUrl: string | undefined;
  readonly policy: string | undefined;
  readonly attempts: number;
  readonly failedAttempts: readonly object[] | undefined;
  readonly status: number;
  readonly errorCode: string | undefined;
  readonly isStream: boolean;
  readonly ttftMs: number | undefined;
  readonly predictedTtftMs: number | undefined;
  readonly tokens: AccessTokens | undefined;
  readonly durationMs: number;
}

/** Token counts of the answer. */
interface AccessTokens {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly cachedTokens: number | undefined;
}

/** The fields of a request's access line. */
export function accessFields(record: AccessFacts): AccessLine {
  return {
    request_id: record.requestId,
    endpoint: record.endpoint,
    key: record.key,
    model: record.model === undefined ? undefined : cut(record.model),
    route: record.route,
    failed_models: record.failedModels,
    worker: record.workerId,
    worker_url: record.workerUrl,
    prefill_worker: record.prefillWorkerId,
    prefill_worker_url: record.prefillWorkerUrl,
    policy: record.policy,
    attempts: record.attempts,
    failed: record.failedAttempts,
    status: record.status,
    error: record.errorCode,
    stream: record.isStream,
    ttft_ms: roundMs(record.ttftMs),
    predicted_ttft_ms: roundMs(record.predictedTtftMs),
    prompt_tokens: record.tokens?.promptTokens,
    completion_tokens: record.tokens?.completionTokens,
    cached_tokens: record.tokens?.cachedTokens,
    duration_ms: roundMs(record.durationMs),
  };
}

/** What the lines of one worker and model have in common. */
class CommonText {
  workerUrl: string | undefined;
  policy: string | undefined;
  /** From the model to the status. */
  text = "";
}

/**
 * `accessFields` as the members of a JSON object, in less than half of the time that JSON.stringify takes for them (0.2 of 0.5 µs; Bun 1.4.5,
 * 2026-11-27): what requests to one worker have in common is made text once, and a text of few parts is put together quickly.
 */
export class AccessText {
  /** Pairs of a worker and a model whose text is kept. */
  kept = 0;
  readonly #common = new SeriesMap<CommonText>(() => {
    this.kept += 1;
    return new CommonText();
  });

  /** The members, without braces. */
  of(record: AccessFacts): string {
    const { workerId, model } = record;
    if (workerId === undefined || model === undefined || !isPlain(record, model)) {
      return JSON.stringify(accessFields(record)).slice(1, -1);
    }
    // Of the id each character stands for itself: see `requestIdOf`.
    let text = `"request_id":"${record.requestId}","endpoint":"${record.endpoint}`;
    text += record.key === undefined ? '",' : `","key":${JSON.stringify(record.key)},`;
    text += this.#commonOf(record, workerId, model);
    text += record.isStream ? ',"stream":true' : ',"stream":false';
    const { tokens, ttftMs, predictedTtftMs } = record;
    if (ttftMs !== undefined) text += `,"ttft_ms":${tenthsOf(ttftMs)}`;
    if (predictedTtftMs !== undefined) text += `,"predicted_ttft_ms":${tenthsOf(predictedTtftMs)}`;
    if (tokens?.promptTokens !== undefined) text += `,"prompt_tokens":${numberText(tokens.promptTokens)}`;
    if (tokens?.completionTokens !== undefined) text += `,"completion_tokens":${numberText(tokens.completionTokens)}`;
    if (tokens?.cachedTokens !== undefined) text += `,"cached_tokens":${numberText(tokens.cachedTokens)}`;
    return `${text},"duration_ms":${tenthsOf(record.durationMs)}`;
  }

  #commonOf(record: AccessFacts, worker: string, model: string): string {
    if (this.kept > MAX_KEPT) {
      this.kept = 0;
      this.#common.clear();
    }
    const common = this.#common.get(worker, model);
    const { workerUrl, policy } = record;
    if (common.text === "" || common.workerUrl !== workerUrl || common.policy !== policy) {
      common.workerUrl = workerUrl;
      common.policy = policy;
      const fields = { model, worker, worker_url: workerUrl, policy, attempts: 1, status: 200 };
      common.text = JSON.stringify(fields).slice(1, -1);
    }
    return common.text;
  }
}

/** Whether one worker answered it at the first try, under the model's own name, which is one of a few: clients may send any. */
function isPlain(record: AccessFacts, model: string): boolean {
  return (
    record.isModelListed &&
    model.length <= MAX_NAME_CHARS &&
    record.status === 200 &&
    record.attempts === 1 &&
    record.errorCode === undefined &&
    record.failedAttempts === undefined &&
    record.failedModels === undefined &&
    record.route === undefined &&
    record.prefillWorkerId === undefined
  );
}

const tenths: (string | undefined)[] = Array.from({ length: USUAL_TENTHS });

/** As JSON writes `roundMs`. */
function tenthsOf(ms: number): string {
  const count = Math.round(ms * 10);
  if (!(count >= 0 && count < USUAL_TENTHS)) return numberText(count / 10);
  const known = tenths[count];
  if (known !== undefined) return known;
  const made = numberText(count / 10);
  tenths[count] = made;
  return made;
}

function numberText(value: number): string {
  return Number.isFinite(value) ? String(value) : "null";
}

/** A name of at most 256 characters. */
export function cut(name: string): string {
  return name.length > MAX_NAME_CHARS ? name.slice(0, MAX_NAME_CHARS) : name;
}

/** To a tenth of a millisecond. */
export function roundMs(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10;
}
