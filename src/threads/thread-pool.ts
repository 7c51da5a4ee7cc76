import type { Config } from "../config/schema.ts";
import { plainConfig } from "../config/plain-config.ts";
import { asGatewayError, type GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import { countsOf, type Metrics, type MetricsSnapshot } from "../observability/metrics.ts";
import type { PolicyMemory } from "../policy/policy-memory.ts";
import type { ControlApp } from "../server/control-app.ts";
import type { Gate } from "../server/gate.ts";
import type { Route } from "../server/route.ts";
import type { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import type { FollowedChange, PolicyFollower } from "../router/policy-follower.ts";
import type { OutcomeSink } from "../worker/attempt-outcome.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { workerState } from "../worker/worker-state.ts";
import { ToldRequest } from "../transport/told-request.ts";
import type { Clock } from "../util/clock.ts";
import { errorState } from "./error-state.ts";
import { isPermit } from "./held-calls.ts";
import type { Call, Change, ControlCall, ControlReply, FromThread, Start, ToThread } from "./messages.ts";
import { type Spawn, ThreadHandle } from "./thread-handle.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

export interface ThreadPoolDeps {
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ledger: LoadLedger;
  readonly workerRegistry: WorkerRegistry;
  readonly policyMemory: PolicyMemory;
  readonly policyFollower: Pick<PolicyFollower, "onFollowed">;
  readonly tokenizers: Pick<TokenizerRegistry, "onChange" | "named">;
  readonly outcomes: OutcomeSink;
  readonly gate: Gate;
  readonly modelFinder: ModelFinder;
  readonly control: Pick<ControlApp, "answer">;
  /** The routes that stand on the port of the threads. */
  readonly routes: readonly Route[];
  /** Lines that threads have written, whole ones. */
  readonly writeLog: (text: string) => void;
  /** Also the one that rests are told on. */
  readonly clock: Clock;
  readonly spawn: Spawn;
}

/** Between the end of a thread and the next try, ms; doubles while they die young. */
const RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** A thread that has lived for so long did not die of its beginning, ms. */
const HEALTHY_MS = 30_000;
/** For the threads that serve to take a change, ms: longer than any work that holds one up. */
const SETTLED_MS = 5000;
/** For the threads to close what they have, and for their last lines, ms. */
const STOP_MS = 500;

/** The answer to a question that is about nothing but the waiting for it. */
const DONE = {};

/**
 * The threads that serve. This thread owns what is one truth: it tells them of every change, in its order, answers what they
 * ask, and starts one anew that is over, however it came to that.
 */
export class ThreadPool {
  readonly #deps: ThreadPoolDeps;
  readonly #threads = new Map<number, ThreadHandle>();
  /** By number of the thread, how long it rests before it is started anew the next time, ms. */
  readonly #restMs = new Map<number, number>();
  readonly #waiters = new Set<() => void>();
  readonly #stopListening: readonly (() => void)[];
  #version = 0;
  #port: number;
  /** What threads that are over had counted. */
  #departed: MetricsSnapshot = {};
  #isLeaving = false;
  #isListening = true;
  #isStopping = false;

  private constructor(deps: ThreadPoolDeps) {
    this.#deps = deps;
    this.#port = deps.config.port;
    this.#stopListening = [
      deps.policyFollower.onFollowed((change) => this.#onFollowed(change)),
      deps.tokenizers.onChange((tokenizer) =>
        this.#tell({ put: undefined, removed: undefined, tokenizer, memory: [] }),
      ),
    ];
  }

  /** Resolves when all threads listen. Rejects with what the first says that cannot; then none is left. */
  static async start(deps: ThreadPoolDeps): Promise<ThreadPool> {
    const pool = new ThreadPool(deps);
    try {
      // The first finds the port where any free one will do.
      await pool.#startThread(0).started;
      const others = Array.from({ length: deps.config.threads - 1 }, (_, index) => pool.#startThread(index + 1));
      await Promise.all(others.map(({ started }) => started));
      return pool;
    } catch (error) {
      await pool.stop();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  /** Requests under way on all threads, as of the last that they said; asked for with `beginToLeave`. */
  get active(): number {
    let sum = 0;
    for (const { active } of this.#threads.values()) sum += active;
    return sum;
  }

  /**
   * Resolves when all threads that serve have taken every change up to now; one that starts begins with them. One that does not
   * answer is waited for within a bound, and then named in the log.
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
   * What the threads have counted. Of one that does not answer in time, and of those that are over, the counts that they said
   * last: a count that falls would be a restart of the gateway to whoever reads it.
   */
  async snapshots(): Promise<MetricsSnapshot[]> {
    const threads = [...this.#threads.values()];
    const states = await Promise.all(threads.map((thread) => thread.ask()));
    const silent = threads.flatMap(({ metrics }, index) => (metrics && !states[index] ? [metrics] : []));
    const counts = countsOf([this.#departed, ...silent]);
    return [counts, ...states.flatMap((state) => (state ? [state.metrics] : []))];
  }

  beginToLeave(): void {
    this.#isLeaving = true;
    this.#broadcast({ type: "leave" });
  }

  stopListening(): void {
    this.#isListening = false;
    // Until they have said otherwise they may all have something under way.
    for (const thread of this.#threads.values()) thread.active = Math.max(1, thread.active);
    this.#broadcast({ type: "stopListening" });
  }

  failAll(error: GatewayError): void {
    this.#broadcast({ type: "failAll", error: errorState(error) });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const stop of this.#stopListening) stop();
    const threads = [...this.#threads.values()];
    this.#broadcast({ type: "stop" });
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.after(STOP_MS, resolve);
    await Promise.race([Promise.all(threads.map(({ ended }) => ended)), late]);
    cancel();
    for (const thread of threads) thread.end("it was stopped");
  }

  #startThread(number: number): ThreadHandle {
    const thread = new ThreadHandle({
      number,
      version: this.#version,
      clock: this.#deps.clock,
      spawn: this.#deps.spawn,
      startMessage: (doing) => this.#startMessage(number, doing),
      onMessage: (from, message) => this.#onMessage(from, message),
      onOver: (ended) => this.#onOver(ended),
    });
    this.#threads.set(number, thread);
    if (this.#isLeaving) thread.post({ type: "leave" });
    return thread;
  }

  #startMessage(thread: number, doing: SharedArrayBuffer): Start {
    const { config, ledger, policyMemory, workerRegistry, tokenizers, routes, clock } = this.#deps;
    return {
      type: "start",
      thread,
      threads: config.threads,
      config: plainConfig(config),
      hostname: config.host,
      port: this.#port,
      ledger: ledger.memory,
      memory: policyMemory.all(),
      workers: workerRegistry.all().map((worker) => workerState(worker, clock.now())),
      version: this.#version,
      tokenizers: tokenizers.named(),
      routes: routes.map(({ method, path, access, maxBodyBytes }) => ({ method, path, access, maxBodyBytes })),
      doing,
    };
  }

  /** The one end of a thread, and the one place where the next begins. */
  #onOver(thread: ThreadHandle): void {
    const { ledger, logger, metrics, clock } = this.#deps;
    const { number, howItEnded, hasServed, livedMs } = thread;
    this.#threads.delete(number);
    if (thread.metrics) this.#departed = countsOf([this.#departed, thread.metrics]);
    ledger.releaseThread(number);
    this.#wake();
    // The first start is the caller's, who hears of it by `started`.
    const isFirst = !hasServed && !this.#restMs.has(number);
    if (isFirst || this.#isStopping || !this.#isListening) return;
    const known = this.#restMs.get(number) ?? RESTART_MS;
    const restMs = livedMs > HEALTHY_MS ? RESTART_MS : known;
    this.#restMs.set(number, Math.min(restMs * 2, MAX_RESTART_MS));
    const { reason, doing } = howItEnded;
    logger.error({ thread: number, reason, doing, restart_ms: restMs }, "a thread died and is started anew");
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
      case "taken":
        thread.version = message.version;
        return this.#wake();
      case "outcome":
        return this.#deps.outcomes.report(message.workerId, message.outcome);
      case "log":
        return this.#deps.writeLog(message.text);
      case "active":
        thread.active = message.active;
        return;
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
      const answer = await thread.calls.answer<object>(id, (signal) => this.#ask(call, signal));
      if (answer) thread.post({ type: "reply", id, value: isPermit(answer) ? undefined : answer });
    } catch (error) {
      thread.post({ type: "refusal", id, error: errorState(asGatewayError(error)) });
    }
  }

  async #ask(call: Call, signal: LeaveSignal): Promise<object> {
    const { gate, modelFinder } = this.#deps;
    switch (call.what) {
      case "control":
        return this.#control(call, signal);
      case "enter":
        return gate.enter(call.entry, signal);
      case "enterModel":
        return gate.enterModel(call.model, call.entry, signal);
      case "findModel":
        await modelFinder.find(call.model, signal);
        return DONE;
      case "foresee":
        await gate.foresee(call.entry, signal);
        return DONE;
    }
  }

  async #control({ route, params, requestId, ...told }: ControlCall, signal: LeaveSignal): Promise<ControlReply> {
    const { control, routes } = this.#deps;
    const known = routes[route];
    if (!known) throw new Error(`no route ${route}`);
    const request = new ToldRequest(told, signal);
    const { status, headers, body } = await control.answer(known, { request, params, requestId });
    if (typeof body === "object" && "run" in body) throw new Error("an answer of the control thread is no stream");
    return { status, headers, body };
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

  /** Resolves when something was said or ended, or at `end`. */
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
