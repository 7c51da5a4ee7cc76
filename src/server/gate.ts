import type { GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { PRIORITIES, type Principal, type Priority } from "../keys/principal.ts";
import { Admission, type Claim, GATEWAY, type Permit } from "./admission.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { HeaderReader } from "../util/header-reader.ts";

/** The parts of a request that the gate needs. */
export interface Entry {
  /** The caller's name; empty where the gateway has no keys. */
  readonly client: string;
  readonly priority: Priority;
  /** How long the client will wait for its answer, ms; Infinity where it does not say. */
  readonly patienceMs: number;
}

export interface GateSettings {
  /** Requests in flight at once; Infinity for no bound. */
  readonly maxConcurrent: number;
  /** Requests of one model in flight at once; Infinity for no bound. */
  readonly maxConcurrentOf: (model: string) => number;
  readonly queueSize: number;
  readonly queueTimeoutMs: number;
}

/** The limits that a request passes before work is done for it: on this thread, or through the control thread, which counts for all. */
export interface Gate {
  /**
   * Lets the request in, or puts it into the line. Throws queue_full, queue_timeout, client_closed, server_shutting_down.
   */
  enter(entry: Entry, signal: LeaveSignal): Permit | Promise<Permit>;
  /** Throws what `enter` would throw now. It does not wait and takes no place. */
  foresee(entry: Entry, signal: LeaveSignal): undefined | Promise<unknown>;
  /** Like `enter`, for the places of the request's model. */
  enterModel(model: string, entry: Entry, signal: LeaveSignal): Permit | Promise<Permit>;
}

/** The permit where nothing is counted. */
export const NO_PERMIT: Permit = { release: () => undefined };

/** Counts requests against the limits of the gateway and the model, and keeps the waiting lines. */
export class LocalGate implements Gate {
  #settings: GateSettings;
  readonly #admission: Admission;

  constructor(settings: GateSettings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#admission = new Admission(settings, clock);
  }

  /** Changes the bounds. Requests that were let in without a bound are not counted under a new one. */
  replace(settings: GateSettings): void {
    this.#settings = settings;
    this.#admission.replace(settings, (kind) =>
      kind === GATEWAY ? settings.maxConcurrent : settings.maxConcurrentOf(kind),
    );
  }

  /** Number of requests that were let in. */
  get admitted(): number {
    return this.#admission.admitted(GATEWAY);
  }

  get waiting(): number {
    return this.#admission.waiting;
  }

  enter(entry: Entry, signal: LeaveSignal): Permit | Promise<Permit> {
    if (this.#settings.maxConcurrent === Number.POSITIVE_INFINITY) return NO_PERMIT;
    return this.#admission.acquire(this.#claim(entry), signal);
  }

  foresee(entry: Entry, _signal: LeaveSignal): undefined {
    if (this.#settings.maxConcurrent !== Number.POSITIVE_INFINITY) this.#admission.check(this.#claim(entry));
  }

  enterModel(model: string, entry: Entry, signal: LeaveSignal): Permit | Promise<Permit> {
    const places = this.#settings.maxConcurrentOf(model);
    if (places === Number.POSITIVE_INFINITY) return NO_PERMIT;
    const { priority, patienceMs } = entry;
    return this.#admission.acquire({ kind: model, places, priority, patienceMs }, signal);
  }

  refuseAll(error: GatewayError): void {
    this.#admission.refuseAll(error);
  }

  #claim({ priority, patienceMs }: Entry): Claim {
    return { kind: GATEWAY, places: this.#settings.maxConcurrent, priority, patienceMs };
  }
}

/** The caller's priority, or a lower one that the client asks for with `x-request-priority`. */
export function priorityOf({ priority }: Pick<Principal, "priority">, asked: string | null): Priority {
  const wanted = PRIORITIES.find((name) => name === asked);
  if (!wanted) return priority;
  return PRIORITIES.indexOf(wanted) > PRIORITIES.indexOf(priority) ? wanted : priority;
}

/** How long the client will wait, ms: the SDKs of OpenAI and Anthropic send their time-out in seconds. */
export function patienceOf(headers: HeaderReader): number {
  const secs = Number(headers.get("x-stainless-timeout") ?? headers.get("x-stainless-read-timeout") ?? "");
  return secs > 0 ? secs * 1000 : Number.POSITIVE_INFINITY;
}
