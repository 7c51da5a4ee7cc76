import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import { changeAddress } from "./change-address.ts";
import { ProbeEnds } from "./probe-ends.ts";
import { ProbeLanes } from "./probe-lanes.ts";
import { ProbeTimetable } from "./probe-timetable.ts";
import {
  hasSettled,
  listingIntervalMs,
  newWatch,
  type ProbeWatch,
  restlessIntervalMs,
  tellPending,
  wantedIntervalMs,
} from "./probe-watch.ts";
import type { ProbeFailure, WorkerProbers } from "./prober.ts";
import { factsAfter } from "./known-facts.ts";
import type { Worker, WorkerInfo, WorkerStatus } from "./worker.ts";
import type { HealthSettings, ProbingSettings } from "./worker-spec.ts";
import type { WorkerRegistry } from "./worker-registry.ts";
import { LeaveController, type LeaveSignal } from "../util/leave-signal.ts";

export interface HealthCheckerDeps extends ProbingSettings {
  readonly registry: WorkerRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly probers: WorkerProbers;
}

/**
 * Probes each address at its interval, one that is down at first more often (`restlessIntervalMs`), and moves it through the states in
 * `worker.ts`. A worker that answers for the first time, or again after it was down, is asked which models it serves. So is one whose
 * listing has changed. All ranks of an address are well, or none is.
 */
export class HealthChecker implements Disposable {
  #deps: HealthCheckerDeps;
  readonly #watches = new Map<string, ProbeWatch>();
  readonly #lanes = new ProbeLanes((watch: ProbeWatch) => this.#probe(watch));
  readonly #ends = new ProbeEnds();
  readonly #timetable: ProbeTimetable;
  readonly #unhealthyListeners = new Set<(worker: Worker) => void>();
  #isClosed = false;

  constructor(deps: HealthCheckerDeps) {
    this.#deps = deps;
    this.#timetable = new ProbeTimetable(deps.clock, (watch) => this.#enqueue(watch));
  }

