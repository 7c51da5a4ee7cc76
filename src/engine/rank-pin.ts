/** How a request over HTTP tells an engine which of its data-parallel ranks must answer, besides by the header. */
export interface RankPin {
  /** Members of the body that name the rank. */
  readonly members: readonly string[];
  /** Members by which only the gateway may choose ranks; a client's are set to null. */
  readonly cleared: readonly string[];
}

/** The header of vLLM, which newer SGLang reads too, before the members of the body. Lower case. */
export const RANK_HEADER = "x-data-parallel-rank";

/** How many ranks of an engine can be workers: as many as it says, and one where requests cannot name a rank. */
export function ranksOf(
  { rankPin }: { readonly rankPin: RankPin | undefined },
  { dataParallelSize }: { readonly dataParallelSize?: number | undefined },
): number | undefined {
  return rankPin ? dataParallelSize : 1;
}
