import { GatewayError } from "../errors/errors.ts";
import type { PdRequest, SharedIds } from "./connector.ts";
import { dataParallelSize, kvAddress } from "./kv-facts.ts";

/** Number of sequences that the request asks for. Throws invalid_request if they are too many. */
export function sequences({ endpoint, body }: Pick<PdRequest, "endpoint" | "body">): number {
  const count = endpoint.sequences(body);
  if (count <= MAX_SEQUENCES) return count;
  throw new GatewayError("invalid_request", `a request may ask for ${MAX_SEQUENCES} sequences`, { param: "n" });
}

/** vLLM's own bound on `n`. Each sequence takes some bytes in both legs. */
const MAX_SEQUENCES = 16_384;

/** Makes fresh ids for each try: a failed room or transfer is not used again. Each of `count` sequences gets a room. */
export function newSharedIds(pd: PdRequest, count = sequences(pd)): SharedIds {
  const ranks = BigInt(dataParallelSize(pd.prefill));
  // One rank for the whole batch, because the body names it once: the worker's, or any where the worker is all ranks.
  const { pinnedRank } = pd.prefill;
  const rank = pinnedRank === undefined ? randomBits() % ranks : BigInt(pinnedRank);
  const rooms = Array.from({ length: count }, () => roomOfRank(rank, ranks));
  const uuid = Bun.randomUUIDv7();
  const [from = "", to = ""] = [pd.prefill, pd.decode].map(kvAddress);
  return {
    rank: Number(rank),
    rooms,
    transferId: `xfer-${uuid}`,
    requestId: `___prefill_addr_${from}___decode_addr_${to}_${uuid.replaceAll("-", "")}`,
  };
}

function roomOfRank(rank: bigint, ranks: bigint): bigint {
  const room = randomBits();
  const moved = room - (room % ranks) + rank;
  return moved > 0n && moved <= MAX_ROOM ? moved : rank + ranks;
}

function randomBits(): bigint {
  const [bits = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return bits & MAX_ROOM;
}

const MAX_ROOM = 0x7fff_ffff_ffff_ffffn;
