import type { WorkerType } from "../util/worker-type.ts";
import type { PickReason } from "./pick-reasons.ts";
import type { PromptBlocks } from "./prefix-blocks.ts";

/**
 * A policy chooses a worker. It is synchronous, gets immutable candidates, and does not know sockets, registries or configuration
 * files. Each model has its own instance (one for each role where prefill and decode are apart), so its state belongs to one model.
 *
 * The calls for one request, in this order:
 *
 * ```
 *   pick -- the request is sent -- onFirstToken (streams, and prefill workers) -- onEnd
 *     \---- the request is not sent ------------------------------------------- onEnd with "unsent"
 * ```
 */

/** The view of a worker that a policy gets. A Worker fits it by shape; the counts are read live from the ledger. */
export interface Candidate {
  readonly id: string;
  readonly url: string;
  /** A small number that belongs to this worker while it is registered. Some time later another worker may get it. */
  readonly slot: number;
  /** Id of its main model; `unknown` until it is known. */
  readonly modelId: string;
  /** Whether it prefills, decodes, or does both (`regular`). All candidates of one pick have the same role. */
  readonly role: WorkerType;
  /** The operator's labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** The operator's priority, 0 to 1,000,000; 50 by default. */
  readonly priority: number;
  /** The operator's cost, 0 to 1,000,000; 1 by default. */
  readonly cost: number;
  /**
   * Requests sent to it that have not ended yet. A failed request counts for as long as an answer takes, because a worker that
   * fails at once must not look idle.
   */
  readonly inFlight: number;
  /** Estimated prompt tokens that it has not prefilled yet, including those of failed requests as above. */
  readonly pendingPromptTokens: number;
  /** Requests whose first token has come and whose answer has not ended. */
  readonly decoding: number;
  /** Prompt tokens of the requests in flight, counted as `inFlight`: what their prompts occupy of its KV cache. */
  readonly contextTokens: number;
  /** Tokens that its KV cache holds, with its host tiers where it reports them; undefined where it does not say. */
  readonly kvCapacityTokens: number | undefined;
}

/** The view of a request that a policy gets. Costly values are methods, and are computed once. */
export interface RequestFeatures {
  readonly model: string;
  /** The client asked for a stream: only then does the gateway see when the first token comes. */
  readonly isStream: boolean;
  /** Length of the prompt in tokens: counted for gRPC workers, otherwise estimated from the size of the body (4 bytes a token). */
  readonly promptTokens: number;
  /**
   * The prompt as bytes that are equal where prompts are equal: two requests that share a prompt prefix share a prefix
   * of these bytes. Text as UTF-8, token ids as 4 little-endian bytes each. Empty where there is no prompt.
   */
  promptBytes(): Uint8Array;
  /** Whether `promptBytes` has any; made without them. */
  hasPrompt(): boolean;
  /** Whether the prompt's bytes are token ids, four bytes each; otherwise they are text, of which a token has about four. */
  readonly isTokenized: boolean;
  /** The client's routing key (session or user); undefined without one. docs/policies.md lists its headers and members. */
  routingKey(): string | undefined;
  /** Hashes of the prompt's blocks. They are kept, so that a second attempt and both workers of a pair need no second hashing. */
  promptBlocks(): PromptBlocks;
}

/** Bytes of a prompt for each token: exact where the prompt is token ids, and about so many where it is text. */
export const BYTES_PER_TOKEN = 4;

/** In place of an index: none of the candidates may be chosen. */
export const NOBODY = -1;

/** A choice with hooks, or with another charge for the ledger than the whole prompt. */
export interface Picked {
  /** Index of the chosen candidate. */
  readonly index: number;
  /**
   * Prompt tokens that this worker will have to prefill, a whole number from 0. The ledger counts them as pending until
   * the first token. Without it: the whole prompt, and 0 for a decode worker.
   */
  readonly chargeTokens?: number | undefined;
  /** Prompt tokens that the request occupies of the KV cache while it is in flight, a whole number from 0. Without it: the whole prompt. */
  readonly contextTokens?: number | undefined;
  /** Time from the charge to the first token that the policy expects, ms. */
  readonly predictedTtftMs?: number | undefined;
  /** Prompt tokens that the policy expects the worker to have cached when it prefills the request. */
  readonly predictedCachedTokens?: number | undefined;
  /** Why this candidate was chosen. One of an operator's module is not taken over. */
  readonly reason?: PickReason | undefined;
  /** Called when the first token arrives, `ms` after the worker was charged. At most once, and only before `onEnd`. */
  onFirstToken?(ms: number): void;
  /** As in PieceHearer. A choice without it hears of no pieces; one of an operator's module never has it. */
  readonly onPiece?: PieceHearer["onPiece"];
  /** Called once for each pick, when the request is over at this worker, with any outcome. */
  onEnd?(end: PickEnd): void;
}

