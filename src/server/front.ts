import type { GatewayError } from "../errors/errors.ts";
import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { ControlApp } from "./control-app.ts";
import type { LocalGate } from "./gate.ts";
import type { Route } from "./route.ts";

/** What listens on the main port: this thread, or several others. */
export interface Front {
  readonly port: number;
  /** Requests under way. */
  readonly active: number;
  /** From now answers end their connection. */
  beginToLeave(): void;
  /** No new connection; those with a request go on. */
  stopListening(): void;
  /** Every request that waits for a worker ends with this error. */
  failAll(error: GatewayError): void;
  /** Resolves when every change of the registries up to now is known to all that serve. */
  settled(): Promise<void>;
  /** What was counted elsewhere than on this thread. */
  snapshots(): Promise<MetricsSnapshot[]>;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/** What a front on other threads needs of this one. */
export interface FrontParts {
  readonly gate: LocalGate;
  readonly control: ControlApp;
  readonly routes: readonly Route[];
}

export type StartFront = (parts: FrontParts) => Promise<Front>;
