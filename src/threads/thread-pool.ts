import type { Config } from "../config/schema.ts";
import { asGatewayError, type GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import { countsOf, type Metrics, type MetricsSnapshot } from "../observability/metrics.ts";
import type { Recording } from "../observability/recording.ts";
import type { DecisionQuery, FoundDecisions } from "../router/decision-log.ts";
import type { FollowedChange, PolicyFollower } from "../router/policy-follower.ts";
import type { Clock } from "../util/clock.ts";
import type { OutcomeSink } from "../worker/attempt-outcome.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import { workerState } from "../worker/worker-state.ts";
import { answerCall, type AnswerCallDeps } from "./answer-call.ts";
import { errorState } from "./error-state.ts";
import { isPermit } from "./held-calls.ts";
import type { Call, Change, FromThread, Start, ToThread } from "./messages.ts";
import { RestartRests } from "./restart-rests.ts";
import { ThreadsConfig } from "./threads-config.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { startMessage, type StartMessageDeps } from "./start-message.ts";
import { firstStart, type Spawn, ThreadHandle } from "./thread-handle.ts";

export interface ThreadPoolDeps extends AnswerCallDeps, StartMessageDeps {
  /** Tells of changes of the configuration. */
  readonly live: Pick<LiveConfig, "register">;
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ledger: LoadLedger;
  readonly policyFollower: Pick<PolicyFollower, "onFollowed">;
  readonly outcomes: OutcomeSink;
  /** Writes complete log lines of threads. */
  readonly writeLog: (text: string) => void;
  /** Gets what keys have used. */
  readonly usage: { add(rows: Extract<FromThread, { type: "used" }>["rows"]): void };
  /** Gets what the threads record. */
  readonly recording?: Pick<Recording, "record" | "lost"> | undefined;
  /** Sends the spans of the threads. */
  readonly spans?: { add(spans: Extract<FromThread, { readonly type: "spans" }>["spans"]): void } | undefined;
  readonly clock: Clock;
  readonly spawn: Spawn;
}

/** Time for serving threads to apply a change, ms: longer than any work that blocks a thread. */
const SETTLED_MS = 5000;
/** Time for the threads to close, and to send their last log lines, ms. */
const STOP_MS = 500;

/**
 * The serving threads. It sends them every change in order, answers their calls, and restarts each thread that is over, however it
 * ended.
 */
export class ThreadPool {
  readonly #deps: ThreadPoolDeps;
  /** What threads get when they start. */
  #config: Config;
  readonly #threads = new Map<number, ThreadHandle>();
  readonly #rests = new RestartRests();
  readonly #waiters = new Set<() => void>();
  readonly #stopFollowing: readonly (() => void)[];
  /** Version of the registries: the number of changes. */
  #version = 0;
  #port: number;
  /** Counts of threads that are over. */
  #departed: MetricsSnapshot = {};
  #isLeaving = false;
  #isListening = true;
  #isStopping = false;

  private constructor(deps: ThreadPoolDeps) {
    this.#deps = deps;
    this.#port = deps.config.port;
    this.#config = deps.config;
    this.#stopFollowing = [
      deps.policyFollower.onFollowed((change) => this.#onFollowed(change)),
      deps.tokenizers.onChange((tokenizer) =>
        this.#tell({ put: undefined, removed: undefined, tokenizer, memory: [] }),
      ),
      deps.live.register(
        new ThreadsConfig({
          threads: () => this.#threads.values(),
          memory: () => deps.policyMemory.all(),
          logger: deps.logger,
          onConfig: (config) => {
            this.#config = config;
          },
        }),
      ),
    ];
  }

  /** Resolves when all threads listen. Rejects with the error of the first thread that cannot; then no thread is left. */
  static async start(deps: ThreadPoolDeps): Promise<ThreadPool> {
    const pool = new ThreadPool(deps);
    const start = (number: number): Promise<void> => firstStart(() => pool.#startThread(number));
    try {
      // The first thread finds the port, if any free one is allowed.
      await start(0);
      await Promise.all(Array.from({ length: deps.config.threads - 1 }, (_, index) => start(index + 1)));
      return pool;
    } catch (error) {
      await pool.stop();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  /** Requests in flight on all threads, from their last reports. They report from `stopListening` on. */
  get active(): number {
    let sum = 0;
    for (const { active } of this.#threads.values()) sum += active;
    return sum;
  }

  /**
   * Resolves when all serving threads have applied every change so far. A starting thread begins with these changes. The log names a
   * thread that does not answer in time, and nothing waits for it any longer.
   */
  async settled(): Promise<void> {
    const { clock, logger } = this.#deps;
    const wanted = this.#version;
    const end = clock.now() + SETTLED_MS;
    for (;;) {
      const behind = [...this.#threads.values()].filter((thread) => thread.isServing && thread.version < wanted);
      if (behind.length === 0) return;
      if (clock.now() >= end) {
        logger.warn({ threads: behind.map(({ number }) => number) }, "a thread has not taken a change yet");
        return;
      }
      await this.#changed(end);
    }
  }

  /**
   * The counts of all threads. A thread that does not answer in time, or is over, keeps its last counts: a reader of the metrics would
   * take a falling count for a restart of the gateway.
   */
  async snapshots(): Promise<MetricsSnapshot[]> {
    const threads = [...this.#threads.values()];
    const states = await Promise.all(threads.map((thread) => thread.ask()));
    const silent = threads.flatMap(({ metrics }, index) => (metrics && !states[index] ? [metrics] : []));
    const counts = countsOf([this.#departed, ...silent]);
    return [counts, ...states.flatMap((state) => (state ? [state.metrics] : []))];
  }

  /** The last choices of all threads, the newest first. */
  async findDecisions(query: DecisionQuery): Promise<FoundDecisions> {
    const threads = [...this.#threads.values()];
    const answers = await Promise.all(threads.map((thread) => thread.findDecisions(query)));
    const tries = answers.flatMap((found) => found ?? []).sort((a, b) => b.at - a.at);
    const silentThreads = threads.flatMap(({ number }, index) => (answers[index] ? [] : [number]));
    return { tries: tries.slice(0, query.limit), silentThreads };
  }

  beginToLeave(): void {
    this.#isLeaving = true;
    this.#broadcast({ type: "leave" });
  }

  stopListening(): void {
    this.#isListening = false;
    for (const thread of this.#threads.values()) thread.stopListening();
  }

  replaceCertificates({ main, workers }: Start["certificates"]): void {
    this.#broadcast({ type: "certificates", next: { main, workers } });
  }

  failAll(error: GatewayError): void {
    this.#broadcast({ type: "failAll", error: errorState(error) });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const stop of this.#stopFollowing) stop();
    const threads = [...this.#threads.values()];
    this.#broadcast({ type: "stop" });
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.after(STOP_MS, resolve);
    await Promise.race([Promise.all(threads.map(({ ended }) => ended)), late]);
    cancel();
    for (const thread of threads) thread.end("it was stopped");
  }

  #startThread(number: number): ThreadHandle {
    const facts = { number, port: this.#port, version: this.#version };
    const thread = new ThreadHandle({
      ...facts,
      clock: this.#deps.clock,
      spawn: this.#deps.spawn,
      startMessage: (methodCell) => startMessage({ ...this.#deps, config: this.#config }, { ...facts, methodCell }),
      onMessage: (from, message) => this.#onMessage(from, message),
      onOver: (ended) => this.#onOver(ended),
    });
    this.#threads.set(number, thread);
    if (this.#isLeaving) thread.post({ type: "leave" });
    return thread;
  }

  /** Handles the end of a thread, and starts the next one. No other code does either. */
  #onOver(thread: ThreadHandle): void {
    const { ledger, keys, logger, metrics, clock } = this.#deps;
    const { number, howItEnded, hasServed, livedMs } = thread;
    this.#threads.delete(number);
    if (thread.metrics) this.#departed = countsOf([this.#departed, thread.metrics]);
    ledger.releaseThread(number);
    keys.releaseThread(number);
    this.#wake();
    // The caller of the first start learns of it by `started`.
    const isFirst = !hasServed && !this.#rests.has(number);
    if (isFirst || this.#isStopping || !this.#isListening) return;
    if (howItEnded.isOutdated) return void this.#startThread(number);
    const restMs = this.#rests.take(number, livedMs);
    const { reason, method } = howItEnded;
    logger.error({ thread: number, reason, doing: method, restart_ms: restMs }, "a thread died and is started anew");
    metrics.increment("threadRestarts", {});
    clock.after(restMs, () => {
      if (!this.#isStopping && this.#isListening) this.#startThread(number);
    });
  }

  #onMessage(thread: ThreadHandle, message: FromThread): void {
    switch (message.type) {
      case "listening":
        this.#port = message.port;
        return this.#wake();
      case "applied":
        return this.#wake();
      case "outcome":
        return this.#deps.outcomes.report(message.workerId, message.outcome);
      case "wanted":
        return this.#deps.modelFinder.wanted(message.workers);
      case "log":
        return this.#deps.writeLog(message.text);
      case "used":
        return this.#deps.usage.add(message.rows);
      case "recorded":
        for (const request of message.requests) this.#deps.recording?.record(request);
        this.#deps.recording?.lost(message.lost);
        return thread.post({ type: "recordingTaken" });
      case "spans":
        return this.#deps.spans?.add(message.spans);
      case "call":
        void this.#answer(thread, message.id, message.call);
        return;
      case "release":
        return thread.calls.release(message.id);
      default:
    }
  }

  async #answer(thread: ThreadHandle, id: number, call: Call): Promise<void> {
    try {
      const answer = await thread.calls.answer<object>(id, (signal) => answerCall(this.#deps, call, signal));
      if (answer) thread.post({ type: "reply", id, value: isPermit(answer) ? undefined : answer });
    } catch (error) {
      thread.post({ type: "refusal", id, error: errorState(asGatewayError(error)) });
    }
  }

  #onFollowed({ before, after, memory }: FollowedChange): void {
    this.#tell({
      put: after && workerState(after, this.#deps.clock.now()),
      removed: after ? undefined : before?.id,
      tokenizer: undefined,
      memory,
    });
  }

  #tell(change: Omit<Change, "type" | "version">): void {
    this.#version += 1;
    this.#broadcast({ type: "change", version: this.#version, ...change });
  }

  #broadcast(message: ToThread): void {
    for (const thread of this.#threads.values()) thread.post(message);
  }

  /** Resolves when a thread begins to serve, has applied a change, or is over; at the latest at `end`. */
  #changed(end: number): Promise<void> {
    const { clock } = this.#deps;
    return new Promise((resolve) => {
      const cancel = clock.after(end - clock.now(), resolve);
      this.#waiters.add(() => {
        cancel();
        resolve();
      });
    });
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}