/** Hears of the pieces of a stream. */
export interface PieceHearer {
  /** Called for each piece that comes after the first token, `ms` after the worker was charged. It must be quick, and never throws. */
  onPiece(ms: number): void;
}

/** The workers among which both workers of a request are chosen at once. */
export interface PairCandidates {
  /** Those that may prefill, as in `pick`; may be empty. */
  readonly prefillers: readonly Candidate[];
  /** Those that may decode; not empty. */
  readonly decoders: readonly Candidate[];
  /** The policy of the decode workers. */
  readonly decodePolicy: Policy;
  /** Whether the KV cache can go from a prefill to a decode worker, both by their indexes. */
  fits(prefill: number, decode: number): boolean;
  /** Whether a decode worker, by its index, may prefill the prompt itself, so that the request needs no prefill worker. */
  prefillsAlone(decode: number): boolean;
}

/** A choice of both workers. Each has its own charge and hooks. */
export interface PickedPair {
  /** undefined: the decode worker prefills the prompt itself. */
  readonly prefill: Picked | undefined;
  readonly decode: Picked;
}

/** What a policy expects of the candidates of both legs. */
export interface PairExplanations {
  readonly prefill: readonly Explanation[];
  /** For each decode worker the cheaper of its two ways: with the best prefill worker for it, or alone. */
  readonly decode: readonly Explanation[];
}

/** What a policy expects of one candidate for one request. */
export interface Explanation {
  /** Index of the candidate. */
  readonly index: number;
  /** Its cost, in the unit of `costs`; lower is better. */
  readonly cost: number;
  /** The parts of the cost by their names, in snake case; their sum is the cost. */
  readonly terms: Readonly<Record<string, number>>;
  /** Time from the charge to the first token, ms. */
  readonly predictedTtftMs?: number | undefined;
  /** Prompt tokens in its prefix cache, with a share of those that it is still prefilling for other requests. */
  readonly cachedTokens?: number | undefined;
  /** Prompt tokens that it is still prefilling for other requests. */
  readonly inFlightTokens?: number | undefined;
}

/**
 * How a picked request ended:
 * - `answered`: the whole answer has arrived.
 * - `failed`: the worker did not serve the request: it could not be reached, failed, or was full.
 * - `abandoned`: the client left, the other worker of the pair failed, or the request was wrong.
 * - `unsent`: the request was not sent, because a pair had no second worker.
 */
export type PickOutcome = "answered" | "failed" | "abandoned" | "unsent";

/** How the request ended at the worker that was picked. */
export interface PickEnd {
  readonly outcome: PickOutcome;
  /** Time since the worker was charged, ms; 0 where it was not charged. */
  readonly ms: number;
  /** The worker's token counts, if it reported them before the end. */
  readonly usage: PickUsage | undefined;
}

/** The worker's token counts; undefined where it did not report them. */
export interface PickUsage {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  /** Prompt tokens in the worker's prefix cache. */
  readonly cachedTokens: number | undefined;
}

