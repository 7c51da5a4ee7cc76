import type { ErrorCode } from "../errors/errors.ts";
import type { ConnectionMode } from "../util/parse-worker-url.ts";
import type { Worker, WorkerInfo } from "./worker.ts";
import type { HealthSettings } from "./worker-spec.ts";

/** Why a worker did not answer a question as it should. */
export interface ProbeFailure {
  readonly code: ErrorCode;
  /** One sentence for operators, without the worker's address. */
  readonly reason: string;
}

/** The facts that a worker reports about itself, and why some could not be learnt. */
export interface WorkerFacts {
  readonly info: WorkerInfo;
  /** The models that it lists, as one text. When the text changes, the health checker asks for the facts again. */
  readonly listing: string | undefined;
  /** Why the worker's models are not known yet. Undefined if it named them, or has no page for them. */
  readonly missing: ProbeFailure | undefined;
}

/**
 * Asks workers that speak one protocol whether they are well, and what they are. Knowledge of engines is
 * inside of it; the health checker knows only this interface. No method throws.
 */
export interface WorkerProber {
  /** Why the worker is not well; undefined if it is. */
  health(worker: Worker, settings: HealthSettings): Promise<ProbeFailure | undefined>;
  /** `modelFallback`: the model to assume if the worker names none. */
  ask(worker: Worker, settings: HealthSettings, modelFallback: string | undefined): Promise<WorkerFacts>;
  /** The worker's listing now; undefined where the worker does not give it. */
  listing(worker: Worker, settings: HealthSettings): Promise<string | undefined>;
}

/** The prober of each protocol. */
export type WorkerProbers = Readonly<Record<ConnectionMode, WorkerProber>>;
