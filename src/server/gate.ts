import { GatewayError } from "../errors/errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { Admission, type Claim, GATEWAY, type Permit, PRIORITIES, type Priority } from "./admission.ts";
import type { Tenant } from "./auth.ts";
import type { LeaveSignal } from "../util/leave-signal.ts";
import type { HeaderReader } from "../util/header-reader.ts";

/** The parts of a request that the gate needs. */
export interface Entry {
  readonly tenant: Tenant;
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
   * Lets the request in, or puts it into the line. Throws rate_limit_exceeded (the tenant's limit), queue_full, queue_timeout
   * (the gateway's), client_closed, server_shutting_down.
   */
  enter(entry: Entry, signal: LeaveSignal): Permit | Promise<Permit>;
  /** Throws what `enter` would throw now. It does not wait and takes no place. */
  foresee(entry: Entry, signal: LeaveSignal): undefined | Promise<unknown>;
  /** Like `enter`, for the places of the request's model. */
  enterModel(model: string, entry: Entry, signal: LeaveSignal): Permit | Promise<Permit>;
}

/** The permit where nothing is counted. */
export const NO_PERMIT: Permit = { release: () => undefined };

/** Counts requests against the limits of the tenant, the gateway and the model, and keeps the waiting lines. */
export class LocalGate implements Gate {
  #settings: GateSettings;
  readonly #admission: Admission;
  readonly #tenants: TenantLimits;

  constructor(settings: GateSettings, clock: Clock = systemClock) {
    this.#settings = settings;
    this.#admission = new Admission(settings, clock);
    this.#tenants = new TenantLimits(clock);
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
    const ofTenant = this.#tenants.acquire(entry.tenant);
    if (this.#settings.maxConcurrent === Number.POSITIVE_INFINITY) return ofTenant;
    try {
      const place = this.#admission.acquire(this.#claim(entry), signal);
      return place instanceof Promise ? this.#both(place, ofTenant) : joined(place, ofTenant);
    } catch (error) {
      ofTenant.release();
      throw error;
    }
  }

  foresee(entry: Entry, _signal: LeaveSignal): undefined {
    this.#tenants.check(entry.tenant);
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

  async #both(place: Promise<Permit>, ofTenant: Permit): Promise<Permit> {
    try {
      return joined(await place, ofTenant);
    } catch (error) {
      ofTenant.release();
      throw error;
    }
  }
}

function joined(one: Permit, other: Permit): Permit {
  if (other === NO_PERMIT) return one;
  return {
    release() {
      one.release();
      other.release();
    },
  };
}

interface TenantState {
  running: number;
  /** Requests that may begin now. It grows with time, up to the number for one minute. */
  credit: number;
  at: number;
}

const MINUTE_MS = 60_000;

/** Each tenant's own limits: requests at once and requests a minute. */
class TenantLimits {
  readonly #clock: Clock;
  readonly #states = new Map<string, TenantState>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws rate_limit_exceeded. */
  acquire(tenant: Tenant): Permit {
    const state = this.check(tenant);
    if (!state) return NO_PERMIT;
    state.credit -= 1;
    state.running += 1;
    return {
      release: () => {
        state.running -= 1;
      },
    };
  }

  /** Throws like `acquire`, but counts nothing. Returns undefined for a tenant without limits. */
  check({ name, maxConcurrent, requestsPerMinute }: Tenant): TenantState | undefined {
    if (maxConcurrent === Number.POSITIVE_INFINITY && requestsPerMinute === Number.POSITIVE_INFINITY) return undefined;
    const state = this.#stateOf(name, requestsPerMinute);
    if (state.running >= maxConcurrent) {
      throw limited(`no more than ${maxConcurrent} requests at once with this key`, 1);
    }
    if (state.credit < 1) {
      const secs = ((1 - state.credit) * MINUTE_MS) / requestsPerMinute / 1000;
      throw limited(`no more than ${requestsPerMinute} requests a minute with this key`, Math.max(1, Math.ceil(secs)));
    }
    return state;
  }

  #stateOf(name: string, requestsPerMinute: number): TenantState {
    const now = this.#clock.now();
    let state = this.#states.get(name);
    if (!state) {
      state = { running: 0, credit: requestsPerMinute, at: now };
      this.#states.set(name, state);
    }
    const earned = ((now - state.at) * requestsPerMinute) / MINUTE_MS;
    state.credit = Math.min(requestsPerMinute, state.credit + earned);
    state.at = now;
    return state;
  }
}

function limited(message: string, retryAfterSecs: number): GatewayError {
  return new GatewayError("rate_limit_exceeded", message, { retryAfterSecs });
}

/** An entry that reads priority and patience from the request's headers when they are needed. */
export class HeaderEntry implements Entry {
  readonly tenant: Tenant;
  readonly #headers: HeaderReader;

  constructor(tenant: Tenant, headers: HeaderReader) {
    this.tenant = tenant;
    this.#headers = headers;
  }

  get priority(): Priority {
    return priorityOf(this.tenant, this.#headers.get("x-request-priority"));
  }

  get patienceMs(): number {
    return patienceOf(this.#headers);
  }
}

/** The tenant's priority, or a lower one that the client asks for with `x-request-priority`. */
export function priorityOf(tenant: Tenant, asked: string | null): Priority {
  const wanted = PRIORITIES.find((name) => name === asked);
  if (!wanted) return tenant.priority;
  return PRIORITIES.indexOf(wanted) > PRIORITIES.indexOf(tenant.priority) ? wanted : tenant.priority;
}

/** How long the client will wait, ms: the SDKs of OpenAI and Anthropic send their time-out in seconds. */
export function patienceOf(headers: HeaderReader): number {
  const secs = Number(headers.get("x-stainless-timeout") ?? headers.get("x-stainless-read-timeout") ?? "");
  return secs > 0 ? secs * 1000 : Number.POSITIVE_INFINITY;
}
