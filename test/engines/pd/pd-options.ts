import type { RecordedRequest } from "../../../src/engine-sim/engine.ts";
import type { PdFault } from "./faults.ts";
import type { PdJournal } from "./journal.ts";

/** How KV goes from one engine to the other. All but `sglang` are connectors of vLLM. */
export type PdDialect = "sglang" | "nixl" | "mooncake" | "p2p_nccl" | "passthrough";

export type PdSide = "prefill" | "decode";

export interface PdOptions {
  readonly dialect: PdDialect;
  readonly side: PdSide;
  /** What all engines of a fleet write into; without it the engine knows of no other. */
  readonly journal?: PdJournal;
  /** Longest that one side waits for the other, ms. Real engines wait for minutes; a test does not want to. */
  readonly waitMs?: number;
  /** How long KV that nobody fetches is kept, ms. vLLM 0.32: 30 s with NIXL, 480 s with Mooncake. */
  readonly leaseMs?: number;
  readonly dpSize?: number;
  /** SGLang: how a prefill engine chooses the rank of a request that names none. */
  readonly loadBalanceMethod?: "follow_bootstrap_room" | "round_robin";
  /** vLLM: whether `/server_info` is there, as with VLLM_SERVER_DEV_MODE=1. */
  readonly isDevMode?: boolean;
  readonly fault?: PdFault;
}

/** One request of a leg. */
export interface PdExchange {
  readonly request: RecordedRequest;
  /** Counts the requests of the whole fleet, in the order in which they came. */
  readonly sequence: number;
  /** The client went before it had the whole answer. */
  isAborted: boolean;
  /** In the same count as `sequence`: when the answer was whole. */
  endSequence: number | undefined;
}

/** What tests read of an engine. */
export interface PdRecord {
  readonly exchanges: PdExchange[];
  /** Each departure from the protocol, in words. */
  readonly violations: string[];
  /** Transfers that failed with nobody at fault: the other engine went, or kept its KV no longer. */
  readonly kvFailures: string[];
  /** Prompt tokens that this engine got from another. */
  kvTokens: number;
  /** Transfers that this engine got. */
  kvTransfers: number;
  /** Prompt tokens that a decode engine looked for at a prefill engine. */
  kvQueries: number;
  /** Requests that a decode engine prefilled itself. */
  recomputed: number;
  /** KV given up because nobody fetched it in time. */
  kvExpired: number;
}
