/**
 * A policy chooses a worker. It is pure and synchronous, sees immutable candidates, and knows nothing of sockets,
 * registries or configuration files. Each model has its own instance, so state in it is that model's alone.
 */

/** What a policy may know of a worker. A Worker fits it by shape; `inFlight` is read live from the ledger. */
export interface Candidate {
  readonly id: string;
  readonly url: string;
  /** A small number that is this worker's alone while it is registered, and another's some time after that. */
  readonly slot: number;
  /**
   * Requests sent to it that have not ended yet. One that failed counts on for as long as an answer takes: a worker that fails
   * at once must not look idle.
   */
  readonly inFlight: number;
  /** Prompt tokens sent to it that have not been prefilled yet (estimate), and those of requests that failed, likewise. */
  readonly pendingPromptTokens: number;
}

/** What a policy may know of a request. What costs time to find out is a method and computed once. */
export interface RequestFeatures {
  readonly model: string;
  /** Length of the prompt in tokens, estimated from the size of the body (4 bytes a token). */
  readonly promptTokens: number;
  /**
   * The prompt as bytes that are equal where prompts are equal: two requests that share a prompt prefix share a prefix
   * of these bytes. Text as UTF-8, token ids as 4 little-endian bytes each. Empty where there is no prompt.
   */
  promptBytes(): Uint8Array;
  /** What the client asks to be routed by (session or user), if it said so. Source: the headers and fields in docs/policies.md. */
  routingKey(): string | undefined;
}

export interface Policy {
  /** As in the configuration. */
  readonly name: string;
  /**
   * Index of the chosen candidate, or -1 where none of them may be chosen. `candidates` is not empty, is in a stable
   * order between calls as long as the set does not change, and must not be kept.
   */
  select(candidates: readonly Candidate[], request: RequestFeatures): number;
  /** A worker left for good or was restarted: forget what was remembered of it. */
  forget?(workerId: string, slot: number): void;
}

/**
 * Memory for what the instances of a policy on all threads know together. The same instance asks once; on every thread
 * the answer is the same memory.
 */
export type AllocateShared = (bytes: number) => SharedArrayBuffer;