/** Chooses a worker for each request of one model. */
export interface Policy {
  /** The name in the configuration. */
  readonly name: string;
  /**
   * Returns the index of the chosen candidate, or NOBODY. A policy with hooks or its own charge returns a Picked; others make no
   * object. `candidates` is not empty, keeps its order as long as the set does not change, and must not be kept. The chosen worker
   * is charged right after the call, so the counts do not include this request yet.
   */
  pick(candidates: readonly Candidate[], request: RequestFeatures): number | Picked;
  /**
   * The cost of each candidate for the request, in their order, in the policy's own unit; lower is better. NaN for a candidate that it
   * does not consider. Called right before `pick`, and only for requests whose choice is to be explained.
   */
  costs?(candidates: readonly Candidate[], request: RequestFeatures): readonly number[];
  /**
   * Why `pick` would choose as it would: one explanation for each candidate that it would compare, in any order. Changes nothing.
   * It makes objects, so it is called only for requests whose choice is to be explained, right before `pick`; `costs` is not asked then.
   */
  explain?(candidates: readonly Candidate[], request: RequestFeatures): readonly Explanation[];
  /**
   * Whether it chooses the prefill and the decode worker at once, where prefill and decode are on separate workers and the decode workers
   * have this policy. Asked of the policy of the prefill workers.
   */
  pairsWith?(decodePolicy: Policy): boolean;
  /** Chooses both workers at once, where `pairsWith` says so. undefined: no two fit, and no decode worker prefills alone. */
  pickPair?(candidates: PairCandidates, request: RequestFeatures): PickedPair | undefined;
  /** As `explain`, for `pickPair`. */
  explainPair?(candidates: PairCandidates, request: RequestFeatures): PairExplanations | undefined;
  /** `s`: costs and terms are seconds. Without it they are the policy's own measure. */
  readonly costUnit?: "s" | undefined;
  /** Keeps the requests with one routing key on one worker, as far as the candidates allow it. One of an operator's module is not asked. */
  readonly keepsSessions?: boolean | undefined;
  /** Why the last pick chose as it did, where it returned an index and not a Picked. One of an operator's module is not taken over. */
  readonly lastReason?: PickReason | undefined;
  /**
   * Another gateway's news of its own request at one of the candidates. The news may be late, and the parts of one request may come in
   * any order.
   */
  hear?(news: PolicyNews, candidates: readonly Candidate[]): void;
  /**
   * How far what it knows of a worker's prefix cache has been right, 0 to 1, by the cached tokens that the worker counts; undefined where it
   * keeps no such account. Called now and then, on any thread.
   */
  cacheTrust?(slot: number): number | undefined;
  /** Called when a worker has left for good or was restarted: forget everything about it. */
  forget?(workerId: string, slot: number): void;
  /**
   * News of what a worker's KV cache holds, by the worker's own KV events. Called on the control thread only, so a policy keeps it in
   * memory that all threads share. A policy without it works by what it sent.
   */
  readonly cacheNews?: ((slot: number, news: CacheNews) => void) | undefined;
}

/**
 * What a worker's KV events say of its cache. `hashes` are those of `PromptBlocks`, made from token ids.
 * - `stored`, `removed`: it has these blocks of prompts, or no longer.
 * - `exact`: whether the news is complete from now on, so that it alone says what the worker has.
 * - `cleared`: its cache is empty. What is known of its speed stays.
 */
export type CacheNews =
  | { readonly kind: "stored" | "removed"; readonly hashes: Int32Array }
  | { readonly kind: "exact"; readonly isExact: boolean }
  | { readonly kind: "cleared" };

/**
 * What one gateway tells the others of one of its requests. It has the time and the facts of the moment that it tells of, so that it
 * means the same however late it arrives.
 */
export interface PolicyNews {
  readonly kind: "sent" | "first_token" | "ended";
  /** Name of the gateway that tells. */
  readonly gateway: string;
  /** Number of the request among those of that gateway. */
  readonly request: number;
  readonly workerId: string;
  /** When it happened by the sender's clock, ms. All gateways must have about the same time. */
  readonly at: number;
  /** The charge in `pendingPromptTokens` until the first token. */
  readonly workTokens: number;
  /** The charge in `contextTokens` until the end. */
  readonly contextTokens: number;
  /** `hashes` and `bytes` of the prompt's blocks, for the prefix index. */
  readonly hashes: Int32Array;
  readonly bytes: number;
}

/**
 * Allocates memory that the instances of a policy on all threads share. Each instance calls it at most once; on every thread it
 * returns the same memory.
 */
export type AllocateShared = (bytes: number) => SharedArrayBuffer;

/** Random numbers in [0, 1); tests pass their own. */
export type Random = () => number;

/** The parts for an instance, in addition to its options. */
export interface PolicyParts {
  readonly memory: AllocateShared;
  readonly random: Random;
  /**
   * Milliseconds since a start that all threads share, to within a millisecond, so that they can compare times. It is steady; only a
   * thread that is started anew after a jump of the wall clock differs by that jump.
   */
  readonly now: () => number;
  /** Number of this thread, from 0, among `threads`. No other living instance has this number and this `memory`. */
  readonly thread: number;
  /** Number of threads that have an instance on `memory`: those that serve, and the control thread where it is another. */
  readonly threads: number;
  /** Name of this gateway among those that hear each other's news. */
  readonly gateway?: string | undefined;
  /** Tells the other gateways what this policy's requests do; undefined where nobody listens. */
  readonly tell?: ((news: PolicyNews) => void) | undefined;
}
