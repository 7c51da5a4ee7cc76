import type { WorkerType } from "../util/worker-type.ts";
import type { PromptBlocks } from "./prefix-blocks.ts";

/**
 * A policy chooses a worker. It is synchronous, sees immutable candidates, and knows nothing of sockets, registries or
 * configuration files. Each model has its own instance (where prefill and decode are apart, each of the two roles), so
 * state in it is that model's alone.
 *
 * What it hears of a request, in this order:
 *
 * ```
 *   pick -- the request is sent -- onFirstToken (streams, and prefill workers) -- onEnd
 *     \---- nobody is sent it ------------------------------------------------- onEnd with "unsent"
 * ```
 */

/** What a policy may know of a worker. A Worker fits it by shape; the counts are read live from the ledger. */
export interface Candidate {
  readonly id: string;
  readonly url: string;
  /** A small number that is this worker's alone while it is registered, and another's some time after that. */
  readonly slot: number;
  /** Id of its main model; `unknown` while nobody has said it. */
  readonly modelId: string;
  /** Whether it prefills, decodes, or does both (`regular`). All candidates of one pick have the same role. */
  readonly role: WorkerType;
  /** What its operator wrote on it. */
  readonly labels: Readonly<Record<string, string>>;
  /** As its operator set it, 0 to 1,000,000; 50 where nobody did. */
  readonly priority: number;
  /** As its operator set it, 0 to 1,000,000; 1 where nobody did. */
  readonly cost: number;
  /**
   * Requests sent to it that have not ended yet. One that failed counts on for as long as an answer takes: a worker that fails
   * at once must not look idle.
   */
  readonly inFlight: number;
  /** Prompt tokens sent to it that have not been prefilled yet (estimate), and those of requests that failed, likewise. */
  readonly pendingPromptTokens: number;
  /** Requests whose first token has come and whose answer has not ended. */
  readonly decoding: number;
}

/** What a policy may know of a request. What costs time to find out is a method and computed once. */
export interface RequestFeatures {
  readonly model: string;
  /** The client asked for a stream: only then does the gateway see when the first token comes. */
  readonly isStream: boolean;
  /** Length of the prompt in tokens: counted for gRPC workers, else estimated from the size of the body (4 bytes a token). */
  readonly promptTokens: number;
  /**
   * The prompt as bytes that are equal where prompts are equal: two requests that share a prompt prefix share a prefix
   * of these bytes. Text as UTF-8, token ids as 4 little-endian bytes each. Empty where there is no prompt.
   */
  promptBytes(): Uint8Array;
  /** What the client asks to be routed by (session or user), if it said so. Source: the headers and fields in docs/policies.md. */
  routingKey(): string | undefined;
  /** The prompt's blocks as hashes. Kept, so that second attempts and both workers of a pair are chosen by one hashing. */
  promptBlocks(): PromptBlocks;
}

/** In place of an index: none of the candidates may be chosen. */
export const NOBODY = -1;

/** A choice of which the policy wants to hear more, or for which the ledger is charged something else than the prompt. */
export interface Picked {
  /** Of the chosen candidate in the list. */
  readonly index: number;
  /**
   * Prompt tokens that this worker will have to prefill, a whole number from 0. The ledger counts them as pending until
   * the first token. Without it: the whole prompt, and 0 for a decode worker.
   */
  readonly chargeTokens?: number | undefined;
  /** The first token has come, `ms` after the worker was charged. At most once, and only before `onEnd`. */
  onFirstToken?(ms: number): void;
  /** The request is over at this worker. Called once for each pick, whatever becomes of it. */
  onEnd?(end: PickEnd): void;
}

/**
 * - `answered`: the whole answer has come.
 * - `failed`: the worker did not do what it was asked for: it could not be reached, failed, or was full.
 * - `abandoned`: nobody waits any more (the client left, the other worker of the pair failed), or the request was wrong.
 * - `unsent`: the request never went out, as there was no second worker for a pair.
 */
export type PickOutcome = "answered" | "failed" | "abandoned" | "unsent";

/** How the request ended at the worker that was picked. */
export interface PickEnd {
  readonly outcome: PickOutcome;
  /** Since the worker was charged, ms; 0 where it was not. */
  readonly ms: number;
  /** What the worker counted, where it said so before the end. Of a pair: only the decode worker's. */
  readonly usage: PickUsage | undefined;
}

/** Tokens as the worker counted them; undefined where it did not say. */
export interface PickUsage {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  /** Prompt tokens that were in the worker's prefix cache. */
  readonly cachedTokens: number | undefined;
}

/** Chooses a worker for each request of one model. */
export interface Policy {
  /** As in the configuration. */
  readonly name: string;
  /**
   * The index of the chosen candidate, or NOBODY. A policy that has more to say returns a Picked; one that has not makes no
   * object. `candidates` is not empty, is in a stable order between calls as long as the set does not change, and must not
   * be kept. The worker that is chosen is charged right after, so the policy does not see this request in the counts.
   */
  pick(candidates: readonly Candidate[], request: RequestFeatures): number | Picked;
  /**
   * What each candidate would cost the request, in their order; the lower the better, in a unit of the policy's own. NaN for
   * one that it does not look at. Asked right before `pick`, and only while somebody wants to know (log level `debug`).
   */
  costs?(candidates: readonly Candidate[], request: RequestFeatures): readonly number[];
  /** A worker left for good or was restarted: forget what was remembered of it. */
  forget?(workerId: string, slot: number): void;
}

/**
 * Memory for what the instances of a policy on all threads know together. The same instance asks once; on every thread
 * the answer is the same memory.
 */
export type AllocateShared = (bytes: number) => SharedArrayBuffer;

/** Numbers from 0 to below 1; tests bring their own. */
export type Random = () => number;

/** What an instance is made with, besides its options. */
export interface PolicyParts {
  readonly memory: AllocateShared;
  readonly random: Random;
  /** Milliseconds since an arbitrary start, which differs between threads. */
  readonly now: () => number;
}
