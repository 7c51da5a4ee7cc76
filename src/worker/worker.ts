import type { ErrorCode } from "../errors/errors.ts";
import { type ConnectionMode, connectionModeOf } from "../util/parse-worker-url.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { BreakerState } from "./circuit-breaker.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { WorkerSpec } from "./worker-spec.ts";

/**
 * ```
 *           register            first probe answers
 *              |        +---------------------------------+
 *              v        |                                 v
 *           pending ----+-- start-up time is over --> failed -- probe answers --> ready
 *              |                                                                  |  ^
 *              +-- probe answers ------------------------------------------------>|  |
 *                                             not_ready <-- n probes failed ------+  |
 *                                                 +-------- m probes answered -------+
 *   any -- removed by the operator --> draining -- last request ended, or time is over --> gone
 * ```
 */
export type WorkerStatus = "pending" | "ready" | "not_ready" | "failed" | "draining";
/** How a worker is spoken to, and whether prefill and decode are apart there; each has a router of its own. */
export type WorkerKind = "http" | "http_pd" | "grpc" | "grpc_pd";

/** In place of a model's id: any. */
const ANY_MODEL_ID = "*";

/** A model as a worker lists it. */
export interface ModelCard {
  readonly id: string;
  /** Longest prompt plus answer, in tokens. */
  readonly maxModelLen: number | undefined;
  /** Unix seconds. */
  readonly created: number | undefined;
  /** Of a LoRA adapter: where it was loaded from, and the model beside which it stands. */
  readonly root: string | undefined;
  readonly parent: string | undefined;
}

/** What the worker said of itself when it was asked. */
export interface WorkerInfo {
  /** Ids of the models it serves, first the main one. Empty: it did not say, and is taken to serve any. */
  readonly models: readonly string[];
  /** What it lists of its models, where it lists any. */
  readonly cards: readonly ModelCard[];
  /** `sglang`, `vllm`, or whatever it calls itself; undefined where it did not say. */
  readonly engine: string | undefined;
  readonly engineVersion: string | undefined;
  /** Longest prompt plus answer, in tokens, of the main model. */
  readonly maxModelLen: number | undefined;
  /** How its KV cache reaches another engine; undefined where it did not say that it does. */
  readonly kv: KvTransferInfo | undefined;
}

/** What an engine says of how it hands its KV cache over, or takes one. */
export interface KvTransferInfo {
  /** The engine's own name of it, as in `NixlConnector`; `sglang` for SGLang's. */
  readonly connector: string;
  /** Known to the peer by this id (Mooncake). */
  readonly engineId: string | undefined;
  readonly bootstrapPort: number | undefined;
  /** Data-parallel ranks behind the one address. */
  readonly dataParallelSize: number;
}

/**
 * Why a ready worker is left out:
 * - `faults`: its breaker is open.
 * - `failures`: it is ejected, as it fails where the others do not.
 * - `suspected`: it may be ejected; others are asked meanwhile, which tells whether the failures are its doing.
 * - `credential`: it refuses the gateway's credential.
 * - `busy`: it asked to be left alone.
 */
export type TroubleReason = "faults" | "failures" | "suspected" | "credential" | "busy";

export interface Trouble {
  readonly reason: TroubleReason;
  /** Requests may prove that it works, one at a time. */
  readonly mayProve: boolean;
  /** Time of the wall clock, ms. */
  readonly since: number;
}

/** The last thing that went wrong with a request to it, or a probe of it. Published now and then, and with each trouble. */
export interface LastError {
  /** Code of the errors table. */
  readonly code: ErrorCode;
  /** What happened; for operators. */
  readonly message: string;
  /** Time of the wall clock, ms. */
  readonly at: number;
}

/** It is back after it was left out, and gets its full share of the requests at `until` only. On the clock of this process. */
export interface SlowStart {
  readonly since: number;
  readonly until: number;
}

/**
 * One worker as of one registry version. Immutable: a change makes a new one with `with`, and the registry publishes
 * it. The counters read the ledger live; slot and ledger go along from version to version.
 */
