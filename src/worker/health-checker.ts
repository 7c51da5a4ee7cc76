import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { WorkerProbers } from "./prober.ts";
import type { HealthSettings, Worker, WorkerStatus } from "./worker.ts";
import type { WorkerRegistry } from "./worker-registry.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";

/** Workers that are probed at the same time. */
const MAX_PROBES = 64;
/** Probes are spread over this share of their interval, so that a fleet is not asked all at once. */
const JITTER_RATIO = 0.1;

export interface HealthCheckerDeps {
  readonly registry: WorkerRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly probers: WorkerProbers;
  readonly defaults: HealthSettings;
  /** Between probes of a worker that has not answered yet, ms. */
  readonly startupIntervalMs: number;
  /** After this long without an answer a new worker counts as failed, ms. It is probed on. */
  readonly startupTimeoutMs: number;
  /** A worker that becomes unhealthy leaves the registry for good. */
  readonly removeUnhealthy: boolean;
  readonly modelFallback: string | undefined;
}

/** What is remembered of a worker between its probes. */
interface Watch {
  readonly id: string;
  readonly since: number;
  failures: number;
  successes: number;
  isProbing: boolean;
  /** Another probe was asked for while one was under way. */
  isAskedAgain: boolean;
  /** Its facts must be asked for before it is ready. */
  isUnknown: boolean;
  cancel: () => void;
}

/**
 * Probes each worker at its interval and moves it through the states in `worker.ts`. A worker that answers for the
 * first time, or again after it was out, is asked what it serves: it may have come back as another one.
 */
export class HealthChecker implements Disposable {
  readonly #deps: HealthCheckerDeps;
  readonly #watches = new Map<string, Watch>();
  readonly #waiting: Watch[] = [];
  readonly #settledListeners = new Set<() => void>();
  #running = 0;
  #isClosed = false;

  constructor(deps: HealthCheckerDeps) {
    this.#deps = deps;
  }

  /** Begins to probe a worker, or begins anew after it was changed. */
  watch(id: string): void {
    this.#watches.get(id)?.cancel();
    const watch: Watch = {
      id,
      since: this.#deps.clock.now(),
      failures: 0,
      successes: 0,
      isProbing: false,
      isAskedAgain: false,
      isUnknown: true,
      cancel: () => undefined,
    };
    this.#watches.set(id, watch);
    this.#enqueue(watch);
  }

  /**
   * Probes out of turn, as when a request could not reach the worker; `models`: asks it also what it serves. One probe
   * of a worker at a time.
   */
  probeNow(id: string, what: "health" | "models" = "health"): void {
    const watch = this.#watches.get(id);
    if (!watch) return;
    if (what === "models") watch.isUnknown = true;
    if (watch.isProbing) watch.isAskedAgain = true;
    else {
      watch.cancel();
      this.#enqueue(watch);
    }
  }

  /** The worker once it is ready and was asked what it serves, or is out; undefined where it has left. Rejects with the signal's reason. */
  async waitUntilSettled(id: string, signal: LeaveSignal): Promise<Worker | undefined> {
    for (;;) {
      const worker = this.#deps.registry.get(id);
      const isOut = worker?.status === "failed" || worker?.status === "not_ready" || worker?.status === "draining";
      if (!worker || isOut || (worker.status === "ready" && !this.#watches.get(id)?.isUnknown)) return worker;
      await this.#nextSettled(signal);
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const watch of this.#watches.values()) watch.cancel();
    this.#watches.clear();
    this.#waiting.length = 0;
  }

  #enqueue(watch: Watch): void {
    watch.isProbing = true;
    this.#waiting.push(watch);
    this.#startProbes();
  }

  #startProbes(): void {
    while (this.#running < MAX_PROBES) {
      const watch = this.#waiting.shift();
      if (!watch) return;
      this.#running += 1;
      void this.#probe(watch).finally(() => {
        this.#running -= 1;
        this.#startProbes();
      });
    }
  }

  async #probe(watch: Watch): Promise<void> {
    const worker = this.#current(watch);
    if (!worker) return;
    const settings = { ...this.#deps.defaults, ...worker.spec.health };
    const prober = this.#deps.probers[worker.spec.connectionMode];
    const isHealthy = settings.disabled || (await prober.isHealthy(worker, settings));
    if (isHealthy) await this.#onAnswer(watch, worker, settings);
    else this.#onSilence(watch, settings);
    for (const listener of this.#settledListeners) listener();
    watch.isProbing = false;
    if (this.#current(watch)) this.#scheduleNext(watch, settings);
  }

  async #onAnswer(watch: Watch, worker: Worker, settings: HealthSettings): Promise<void> {
    watch.failures = 0;
    watch.successes += 1;
    const isNew = worker.status === "pending" || worker.status === "failed";
    if (!isNew && worker.status !== "ready" && watch.successes < settings.successThreshold) return;
    if (watch.isUnknown) {
      const prober = this.#deps.probers[worker.spec.connectionMode];
      const info = await prober.ask(worker, settings, this.#deps.modelFallback);
      if (!this.#current(watch)) return;
      watch.isUnknown = false;
      this.#deps.registry.update(watch.id, { info });
    }
    this.#become(watch, "ready");
  }

  #onSilence(watch: Watch, settings: HealthSettings): void {
    watch.successes = 0;
    watch.failures += 1;
    const worker = this.#current(watch);
    if (!worker) return;
    if (worker.status === "pending") {
      const isLate = this.#deps.clock.now() - watch.since >= this.#deps.startupTimeoutMs;
      if (isLate) this.#become(watch, "failed");
    } else if (worker.status === "ready" && watch.failures >= settings.failureThreshold) {
      watch.isUnknown = true;
      this.#become(watch, "not_ready");
      if (this.#deps.removeUnhealthy) this.#deps.registry.remove(watch.id);
    }
  }

  #become(watch: Watch, status: WorkerStatus): void {
    const worker = this.#current(watch);
    if (!worker || worker.status === status) return;
    const { models, engine } = this.#deps.registry.update(watch.id, { status }).info;
    this.#deps.logger.info(
      { worker: watch.id, url: worker.url, from: worker.status, to: status, models, engine },
      "worker status",
    );
  }

  #scheduleNext(watch: Watch, settings: HealthSettings): void {
    if (watch.isAskedAgain) {
      watch.isAskedAgain = false;
      this.#enqueue(watch);
      return;
    }
    if (settings.disabled) return;
    const status = this.#current(watch)?.status;
    const interval = status === "pending" ? this.#deps.startupIntervalMs : settings.intervalMs;
    const delayMs = interval * (1 - JITTER_RATIO * Math.random());
    watch.cancel = this.#deps.clock.after(delayMs, () => this.#enqueue(watch));
  }

  /** The worker, while this watch is the one that counts and the worker has not begun to leave. */
  #current(watch: Watch): Worker | undefined {
    if (this.#isClosed || this.#watches.get(watch.id) !== watch) return undefined;
    const worker = this.#deps.registry.get(watch.id);
    if (worker && worker.status !== "draining") return worker;
    this.#watches.delete(watch.id);
    return undefined;
  }

  #nextSettled(signal: LeaveSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => reject(signal.reason);
    this.#settledListeners.add(resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => {
      this.#settledListeners.delete(resolve);
      signal.removeEventListener("abort", onAbort);
    });
  }
}
