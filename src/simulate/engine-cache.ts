import type { BlockPool } from "./block-pool.ts";
import type { EngineModel } from "./engine-models.ts";
import type { EngineRequest, Sequence } from "./engine-sequence.ts";

/** How sequences of one engine use its KV cache, by the engine's rules. Token counts become blocks here. */
export class EngineCache {
  readonly pool: BlockPool;
  readonly #model: EngineModel;

  constructor(model: EngineModel, pool: BlockPool) {
    this.#model = model;
    this.pool = pool;
  }

  /** Tokens of the prompt that are cached now. The last token is always computed. */
  hitTokens({ blocks, promptTokens }: EngineRequest): number {
    const whole = Math.min(blocks.length, Math.floor((promptTokens - 1) / this.#model.blockTokens));
    return this.pool.hits(blocks, whole) * this.#model.blockTokens;
  }

  /**
   * Takes the blocks for the first chunk of a waiting sequence, which then starts after what is cached. Returns false, and changes
   * nothing, where the memory is too full.
   */
  admit(sequence: Sequence, hitTokens: number, chunkTokens: number): boolean {
    const { blockTokens, memory } = this.#model;
    const { blocks } = sequence.request;
    const hits = hitTokens / blockTokens;
    const start = Math.max(hitTokens, sequence.received);
    if (memory === "bounded") {
      const fresh = Math.ceil((start + chunkTokens) / blockTokens) - hits;
      if (fresh + this.pool.unpinned(blocks, hits) > this.pool.free) return false;
      for (let index = 0; index < hits; index += 1) this.pool.pin(blocks[index] ?? 0);
      sequence.held = hits;
    } else {
      for (let index = hits - 1; index >= 0; index -= 1) this.pool.touch(blocks[index] ?? 0);
    }
    sequence.named = hits;
    sequence.computed = start;
    if (sequence.received > 0) this.#receive(sequence);
    return true;
  }

  #receive(sequence: Sequence): void {
    this.reserve(sequence, 0);
    this.name(sequence, sequence.computed);
  }

  /** Blocks that are missing for so many more tokens. */
  missing({ held, computed }: Sequence, tokens: number): number {
    if (this.#model.memory === "cache_only") return 0;
    return Math.max(0, Math.ceil((computed + tokens) / this.#model.blockTokens) - held);
  }

  /** Takes the blocks for so many more tokens; `missing` of them must be free. */
  reserve(sequence: Sequence, tokens: number): void {
    const count = this.missing(sequence, tokens);
    if (count === 0) return;
    this.pool.reserve(count);
    sequence.held += count;
  }

  /** The blocks up to this token are complete: others find them from now on. */
  name(sequence: Sequence, untilToken: number): void {
    const { blocks } = sequence.request;
    const until = Math.min(blocks.length, Math.floor(untilToken / this.#model.blockTokens));
    if (this.#model.memory === "bounded") {
      for (; sequence.named < until; sequence.named += 1) this.pool.name(blocks[sequence.named] ?? 0);
      return;
    }
    for (let index = until - 1; index >= sequence.named; index -= 1) this.pool.touch(blocks[index] ?? 0);
    sequence.named = Math.max(sequence.named, until);
  }

  /** The sequence is over or preempted. Its last blocks will be evicted before its first ones. */
  release(sequence: Sequence): void {
    const { blocks } = sequence.request;
    const isBounded = this.#model.memory === "bounded";
    for (let index = sequence.named - 1; index >= 0; index -= 1) {
      if (isBounded) this.pool.unpin(blocks[index] ?? 0);
      else this.pool.touch(blocks[index] ?? 0);
    }
    if (isBounded) this.pool.unreserve(sequence.held - sequence.named);
    sequence.held = 0;
    sequence.named = 0;
    sequence.computed = 0;
  }
}
