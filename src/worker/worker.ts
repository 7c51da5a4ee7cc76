import type { ErrorCode } from "../errors/errors.ts";
import { type ConnectionMode, connectionModeOf } from "../util/parse-worker-url.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { BreakerState } from "./circuit-breaker.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { Rank } from "./rank-table.ts";
import type { KvEventsSpec, WorkerSpec } from "./worker-spec.ts";

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
 *   any -- removed by its source, the operator or its checks --> draining -- last request ended, or time is over --> gone
 * ```
 */
export type WorkerStatus = "pending" | "ready" | "not_ready" | "failed" | "draining";
/** The protocol of a worker, and whether it is one half of a prefill/decode pair. Each kind has its own router. */
export type WorkerKind = "http" | "http_pd" | "grpc" | "grpc_pd";

/** In place of a model's id: any model. */
const ANY_MODEL_ID = "*";

/** A model as a worker lists it. */
export interface ModelCard {
  readonly id: string;
  /** Longest prompt plus answer, in tokens. */
  readonly maxModelLen: number | undefined;
  /** Unix seconds. */
  readonly created: number | undefined;
  /** For a LoRA adapter: the path it was loaded from, and its base model. */
  readonly root: string | undefined;
  readonly parent: string | undefined;
}

/** The facts that the worker reported when it was asked. */
export interface WorkerInfo {
  /** Ids of its models, the main one first. Empty: the worker named none, and counts as serving any. */
  readonly models: readonly string[];
  /** Its model cards, where it lists any. */
  readonly cards: readonly ModelCard[];
  /** `sglang`, `vllm`, or whatever it calls itself; undefined where it did not say. */
  readonly engine: string | undefined;
  readonly engineVersion: string | undefined;
  /** Longest prompt plus answer, in tokens, of the main model. */
  readonly maxModelLen: number | undefined;
  /** Tokens that its KV cache holds. */
  readonly kvCapacityTokens: number | undefined;
  /**
   * When its process began, ms since the epoch: by its own report, or when it answered again after it had refused connections. Undefined
   * where neither is known.
   */
  readonly startedAt: number | undefined;
  /** How its KV cache reaches another engine; undefined where it reported no such thing. */
  readonly kv: KvTransferInfo | undefined;
  /** Where it publishes KV events, if it says so; its spec and the configuration come before that. */
  readonly kvEvents?: KvEventsSpec | undefined;
  /** Data-parallel ranks behind its address, by its own report; undefined where it does not say. */
  readonly dataParallelSize?: number | undefined;
}

/** How an engine hands its KV cache over, or receives one, by its own report. */
export interface KvTransferInfo {
  /** The engine's name for the connector, for example `NixlConnector`; `sglang` for SGLang's. */
  readonly connector: string;
  /** The engine's id at its peer (Mooncake). */
  readonly engineId: string | undefined;
  readonly bootstrapPort: number | undefined;
  /** Data-parallel ranks behind the one address. */
  readonly dataParallelSize: number;
}

/**
 * Why a ready worker gets no requests:
 * - `faults`: its breaker is open.
 * - `failures`: it is ejected, because it fails where the others do not.
 * - `suspected`: it may be ejected. Other workers get its requests meanwhile, which shows whether it is at fault.
 * - `credential`: it refuses the gateway's credential.
 * - `busy`: it asked for a rest.
 */
export type TroubleReason = "faults" | "failures" | "suspected" | "credential" | "busy";

/** Why and since when a ready worker is left out. */
export interface Trouble {
  readonly reason: TroubleReason;
  /** Whether requests may probe the worker, one at a time. */
  readonly mayProve: boolean;
  /** Wall-clock time, ms since the epoch. */
  readonly since: number;
}

/** The last error of a request to the worker or of a probe. It is published now and then, and with each trouble. */
export interface LastError {
  /** Code of the errors table. */
  readonly code: ErrorCode;
  /** A sentence for operators. */
  readonly message: string;
  /** Wall-clock time, ms since the epoch. */
  readonly at: number;
}

/** A worker that is back gets its full share of requests at `until`. Times are on this process's clock, ms. */
export interface SlowStart {
  readonly since: number;
  readonly until: number;
}

/**
 * One worker at one version of the registry. Immutable: `with` makes a changed copy, which the registry publishes. The counters
 * read the ledger live; all versions of a worker share its slot and ledger.
 */
export class Worker {
  readonly id: string;
  readonly spec: WorkerSpec;
  /** Undefined: the worker is all that is behind its address. */
  readonly rank: Rank | undefined;
  /** Its name in logs, metrics and policies: its address, and for a rank `ADDRESS@RANK`. Requests go to `spec.url`. */
  readonly url: string;
  /**
   * The protocol of its url, and nothing else can say it. Worked out once, as lists of workers are made by it: one of 10,000 takes 1.0 ms,
   * against 1.35 where each is asked for its protocol anew (Bun 1.4.5, 2026-11-26).
   */
  readonly connectionMode: ConnectionMode;
  readonly status: WorkerStatus;
  /** Wall-clock time at which it got this status, ms since the epoch. */
  readonly statusSince: number;
  readonly info: WorkerInfo;
  readonly breakerState: BreakerState;
  /** End of the rest that it asked for, on this process's clock, ms; undefined without one. */
  readonly restUntil: number | undefined;
  /** Why it is left out; undefined where it is not. */
  readonly trouble: Trouble | undefined;
  readonly lastError: LastError | undefined;
  readonly slowStart: SlowStart | undefined;
  /** Its row in the ledger. */
  readonly slot: number;
  readonly #ledger: LoadLedger;

  constructor(parts: WorkerParts) {
    this.id = parts.id;
    this.spec = parts.spec;
    this.rank = parts.rank;
    this.url = parts.rank === undefined ? parts.spec.url : `${parts.spec.url}@${parts.rank.index}`;
    this.connectionMode = connectionModeOf(parts.spec.url);
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

  /** The rank that requests must name; undefined where the engine has one rank, or chooses among its ranks itself. */
  get pinnedRank(): number | undefined {
    return this.rank !== undefined && this.rank.of > 1 ? this.rank.index : undefined;
  }

  /** The main model, for logs and metrics; `unknown` until the worker has named one. */
  get modelId(): string {
    return (this.servesAny ? undefined : this.spec.modelId) ?? this.info.models[0] ?? "unknown";
  }

  /** Whether its operator declares that it serves any model, like engines that load models on demand. */
  get servesAny(): boolean {
    return this.spec.modelId === ANY_MODEL_ID;
  }

  /** All model ids that it lists, or serves by its spec. */
  get models(): readonly string[] {
    const named = this.spec.modelId;
    if (named === undefined || this.servesAny) return this.info.models;
    return this.info.models.includes(named) ? this.info.models : [named, ...this.info.models];
  }

  /**
   * For policies: prompt tokens that it keeps for later requests; the operator's word comes before the engine's. Both speak of all that is
   * behind the address, and each rank has its share.
   */
  get kvCapacityTokens(): number | undefined {
    const tokens = this.spec.kvCapacityTokens ?? this.info.kvCapacityTokens;
    if (tokens === undefined || this.rank === undefined || this.rank.of === 1) return tokens;
    return Math.floor(tokens / (this.info.dataParallelSize ?? this.rank.of));
  }

  /** Whether it gets requests: it is ready, not cordoned, and not left out. */
  get isUp(): boolean {
    return this.status === "ready" && this.trouble === undefined && !this.spec.isCordoned;
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

  /** For policies: requests in flight, including those that failed a moment ago, so that a worker that fails at once does not look idle. */
  get inFlight(): number {
    return this.#ledger.load(this.slot);
  }

  /** For policies, as `inFlight`. */
  get pendingPromptTokens(): number {
    return this.#ledger.pendingPromptTokens(this.slot) + this.#ledger.failedPromptTokens(this.slot);
  }

  /** For policies: prompt tokens of the requests in `inFlight`. */
  get contextTokens(): number {
    return this.#ledger.contextTokens(this.slot);
  }

  /** Requests whose first token has come and whose answer has not ended. */
  get decoding(): number {
    return this.#ledger.decoding(this.slot);
  }

  /** Requests in flight. */
  get requestsInFlight(): number {
    return this.#ledger.inFlight(this.slot);
  }

  /** Prompt tokens that it has not prefilled yet. */
  get promptTokensInFlight(): number {
    return this.#ledger.pendingPromptTokens(this.slot);
  }

  /** Where it publishes KV events: by its spec, otherwise by its own report. `false`: its events are not wanted. */
  get kvEvents(): KvEventsSpec | false | undefined {
    return this.spec.kvEvents ?? this.info.kvEvents;
  }

  with(change: WorkerChange): Worker {
    return new Worker({
      id: this.id,
      spec: this.spec,
      rank: this.rank,
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

/** What a worker is made of. */
export interface WorkerParts extends Pick<
  Worker,
  | "id"
  | "spec"
  | "rank"
  | "status"
  | "statusSince"
  | "info"
  | "breakerState"
  | "restUntil"
  | "trouble"
  | "lastError"
  | "slowStart"
  | "slot"
> {
  readonly ledger: LoadLedger;
}

/** The parts of a worker that can change between two versions. */
export type WorkerChange = Partial<Omit<WorkerParts, "id" | "slot" | "ledger">>;
