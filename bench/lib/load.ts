import type { Answer } from "./answer-reader.ts";
import { Lane } from "./lane.ts";

/** What a run of load saw. */
export interface LoadResult {
  readonly requests: number;
  /** Events of streams, end markers included. */
  readonly events: number;
  readonly seconds: number;
  /** Of requests that were answered, sorted, ms. */
  readonly latencies: readonly number[];
  readonly failures: number;
  /** What the first failure was. */
  readonly failure: string | undefined;
}

/** What is sent: whole requests in turn, and how many events each answer has (0 for no stream). */
export interface Load {
  readonly requests: readonly Uint8Array[];
  readonly events: number;
}

/** A gateway that frames anew may cut an event in two, which is not seen then. Far fewer are a stream that was cut. */
const SEEN_SHARE = 0.98;
/** No run waits longer than this for its answers, ms. */
const LONGEST_RUN_MS = 60_000;

/** `lanes` clients, each sending its next request when the last one is answered, `total` in all. */
export async function closedLoop(origin: string, load: Load, lanes: number, total: number): Promise<LoadResult> {
  const run = new Run(load);
  const open = await openLanes(origin, Math.min(lanes, total));
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let left = total;
  let busy = open.length;
  const next = (lane: Lane): void => {
    if (left <= 0 || lane.broken !== undefined) {
      busy -= 1;
      if (busy === 0) resolve();
      return;
    }
    left -= 1;
    run.send(lane, () => next(lane));
  };
  run.start();
  for (const lane of open) next(lane);
  await within(done);
  const result = run.result(total);
  for (const lane of open) lane.close();
  return result;
}

/** Requests at a fixed rate whatever becomes of them, so that a slow gateway cannot slow its load. */
export async function openLoop(origin: string, load: Load, perSec: number, seconds: number): Promise<LoadResult> {
  const run = new Run(load);
  const total = Math.round(perSec * seconds);
  const all = await openLanes(origin, Math.max(4, Math.ceil(perSec / 10)));
  const free = [...all];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let left = total;
  run.start();
  for (let index = 0; index < total; index += 1) {
    const wait = run.startedAt + (index * 1000) / perSec - performance.now();
    if (wait > 0) await Bun.sleep(wait);
    let lane = free.pop();
    if (!lane) {
      lane = await Lane.open(origin);
      all.push(lane);
    }
    const used = lane;
    run.send(used, () => {
      if (used.broken === undefined) free.push(used);
      left -= 1;
      if (left === 0) resolve();
    });
  }
  await within(done);
  const result = run.result(total);
  for (const lane of all) lane.close();
  return result;
}

/** Opened a few at a time: a listener's queue is short. */
export async function openLanes(origin: string, count: number): Promise<Lane[]> {
  const lanes: Lane[] = [];
  while (lanes.length < count) {
    const some = Math.min(64, count - lanes.length);
    lanes.push(...(await Promise.all(Array.from({ length: some }, () => Lane.open(origin)))));
  }
  return lanes;
}

async function within(done: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  await Promise.race([done, new Promise<void>((resolve) => (timer = setTimeout(resolve, LONGEST_RUN_MS)))]);
  clearTimeout(timer);
}

class Run {
  startedAt = 0;
  readonly #load: Load;
  readonly #latencies: number[] = [];
  #sent = 0;
  #events = 0;
  #lastAt = 0;
  #failures = 0;
  #failure: string | undefined;

  constructor(load: Load) {
    this.#load = load;
  }

  start(): void {
    this.startedAt = performance.now();
  }

  send(lane: Lane, then: () => void): void {
    const { requests } = this.#load;
    const request = requests[this.#sent % requests.length];
    if (!request) throw new Error("a load needs a request");
    this.#sent += 1;
    const from = performance.now();
    lane.send(request, (answer) => {
      this.#lastAt = performance.now();
      this.#count(answer, this.#lastAt - from, lane.broken);
      then();
    });
  }

  /** What was not answered of `total` has failed. */
  result(total: number): LoadResult {
    const unanswered = total - this.#latencies.length - this.#failures;
    return {
      requests: this.#latencies.length,
      events: this.#events,
      seconds: (this.#lastAt - this.startedAt) / 1000,
      latencies: this.#latencies.sort((a, b) => a - b),
      failures: this.#failures + unanswered,
      failure: this.#failure ?? (unanswered > 0 ? "no answer in time" : undefined),
    };
  }

  #count(answer: Answer | undefined, ms: number, broken: string | undefined): void {
    const { events } = this.#load;
    if (answer?.status === 200 && answer.events >= events * SEEN_SHARE) {
      this.#events += answer.events;
      this.#latencies.push(ms);
      return;
    }
    this.#failures += 1;
    this.#failure ??= answer
      ? `status ${answer.status}, ${answer.events} of ${events} events ${answer.excerpt}`
      : `connection lost: ${broken}`;
  }
}
