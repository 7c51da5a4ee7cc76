import type { GatewayError } from "../errors/errors.ts";
import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { Auth } from "./auth.ts";
import type { ControlApp } from "./control-app.ts";
import type { LocalGate } from "./gate.ts";
import type { Route } from "./route.ts";

/** Everything that serves inference on the main port: one serving unit on this thread, or one on each of several others. */
export interface ServingUnits {
  readonly port: number;
  /** Requests under way. */
  readonly active: number;
  /** From now on each answer closes its connection. */
  beginToLeave(): void;
  /** Takes no new connection; requests under way go on. */
  stopListening(): void;
  /** Ends every request that waits for a worker with this error. */
  failAll(error: GatewayError): void;
  /** Resolves when every unit knows every change of the registries up to now. */
  settled(): Promise<void>;
  /** What units on other threads have counted. */
  snapshots(): Promise<MetricsSnapshot[]>;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/** What serving units need of the thread that has the registries and the administration. */
export interface ControlSide {
  /** Of this thread. Another thread makes its own from the configuration. */
  readonly auth: Auth;
  readonly gate: LocalGate;
  readonly control: ControlApp;
  /** The routes that are not inference and stand on the main port. */
  readonly routes: readonly Route[];
}

/** Rejects with what Bun throws where the address cannot be had; then nothing listens. */
export type StartServingUnits = (controlSide: ControlSide) => Promise<ServingUnits>;
