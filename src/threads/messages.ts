import type { ErrorCode, GatewayErrorDetails } from "../errors/errors.ts";
import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { SharedPolicyMemory } from "../policy/policy-memory.ts";
import type { Entry } from "../server/gate.ts";
import type { Access, Method } from "../server/route.ts";
import type { TokenizerChange } from "../tokenizer/tokenizer-registry.ts";
import type { RequestData } from "../transport/forwarded-request.ts";
import type { AttemptOutcome } from "../worker/attempt-outcome.ts";
import type { WorkerState } from "../worker/worker-state.ts";

/** What the control thread and the threads that serve say to each other. All of it is plain data or shared memory. */

/** A route that the control thread answers. */
export interface ControlRoute {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  /** Largest body that it reads, bytes; undefined where it reads none. */
  readonly maxBodyBytes: number | undefined;
}

/** Everything that a thread needs to begin. */
export interface Start {
  readonly type: "start";
  /** Its number, from 0. */
  readonly thread: number;
  readonly threads: number;
  /** As the file would have it, secrets in the clear: it is checked again on the thread. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly hostname: string;
  readonly port: number;
  readonly ledger: SharedArrayBuffer;
  readonly memory: readonly SharedPolicyMemory[];
  readonly workers: readonly WorkerState[];
  /** Of the registries, with these workers and tokenizers. */
  readonly version: number;
  readonly tokenizers: readonly TokenizerChange[];
  readonly routes: readonly ControlRoute[];
  /** Where the thread notes what it runs: `method-cell.ts`. */
  readonly methodCell: SharedArrayBuffer;
}

/** One worker came, changed or left, or a tokenizer did. Changes come in their order. */
export interface Change {
  readonly type: "change";
  readonly version: number;
  readonly put: WorkerState | undefined;
  readonly removed: string | undefined;
  readonly tokenizer: TokenizerChange | undefined;
  readonly memory: readonly SharedPolicyMemory[];
}

export interface ErrorState {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: GatewayErrorDetails;
}

export type ToThread =
  | Start
  | Change
  | { readonly type: "reply"; readonly id: number; readonly value: unknown }
  | { readonly type: "refusal"; readonly id: number; readonly error: ErrorState }
  | { readonly type: "ask"; readonly id: number }
  | { readonly type: "ping" }
  | { readonly type: "leave" }
  | { readonly type: "stopListening" }
  | { readonly type: "failAll"; readonly error: ErrorState }
  | { readonly type: "stop" };

/** What a thread asks of the control thread. */
export type Call =
  | { readonly what: "enter"; readonly entry: Entry }
  | { readonly what: "foresee"; readonly entry: Entry }
  | { readonly what: "enterModel"; readonly model: string; readonly entry: Entry }
  | { readonly what: "findModel"; readonly model: string }
  | ControlCall;

export interface ControlCall extends RequestData {
  readonly what: "control";
  /** Index in the routes of `Start`. */
  readonly route: number;
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
}

export interface ControlReply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | string;
}

/** What a thread knows of itself. */
export interface ThreadState {
  readonly active: number;
  readonly metrics: MetricsSnapshot;
}

export type FromThread =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly message: string; readonly code: string | undefined }
  | { readonly type: "applied"; readonly version: number }
  | { readonly type: "call"; readonly id: number; readonly call: Call }
  /** What this call asks for, or was given, is not wanted any more. */
  | { readonly type: "release"; readonly id: number }
  | { readonly type: "pong" }
  | { readonly type: "outcome"; readonly workerId: string; readonly outcome: AttemptOutcome }
  | { readonly type: "log"; readonly text: string }
  | { readonly type: "active"; readonly active: number }
  | { readonly type: "state"; readonly id: number; readonly state: ThreadState }
  /** It has closed what it had. */
  | { readonly type: "stopped" };
