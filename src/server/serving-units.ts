import type { GatewayError } from "../errors/errors.ts";
import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { DecisionQuery, FoundDecisions } from "../router/decision-log.ts";
import type { PortTls } from "../transport/tls/server-tls.ts";
import type { WorkersTls } from "../transport/tls/worker-tls.ts";
import type { Auth } from "./auth.ts";
import type { ControlApp } from "./control-app.ts";
import type { LocalGate } from "./gate.ts";
import type { Route } from "./route.ts";

/** The certificates that a serving unit needs. Plain data, so that a thread can be sent it. */
export interface UnitCertificates {
  /** Of the main port; undefined: it speaks no TLS. */
  readonly main: PortTls | undefined;
  readonly workers: WorkersTls;
}

/** Everything that serves inference on the main port: one serving unit on this thread, or one on each of several others. */
export interface ServingUnits {
  readonly port: number;
  /** Number of requests in flight. */
  readonly active: number;
  /** Makes each answer from now on close its connection. */
  beginToLeave(): void;
  /** Accepts no new connections; requests in flight go on. */
  stopListening(): void;
  /** The next connections, of clients and to workers, use these. Those that are open go on. */
  replaceCertificates(next: UnitCertificates): void;
  /** Ends every request that waits for a worker with this error. */
  failAll(error: GatewayError): void;
  /** Resolves when every unit has all changes of the registries so far. */
  settled(): Promise<void>;
  /** The metrics of units on other threads. */
  snapshots(): Promise<MetricsSnapshot[]>;
  /** The last choices of workers, the newest first. */
  findDecisions(query: DecisionQuery): Promise<FoundDecisions>;
  /** Closes every connection at once. */
  stop(): Promise<void>;
}

/** What serving units need from the control thread, which has the registries and the administration. */
export interface ControlSide {
  /** The check of keys on this thread. Another thread makes its own from the configuration. */
  readonly auth: Auth;
  readonly gate: LocalGate;
  readonly control: ControlApp;
  /** The routes of the main port other than inference. */
  readonly routes: readonly Route[];
}

/** Rejects with Bun's error if the address is not available; then nothing listens. */
export type StartServingUnits = (controlSide: ControlSide) => Promise<ServingUnits>;