  /** Changes how workers are probed. Each worker is probed anew at once, so that no interval of before is waited for. */
  replace(settings: ProbingSettings): void {
    const what = settings.modelFallback === this.#deps.modelFallback ? "health" : "models";
    this.#deps = { ...this.#deps, ...settings };
    for (const watch of this.#watches.values()) this.#probeNow(watch, what);
  }

  /** Begins to probe a worker's address, or begins again after a change of the worker. */
  watch(id: string): void {
    const address = this.#deps.registry.get(id)?.spec.url;
    if (address === undefined) return;
    this.#watches.get(address)?.cancel();
    const watch = newWatch(address, this.#deps.clock.now());
    this.#watches.set(address, watch);
    this.#enqueue(watch);
  }

  /** Probes a worker at once, one probe at a time. `listing`: also asks whether its models are others than before; `models`: also which models it serves. */
  probeNow(id: string, what: "health" | "listing" | "models" = "health"): void {
    const watch = this.#watchOf(id);
    if (watch) this.#probeNow(watch, what);
  }

  /** Somebody who should know says that a worker may be well again: it is probed at once, and often for a while. */
  mayBeBack(id: string): void {
    const watch = this.#watchOf(id);
    if (watch) watch.restlessSince = this.#deps.clock.now();
    this.probeNow(id);
  }

  /**
   * A request found that this worker and all others of its model are down: if it is down, its next probe comes an interval
   * (`wantedIntervalMs`) after the last one, where it would have come later.
   */
  probeSoon(id: string): void {
    const watch = this.#watchOf(id);
    if (!watch || watch.restlessSince === undefined || watch.isProbing) return;
    const { registry, startupIntervalMs } = this.#deps;
    this.#timetable.bringForward(watch, wantedIntervalMs(registry.count(), startupIntervalMs));
  }

  #probeNow(watch: ProbeWatch, what: "health" | "listing" | "models"): void {
    if (what === "models") watch.isUnknown = true;
    if (what === "listing") watch.listingDueAt = Number.NEGATIVE_INFINITY;
    if (watch.isProbing) watch.isAskedAgain = true;
    else {
      watch.cancel();
      this.#enqueue(watch);
    }
  }

  /** Probes every ready worker at once, including its listing, and the others as well. Resolves when the ready ones were probed, or after `withinMs`. */
  async askListings(withinMs: number): Promise<void> {
    const { registry, clock } = this.#deps;
    for (const watch of this.#watches.values()) if (watch.restlessSince !== undefined) this.#probeNow(watch, "health");
    const ready = registry.all().filter(({ status }) => status === "ready");
    const asked = new Set(ready.flatMap(({ id }) => this.#watchOf(id) ?? []));
    for (const watch of asked) this.#probeNow(watch, "listing");
    const isOver = (): boolean => [...asked].every((watch) => !watch.isProbing || !this.#current(watch));
    const late = new LeaveController();
    const cancel = clock.after(withinMs, () => late.leave(new Error("late")));
    try {
      while (!isOver()) await this.#ends.next(late);
    } catch {
      // Workers that have not answered by now are not waited for.
    } finally {
      cancel();
    }
  }

  /** Resolves to the worker once it is ready and its facts were asked for, or once it is out; to undefined if it has left. Rejects with the signal's reason. */
  async waitUntilSettled(id: string, signal: LeaveSignal, isEnough = hasSettled): Promise<Worker | undefined> {
    for (;;) {
      const worker = this.#deps.registry.get(id);
      if (!worker || isEnough(worker, this.#watchOf(id))) return worker;
      await this.#ends.next(signal);
    }
  }

  /** Resolves like `waitUntilSettled`, and also once the worker has failed a probe. */
  waitUntilProbed(id: string, signal: LeaveSignal): Promise<Worker | undefined> {
    return this.waitUntilSettled(id, signal, (worker, watch) => hasSettled(worker, watch) || watch?.failures !== 0);
  }

  /** Calls `listener` when a ready worker has failed its checks. The returned function removes the listener. */
  onUnhealthy(listener: (worker: Worker) => void): () => void {
    this.#unhealthyListeners.add(listener);
    return () => this.#unhealthyListeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const watch of this.#watches.values()) watch.cancel();
    this.#watches.clear();
    this.#lanes.clear();
    this.#timetable[Symbol.dispose]();
  }

  #enqueue(watch: ProbeWatch): void {
    watch.isProbing = true;
    this.#lanes.add(watch, watch.restlessSince === undefined ? "well" : "down");
  }

  async #probe(watch: ProbeWatch): Promise<void> {
    const worker = this.#current(watch);
    if (!worker) return;
    const settings = { ...this.#deps.defaults, ...worker.spec.health };
    const prober = this.#deps.probers[worker.connectionMode];
    const failure = settings.disabled ? undefined : await prober.health(worker, settings);
    if (failure) this.#onSilence(watch, settings, failure);
    else await this.#onAnswer(watch, worker, settings);
    watch.isProbing = false;
    watch.probedAt = this.#deps.clock.now();
    if (this.#current(watch)) this.#scheduleNext(watch, settings);
    this.#ends.announce();
  }

  async #onAnswer(watch: ProbeWatch, worker: Worker, settings: HealthSettings): Promise<void> {
    watch.successes += 1;
    const isNew = worker.status === "pending" || worker.status === "failed";
    if (!isNew && worker.status !== "ready" && watch.successes < settings.successThreshold) return;
    if (watch.wasDown) watch.isUnknown = true;
    if (!watch.isUnknown && !settings.disabled) await this.#lookAtListing(watch, worker, settings);
    if (watch.isUnknown) {
      const failure = await this.#askFacts(watch, worker, settings);
      // The worker would also refuse each request.
      if (failure?.code === "upstream_auth_failed" && !settings.disabled) {
        this.#onSilence(watch, settings, failure);
        return;
      }
    }
    if (!this.#current(watch)) return;
    watch.failures = 0;
    this.#become(watch, "ready");
  }

  /** Asks for the listing again: models come, go and change while a worker is well, and the worker may be a new process since the last probe. */
  async #lookAtListing(watch: ProbeWatch, worker: Worker, settings: HealthSettings): Promise<void> {
    const { clock, registry } = this.#deps;
    if (clock.now() < watch.listingDueAt) return;
    const listing = await this.#deps.probers[worker.connectionMode].listing(worker, settings);
    if (listing === undefined) return;
    watch.listingDueAt = clock.now() + listingIntervalMs(registry.count());
    if (listing !== watch.listing) watch.isUnknown = true;
  }

  /** Asks for the worker's facts and publishes them. Returns why it could not learn them; the next probe then asks again. */
  async #askFacts(watch: ProbeWatch, worker: Worker, settings: HealthSettings): Promise<ProbeFailure | undefined> {
    const prober = this.#deps.probers[worker.connectionMode];
    const { info, listing, missing } = await prober.ask(worker, settings, this.#deps.modelFallback);
    const now = this.#current(watch);
    if (!now) return undefined;
    watch.wasAsked = true;
    watch.isUnknown = missing !== undefined;
    watch.listing = listing;
    // Known facts stay if the worker could not be asked this time.
    if (missing) this.#note(watch, missing);
    const isKept = missing !== undefined && now.info.models.length > 0;
    if (isKept) return missing;
    this.#publish(now, factsAfter(info, now.info, watch.wasDown ? Date.now() : undefined));
    watch.wasDown = false;
    return missing;
  }

  #publish(worker: Worker, info: WorkerInfo): void {
    const { registry, logger } = this.#deps;
    changeAddress(registry, worker.spec.url, () => ({ info }));
    const before = worker.info.models;
    if (before.length === 0 || before.join("\n") === info.models.join("\n")) return;
    logger.info({ worker: worker.id, url: worker.url, before, models: info.models }, "worker's models changed");
  }

  #onSilence(watch: ProbeWatch, settings: HealthSettings, failure: ProbeFailure): void {
    watch.successes = 0;
    watch.failures += 1;
    watch.listingDueAt = Number.NEGATIVE_INFINITY;
    if (failure.code === "upstream_connect_failed") watch.wasDown = true;
    const worker = this.#current(watch);
    if (!worker) return;
    if (worker.status === "pending") {
      const waitedMs = this.#deps.clock.now() - watch.since;
      this.#note(watch, failure);
      if (waitedMs >= this.#deps.startupTimeoutMs) this.#become(watch, "failed", failure);
      else tellPending(watch, worker, waitedMs, failure, this.#deps.logger);
    } else if (worker.status === "ready" && watch.failures >= settings.failureThreshold) {
      watch.isUnknown = true;
      watch.wasAsked = false;
      this.#note(watch, failure);
      this.#become(watch, "not_ready", failure);
      for (const listener of this.#unhealthyListeners) listener(worker);
    } else this.#note(watch, failure);
  }

  /** Publishes the worker's last error, unless it is the same as before. */
  #note(watch: ProbeWatch, { code, reason }: ProbeFailure): void {
    const at = Date.now();
    changeAddress(this.#deps.registry, watch.address, ({ lastError: last }) =>
      last?.code === code && last.message === reason ? undefined : { lastError: { code, message: reason, at } },
    );
  }

  #become(watch: ProbeWatch, status: WorkerStatus, failure?: ProbeFailure): void {
    const worker = this.#current(watch);
    if (!worker || worker.status === status) return;
    const statusSince = Date.now();
    changeAddress(this.#deps.registry, watch.address, (one) =>
      one.status === status ? undefined : { status, statusSince },
    );
    const { models, engine } = worker.info;
    const fields = { worker: worker.id, url: worker.url, from: worker.status, to: status };
    const { logger } = this.#deps;
    if (failure) logger.warn({ ...fields, reason: failure.reason }, "worker status");
    else logger.info({ ...fields, models, engine }, "worker status");
  }

  #scheduleNext(watch: ProbeWatch, settings: HealthSettings): void {
    if (watch.isAskedAgain) {
      watch.isAskedAgain = false;
      this.#enqueue(watch);
      return;
    }
    if (settings.disabled) return;
    const status = this.#current(watch)?.status;
    const isSettled = status !== "pending" && !watch.isUnknown;
    const { clock, startupIntervalMs } = this.#deps;
    watch.restlessSince = isSettled ? undefined : (watch.restlessSince ?? clock.now());
    // One that is out and answers is back after a few more answers, which are asked for soon.
    const isComing = status !== "ready" && watch.successes > 0;
    const downMs = isComing ? 0 : clock.now() - (watch.restlessSince ?? clock.now());
    const interval = isSettled
      ? settings.intervalMs
      : restlessIntervalMs(downMs, startupIntervalMs, settings.intervalMs);
    this.#timetable.put(watch, interval, isSettled);
  }

  /** The worker, or the lowest rank of the address, if this watch is the current one and not all are leaving. */
  #current(watch: ProbeWatch): Worker | undefined {
    if (this.#isClosed || this.#watches.get(watch.address) !== watch) return undefined;
    const worker = this.#deps.registry.getByUrl(watch.address);
    if (!worker) this.#watches.delete(watch.address);
    return worker;
  }

  #watchOf(id: string): ProbeWatch | undefined {
    return this.#watches.get(this.#deps.registry.get(id)?.spec.url ?? "");
  }
}
