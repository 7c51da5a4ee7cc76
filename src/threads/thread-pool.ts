import type { Config } from "../config/schema.ts";
import { plainConfig } from "../config/plain-config.ts";
import { asGatewayError, type GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics, MetricsSnapshot } from "../observability/metrics.ts";
import type { PolicyMemory } from "../policy/policy-memory.ts";
import type { Permit } from "../server/admission.ts";
import type { ControlApp } from "../server/control-app.ts";
import type { LocalGate } from "../server/gate.ts";
import type { Route } from "../server/route.ts";
import type { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { OutcomeSink } from "../worker/breaker-board.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import type { Worker as FleetWorker } from "../worker/worker.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { workerState } from "../worker/worker-state.ts";
import { ToldRequest } from "../transport/told-request.ts";
import { errorState } from "./error-state.ts";
import type { Call, Change, ControlCall, ControlReply, FromThread, Start, ThreadState, ToThread } from "./messages.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

export interface ThreadPoolDeps {
  readonly config: Config;
  readonly threads: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ledger: LoadLedger;
  readonly workerRegistry: WorkerRegistry;
  readonly policyMemory: PolicyMemory;
  readonly tokenizers: Pick<TokenizerRegistry, "onChange" | "named">;
  readonly outcomes: OutcomeSink;
  readonly gate: LocalGate;
  readonly control: ControlApp;
  /** The routes that stand on the port of the threads. */
  readonly routes: readonly Route[];
  /** Lines that threads have written, whole ones. */
  readonly writeLog: (text: string) => void;
  /** The monotonic clock that rests are told on, ms. */
  readonly now: () => number;
}

interface Thread {
  readonly number: number;
  readonly worker: Worker;
  /** Version of the registry that it has. */
  version: number;
  active: number;
  readonly permits: Map<number, Permit>;
  readonly calls: Map<number, AbortController>;
  readonly questions: Map<number, (state: ThreadState) => void>;
  isOver: boolean;
}

/** For a thread to say what it knows, ms: one that hangs must not hang the metrics. */
const STATE_TIMEOUT_MS = 1000;
/** Between the death of a thread and the next try, ms; doubles while they die at once. */
const RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** A thread that has lived for so long did not die of its beginning, ms. */
const HEALTHY_MS = 30_000;

/**
 * The threads that serve. This thread owns what is one truth: it tells them of every change, in its order, answers what they
 * ask, and starts one anew that has died, giving back what it held.
 */
export class ThreadPool {
  readonly #deps: ThreadPoolDeps;
  readonly #threads = new Map<number, Thread>();
  readonly #waiters = new Set<() => void>();
  readonly #stopListening: readonly (() => void)[];
  #version = 0;
  #port: number;
  #nextQuestion = 0;
  #isStopping = false;
  #restartMs = RESTART_MS;

  private constructor(deps: ThreadPoolDeps) {
    this.#deps = deps;
    this.#port = deps.config.port;
    this.#stopListening = [
      deps.workerRegistry.onChange((before, after) => this.#onChange(before, after)),
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
      await pool.#startThread(0);
      const others = Array.from({ length: deps.threads - 1 }, (_, index) => pool.#startThread(index + 1));
      await Promise.all(others);
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

  /** Resolves when all threads have taken every change up to now. */
  async settled(): Promise<void> {
    const wanted = this.#version;
    while ([...this.#threads.values()].some(({ version }) => version < wanted)) {
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** What the threads have counted. One that does not answer in time is left out. */
  async snapshots(): Promise<MetricsSnapshot[]> {
    const states = await Promise.all([...this.#threads.values()].map((thread) => this.#ask(thread)));
    return states.flatMap((state) => (state ? [state.metrics] : []));
  }

  beginToLeave(): void {
    this.#broadcast({ type: "leave" });
  }

  stopListening(): void {
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
    this.#broadcast({ type: "stop" });
    // Their last lines are on the way.
    await Bun.sleep(LAST_LINES_MS);
    for (const { worker } of this.#threads.values()) worker.terminate();
  }

  #startThread(number: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const worker = new Worker(new URL("thread-main.ts", import.meta.url).href);
    const thread: Thread = {
      number,
      worker,
      version: this.#version,
      active: 0,
      permits: new Map(),
      calls: new Map(),
      questions: new Map(),
      isOver: false,
    };
    const startedAt = this.#deps.now();
    this.#threads.set(number, thread);
    const onEnd = (reason: string): void => {
      reject(new Error(reason));
      this.#onEnd(thread, reason, this.#deps.now() - startedAt);
    };
    worker.addEventListener("message", ({ data }: { data: FromThread }) => {
      if (data.type === "listening") {
        this.#port = data.port;
        resolve();
      } else if (data.type === "failed") {
        thread.isOver = true;
        reject(Object.assign(new Error(data.message), data.code === undefined ? {} : { code: data.code }));
      } else {
        this.#onMessage(thread, data);
      }
    });
    worker.addEventListener("error", (event) => {
      // Reported here, and not as an error of this thread too.
      event.preventDefault();
      onEnd(event.message);
    });
    worker.addEventListener("close", () => onEnd("the thread ended"));
    this.#post(thread, this.#startMessage(number));
    return promise;
  }

  #startMessage(thread: number): Start {
    const { config, threads, ledger, policyMemory, workerRegistry, tokenizers, routes, now } = this.#deps;
    return {
      type: "start",
      thread,
      threads,
      config: plainConfig(config),
      hostname: config.host,
      port: this.#port,
      ledger: ledger.memory,
      memory: policyMemory.all(),
      workers: workerRegistry.all().map((worker) => workerState(worker, now())),
      version: this.#version,
      tokenizers: tokenizers.named(),
      routes: routes.map(({ method, path, access }) => ({ method, path, access })),
    };
  }

  #onEnd(thread: Thread, reason: string, livedMs: number): void {
    if (thread.isOver) return;
    thread.isOver = true;
    const { ledger, logger, metrics } = this.#deps;
    this.#threads.delete(thread.number);
    for (const permit of thread.permits.values()) permit.release();
    for (const call of thread.calls.values()) call.abort(new Error("the thread died"));
    ledger.releaseThread(thread.number);
    this.#wake();
    if (this.#isStopping) return;
    logger.error({ thread: thread.number, reason }, "a thread died and is started anew");
    metrics.increment("threadRestarts", {});
    this.#restartMs = livedMs > HEALTHY_MS ? RESTART_MS : Math.min(this.#restartMs * 2, MAX_RESTART_MS);
    setTimeout(() => {
      if (!this.#isStopping) this.#startThread(thread.number).catch(() => undefined);
    }, this.#restartMs).unref();
  }

  #onMessage(thread: Thread, message: Exclude<FromThread, { type: "listening" | "failed" }>): void {
    switch (message.type) {
      case "taken":
        thread.version = message.version;
        this.#wake();
        return;
      case "outcome":
        this.#deps.outcomes.report(message.workerId, message.outcome);
        return;
      case "log":
        this.#deps.writeLog(message.text);
        return;
      case "active":
        thread.active = message.active;
        return;
      case "state":
        thread.questions.get(message.id)?.(message.state);
        thread.questions.delete(message.id);
        return;
      case "call":
        void this.#answer(thread, message.id, message.call);
        return;
      case "cancel":
        thread.calls.get(message.id)?.abort(new Error("the client left"));
        return;
      case "release":
        thread.permits.get(message.id)?.release();
        thread.permits.delete(message.id);
    }
  }

  async #answer(thread: Thread, id: number, call: Call): Promise<void> {
    const caller = new AbortController();
    thread.calls.set(id, caller);
    try {
      const value =
        call.what === "control" ? await this.#control(call, caller.signal) : await this.#permit(call, caller.signal);
      if (!("release" in value)) this.#post(thread, { type: "reply", id, value });
      else if (thread.isOver || caller.signal.aborted) value.release();
      else {
        thread.permits.set(id, value);
        this.#post(thread, { type: "reply", id, value: undefined });
      }
    } catch (error) {
      this.#post(thread, { type: "refusal", id, error: errorState(asGatewayError(error)) });
    } finally {
      thread.calls.delete(id);
    }
  }

  async #permit(call: Exclude<Call, ControlCall>, signal: LeaveSignal): Promise<Permit> {
    const { gate } = this.#deps;
    return call.what === "enter" ? gate.enter(call.entry, signal) : gate.enterModel(call.model, call.entry, signal);
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

  #onChange(before: FleetWorker | undefined, after: FleetWorker | undefined): void {
    const { policyMemory, now } = this.#deps;
    this.#tell({
      put: after && workerState(after, now()),
      removed: after ? undefined : before?.id,
      tokenizer: undefined,
      memory: policyMemory.takeUntold(),
    });
  }

  #tell(change: Omit<Change, "type" | "version">): void {
    this.#version += 1;
    this.#broadcast({ type: "change", version: this.#version, ...change });
  }

  #ask(thread: Thread): Promise<ThreadState | undefined> {
    const id = this.#nextQuestion;
    this.#nextQuestion += 1;
    const { promise, resolve } = Promise.withResolvers<ThreadState | undefined>();
    thread.questions.set(id, resolve);
    const timer = setTimeout(() => resolve(undefined), STATE_TIMEOUT_MS);
    this.#post(thread, { type: "ask", id });
    return promise.finally(() => {
      clearTimeout(timer);
      thread.questions.delete(id);
    });
  }

  #broadcast(message: ToThread): void {
    for (const thread of this.#threads.values()) this.#post(thread, message);
  }

  #post(thread: Thread, message: ToThread): void {
    if (!thread.isOver) thread.worker.postMessage(message);
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}

const LAST_LINES_MS = 100;
