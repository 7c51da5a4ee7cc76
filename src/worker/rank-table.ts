/** The data-parallel rank of an engine that a worker stands for, where the ranks behind one address are workers of their own. */
export interface Rank {
  /** From 0. */
  readonly index: number;
  /** Ranks of the address that are workers; 1 until the engine has said how many it has. */
  readonly of: number;
}

interface Ranked {
  readonly id: string;
  readonly rank: Rank | undefined;
  readonly spec: { readonly url: string };
}

const NONE: readonly string[] = [];

/** Which workers are the data-parallel ranks of one address. A worker without a rank is not in it. */
export class RankTable {
  /** By address: the ids of its ranks, the lowest rank first. A list is replaced, not changed. */
  readonly #ids = new Map<string, readonly string[]>();
  readonly #ranks = new Map<string, number>();

  /** Ids of the ranks of this address, the lowest rank first. */
  at(address: string): readonly string[] {
    return this.#ids.get(address) ?? NONE;
  }

  /** Adds a rank; one that is in it stays. */
  add({ id, rank, spec }: Ranked): void {
    if (rank === undefined || this.#ranks.has(id)) return;
    this.#ranks.set(id, rank.index);
    const order = (one: string): number => this.#ranks.get(one) ?? 0;
    this.#ids.set(
      spec.url,
      [...this.at(spec.url), id].sort((a, b) => order(a) - order(b)),
    );
  }

  delete({ id, spec }: Ranked): void {
    if (!this.#ranks.delete(id)) return;
    const left = this.at(spec.url).filter((one) => one !== id);
    if (left.length === 0) this.#ids.delete(spec.url);
    else this.#ids.set(spec.url, left);
  }
}