export class Worker {
  readonly id: string;
  readonly spec: WorkerSpec;
  readonly status: WorkerStatus;
  /** Time of the wall clock at which it got this status, ms. */
  readonly statusSince: number;
  readonly info: WorkerInfo;
  readonly breakerState: BreakerState;
  /** It asked to be left alone until then, on the clock of this process; undefined where it did not. */
  readonly restUntil: number | undefined;
  /** Why it is left out, where it is. */
  readonly trouble: Trouble | undefined;
  readonly lastError: LastError | undefined;
  readonly slowStart: SlowStart | undefined;
  /** Its row in the ledger. */
  readonly slot: number;
  readonly #ledger: LoadLedger;

  constructor(parts: WorkerParts) {
    this.id = parts.id;
    this.spec = parts.spec;
    this.status = parts.status;
    this.statusSince = parts.statusSince;
    this.info = parts.info;
    this.breakerState = parts.breakerState;
    this.restUntil = parts.restUntil;
    this.trouble = parts.trouble;
    this.lastError = parts.lastError;
    this.slowStart = parts.slowStart;
    this.slot = parts.slot;
    this.#ledger = parts.ledger;
  }

  get url(): string {
    return this.spec.url;
  }

  /** Main model for display and labels; `unknown` until it is known. */
  get modelId(): string {
    return (this.servesAny ? undefined : this.spec.modelId) ?? this.info.models[0] ?? "unknown";
  }

  /** Its operator says that it serves any model, as engines do that load what they are asked for. */
  get servesAny(): boolean {
    return this.spec.modelId === ANY_MODEL_ID;
  }

  /** Every model id that it lists, or is said to serve. */
  get models(): readonly string[] {
    const named = this.spec.modelId;
    if (named === undefined || this.servesAny) return this.info.models;
    return this.info.models.includes(named) ? this.info.models : [named, ...this.info.models];
  }

  get connectionMode(): ConnectionMode {
    return connectionModeOf(this.spec.url);
  }

  get kind(): WorkerKind {
    const mode = this.connectionMode;
    if (this.spec.workerType === "regular") return mode;
    return mode === "http" ? "http_pd" : "grpc_pd";
  }

  /** For policies; so are `labels`, `priority` and `cost`. */
  get role(): WorkerType {
    return this.spec.workerType;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.spec.labels;
  }

  get priority(): number {
    return this.spec.priority;
  }

  get cost(): number {
    return this.spec.cost;
  }

  /** For policies: also what failed a moment ago, so that a worker that fails at once does not look idle. */
  get inFlight(): number {
    return this.#ledger.load(this.slot);
  }

  /** For policies, as `inFlight`. */
  get pendingPromptTokens(): number {
    return this.#ledger.pendingPromptTokens(this.slot) + this.#ledger.failedPromptTokens(this.slot);
  }

  /** Requests whose first token has come and whose answer has not ended. */
  get decoding(): number {
    return this.#ledger.decoding(this.slot);
  }

  /** Requests that it has and has not finished. */
  get requestsInFlight(): number {
    return this.#ledger.inFlight(this.slot);
  }

  /** Prompt tokens that it was sent and has not prefilled. */
  get promptTokensInFlight(): number {
    return this.#ledger.pendingPromptTokens(this.slot);
  }

  with(change: WorkerChange): Worker {
    return new Worker({
      id: this.id,
      spec: this.spec,
      status: this.status,
      statusSince: this.statusSince,
      info: this.info,
      breakerState: this.breakerState,
      restUntil: this.restUntil,
      trouble: this.trouble,
      lastError: this.lastError,
      slowStart: this.slowStart,
      slot: this.slot,
      ledger: this.#ledger,
      ...change,
    });
  }
}

export interface WorkerParts {
  readonly id: string;
  readonly spec: WorkerSpec;
  readonly status: WorkerStatus;
  readonly statusSince: number;
  readonly info: WorkerInfo;
  readonly breakerState: BreakerState;
  readonly restUntil: number | undefined;
  readonly trouble: Trouble | undefined;
  readonly lastError: LastError | undefined;
  readonly slowStart: SlowStart | undefined;
  readonly slot: number;
  readonly ledger: LoadLedger;
}

/** What can change of a worker from one version to the next. */
export type WorkerChange = Partial<Omit<WorkerParts, "id" | "slot" | "ledger">>;
