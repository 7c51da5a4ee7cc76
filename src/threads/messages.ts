import type { Span } from "../observability/traces/span.ts";
import type { ErrorCode, GatewayErrorDetails } from "../errors/errors.ts";
import type { UsageRow } from "../keys/usage.ts";
import type { MetricsSnapshot } from "../observability/metrics.ts";
import type { RecordedRequest } from "../observability/recorded-request.ts";
import type { SharedPolicyMemory } from "../policy/policy-memory.ts";
import type { DecisionQuery, LoggedTry } from "../router/decision-log.ts";
import type { Entry } from "../server/gate.ts";
import type { Access, Method } from "../server/route.ts";
import type { UnitCertificates } from "../server/serving-units.ts";
import type { TokenizerChange } from "../tokenizer/tokenizer-registry.ts";
import type { RequestData } from "../transport/forwarded-request.ts";
import type { AttemptOutcome } from "../worker/attempt-outcome.ts";
import type { WorkerState } from "../worker/worker-state.ts";

/** Messages between the control thread and the serving threads. All are plain data or shared memory. */

/** A route that the control thread answers. */
export interface ControlRoute {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  /** Largest body that the route reads, bytes; undefined where it reads none. */
  readonly maxBodyBytes: number | undefined;
  /** Whether the body may be YAML as well as JSON. */
  readonly takesYaml?: boolean | undefined;
}

/** Everything that a thread needs to start. */
export interface Start {
  readonly type: "start";
  /** Its number, from 0. */
  readonly thread: number;
  readonly threads: number;
  /** The configuration as in a file, with secrets in the clear. The thread checks it again. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly hostname: string;
  readonly port: number;
  readonly certificates: UnitCertificates;
  /** The gateway's entry in `Via`. */
  readonly via: string;
  readonly ledger: SharedArrayBuffer;
  /** The table of keys: `keys/key-memory.ts`. */
  readonly keys: SharedArrayBuffer;
  readonly memory: readonly SharedPolicyMemory[];
  readonly workers: readonly WorkerState[];
  /** Version of the registries with these workers and tokenizers. */
  readonly version: number;
  readonly tokenizers: readonly TokenizerChange[];
  readonly routes: readonly ControlRoute[];
  /** The cell where the thread notes the running policy method: `method-cell.ts`. */
  readonly methodCell: SharedArrayBuffer;
}

/** One worker or tokenizer was added, changed or removed. Changes come in order. */
export interface Change {
  readonly type: "change";
  readonly version: number;
  readonly put: WorkerState | undefined;
  readonly removed: string | undefined;
  readonly tokenizer: TokenizerChange | undefined;
  readonly memory: readonly SharedPolicyMemory[];
}

/**
 * A step of a change of the configuration. `check`: only look at it. `apply`: carry it out; `memory` is that of policies that are new.
 */
export interface Configure {
  readonly type: "configure";
  readonly id: number;
  readonly step: "check" | "apply";
  /** As in `Start`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly memory: readonly SharedPolicyMemory[];
}

/** The outcome of such a step: why the thread refuses; undefined where it does not. */
export interface Configured {
  readonly refusal: string | undefined;
}

/** An error as plain data. */
export interface ErrorState {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: GatewayErrorDetails;
}

/** A message from the control thread to a serving thread. */
export type ToThread =
  | Start
  | Change
  | Configure
  | { readonly type: "reply"; readonly id: number; readonly value: unknown }
  | { readonly type: "refusal"; readonly id: number; readonly error: ErrorState }
  | { readonly type: "ask"; readonly id: number }
  | { readonly type: "findDecisions"; readonly id: number; readonly query: DecisionQuery }
  | { readonly type: "ping" }
  /** The requests of the last `recorded` are taken; the next may come. */
  | { readonly type: "recordingTaken" }
  | { readonly type: "leave" }
  | { readonly type: "stopListening" }
  | { readonly type: "certificates"; readonly next: UnitCertificates }
  | { readonly type: "failAll"; readonly error: ErrorState }
  | { readonly type: "stop" };

/** A serving thread's call to the control thread. */
export type Call =
  | { readonly what: "enter"; readonly entry: Entry }
  | { readonly what: "foresee"; readonly entry: Entry }
  | { readonly what: "enterModel"; readonly model: string; readonly entry: Entry }
  | { readonly what: "findModel"; readonly model: string }
  /** Is answered with a VerifiedToken. */
  | { readonly what: "verifyToken"; readonly token: string }
  | ControlCall;

/** A request for a control route, passed on by a serving thread. */
export interface ControlCall extends RequestData {
  readonly what: "control";
  /** Index of the route in `Start`. */
  readonly route: number;
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** The answer to a ControlCall. */
export interface ControlReply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | string;
}

/** A thread's own counts. */
export interface ThreadState {
  readonly active: number;
  readonly metrics: MetricsSnapshot;
}

/** A message from a serving thread to the control thread. */
export type FromThread =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly message: string; readonly code: string | undefined }
  | { readonly type: "applied"; readonly version: number }
  | { readonly type: "call"; readonly id: number; readonly call: Call }
  /** Withdraws the call's question, or gives back its place. */
  | { readonly type: "release"; readonly id: number }
  | { readonly type: "pong" }
  | { readonly type: "outcome"; readonly workerId: string; readonly outcome: AttemptOutcome }
  /** Requests want these workers, and found them down. */
  | { readonly type: "wanted"; readonly workers: readonly string[] }
  | { readonly type: "log"; readonly text: string }
  /** Requests for the recording, and how many more the thread could not keep. */
  | { readonly type: "recorded"; readonly requests: readonly RecordedRequest[]; readonly lost: number }
  /** What keys have used since the last message. */
  | { readonly type: "used"; readonly rows: readonly UsageRow[] }
  | { readonly type: "spans"; readonly spans: readonly Span[] }
  | { readonly type: "active"; readonly active: number }
  | { readonly type: "state"; readonly id: number; readonly state: ThreadState }
  | { readonly type: "decisions"; readonly id: number; readonly tries: readonly LoggedTry[] }
  | { readonly type: "configured"; readonly id: number; readonly outcome: Configured }
  /** The thread has closed everything. */
  | { readonly type: "stopped" };
