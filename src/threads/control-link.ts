import { GatewayError, whyLeft } from "../errors/errors.ts";
import type { Permit } from "../server/admission.ts";
import { type Entry, type Gate, type GateSettings, NO_PERMIT } from "../server/gate.ts";
import type { ModelFinder } from "../worker/model-finder.ts";
import type { AttemptOutcome, OutcomeSink } from "../worker/attempt-outcome.ts";
import type { VerifiedToken } from "../keys/token-claims.ts";
import { errorOf } from "./error-state.ts";
import type { Call, FromThread, ToThread } from "./messages.ts";
import { LeaveController, type LeaveSignal } from "../util/leave-signal.ts";

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Which limits there are on requests in flight: of the gateway, and of each model. The control thread counts them. */
export interface ExistingLimits {
  readonly hasGateway: boolean;
  readonly hasModel: boolean;
}

/** The limits of these settings. */
export function limitsOf({ maxConcurrent, maxConcurrentOf }: GateSettings): ExistingLimits {
  return {
    hasGateway: maxConcurrent !== Number.POSITIVE_INFINITY,
    // All models have the same limit.
    hasModel: maxConcurrentOf("") !== Number.POSITIVE_INFINITY,
  };
}

/** A serving thread's link to the control thread: calls, reports, and the gate. */
export class ControlLink implements Gate, OutcomeSink, ModelFinder {
  readonly #post: (message: FromThread) => void;
  readonly #pending = new Map<number, Pending>();
  #limits: ExistingLimits;
  #nextId = 0;

  /** `limits`: the limits that exist. Without a limit the control thread is not asked. */
  constructor(post: (message: FromThread) => void, limits: ExistingLimits) {
    this.#post = post;
    this.#limits = limits;
  }

  replace(limits: ExistingLimits): void {
    this.#limits = limits;
  }

  onReply(message: Extract<ToThread, { type: "reply" | "refusal" }>): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === "reply") pending?.resolve(message.value);
    else pending?.reject(errorOf(message.error));
  }

  report(workerId: string, outcome: AttemptOutcome): void {
    this.#post({ type: "outcome", workerId, outcome });
  }

  enter(entry: Entry, signal: LeaveSignal): Permit | Promise<Permit> {
    if (!this.#limits.hasGateway) return NO_PERMIT;
    return this.#permit({ what: "enter", entry: plain(entry) }, signal);
  }

  foresee(entry: Entry, signal: LeaveSignal): undefined | Promise<unknown> {
    if (!this.#limits.hasGateway) return undefined;
    return this.call({ what: "foresee", entry: plain(entry) }, signal);
  }

  async find(model: string, signal: LeaveSignal): Promise<void> {
    await this.call({ what: "findModel", model }, signal);
  }

  wanted(workers: readonly string[]): void {
    this.#post({ type: "wanted", workers });
  }

  /** The bearer of a token, as the control thread has verified it. A client that leaves does not end that: others may wait for the same. */
  async verifyToken(token: string): Promise<VerifiedToken> {
    const { value } = await this.call({ what: "verifyToken", token }, new LeaveController());
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- from our own other thread
    return value as VerifiedToken;
  }

  enterModel(model: string, entry: Entry, signal: LeaveSignal): Permit | Promise<Permit> {
    if (!this.#limits.hasModel) return NO_PERMIT;
    return this.#permit({ what: "enterModel", model, entry: plain(entry) }, signal);
  }

  /** The answer of the control thread. Throws its GatewayError, and client_closed where the signal comes first. */
  async call(call: Call, signal: LeaveSignal): Promise<{ readonly id: number; readonly value: unknown }> {
    if (signal.aborted) throw whyLeft(signal.reason);
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    const onAbort = (): void => {
      // The answer may already be on its way. The control thread withdraws the question or takes back the place, whichever exists.
      if (this.#pending.delete(id)) this.#post({ type: "release", id });
      reject(whyLeft(signal.reason));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#post({ type: "call", id, call });
    try {
      return { id, value: await promise };
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Ends all calls without an answer. */
  close(): void {
    for (const pending of this.#pending.values())
      pending.reject(new GatewayError("server_shutting_down", "it is stopping"));
    this.#pending.clear();
  }

  async #permit(call: Call, signal: LeaveSignal): Promise<Permit> {
    const { id } = await this.call(call, signal);
    let isHeld = true;
    return {
      release: () => {
        if (isHeld) this.#post({ type: "release", id });
        isHeld = false;
      },
    };
  }
}

/** An entry as plain data, which can be sent. */
function plain({ client, priority, patienceMs }: Entry): Entry {
  return { client, priority, patienceMs };
}
