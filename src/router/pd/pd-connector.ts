import { GatewayError } from "../../errors/errors.ts";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { JsonBody } from "../../protocol/json/json-body.ts";
import type { Worker } from "../../worker/worker.ts";

/** A request that a prefill and a decode worker answer together. */
export interface PdRequest {
  readonly endpoint: Endpoint;
  readonly body: JsonBody;
  readonly prefill: Worker;
  readonly decode: Worker;
  readonly requestId: string;
}

/** What one of the two is sent, where it is not what the client sent. */
export interface LegChange {
  /** Members of the body, as JSON text. */
  readonly members: ReadonlyMap<string, Uint8Array | string>;
  readonly requestId?: string;
  /** Further header lines. */
  readonly headers?: string;
}

/** How a KV cache gets from one engine to the other, as far as a gateway has a part in it. */
export interface PdConnector {
  /** For metrics and logs. */
  readonly name: string;
  /** Whether the engines take on this endpoint what the connector sends them. */
  readonly serves: (endpoint: Endpoint) => boolean;
  /** Both are asked at once, or decode once prefill has answered. */
  readonly order: "together" | "prefill_first";
  /** One answer of prefill is enough for one sequence only: requests for several are left to the decode worker alone. */
  readonly isOneSequence: boolean;
  /** Member of prefill's answer that decode must be given, as it is. */
  readonly handsOver: string | undefined;
  /** What cannot be counted by the decode worker is taken from prefill's answer. */
  readonly merges: "input_logprobs" | "cached_tokens" | "nothing";
  /** Whether what is known of the two suffices. */
  readonly fits: (prefill: Worker, decode: Worker) => boolean;
  prefill(pd: PdRequest, shared: SharedIds): LegChange;
  decode(pd: PdRequest, shared: SharedIds): LegChange;
}

/** What both legs of one request have in common, made by the gateway and never taken from a client. */
export interface SharedIds {
  /** Data-parallel rank that prefills. */
  readonly rank: number;
  /** SGLang: one for each sequence, of 63 bits. Modulo the ranks of the prefill worker they are its rank. */
  readonly rooms: readonly bigint[];
  /** Mooncake. */
  readonly transferId: string;
  /** P2pNccl: tells both engines where the other one is. */
  readonly requestId: string;
}

/** vLLM's server takes `kv_transfer_params` where prefill can be asked for one token. */
const takesParams = ({ oneToken }: Endpoint): boolean => oneToken !== undefined;
/** Where SGLang's prefill servers listen for decode servers unless told otherwise. */
const SGLANG_BOOTSTRAP_PORT = 8998;
/** Of the label that names a worker's address for P2pNccl transfers, `host:port`. */
const KV_ADDRESS_LABEL = "kv_address";
/** Members by which SGLang chooses ranks: a client's are not taken. */
const SGLANG_RANKS = ["routed_dp_rank", "data_parallel_rank", "disagg_prefill_dp_rank"];

/** SGLang: both legs get the same three members at the same time and meet in the room. Source: routing facts of SGLang's PD mode. */
const sglang: PdConnector = {
  name: "sglang",
  serves: ({ takesRoom }) => takesRoom,
  order: "together",
  isOneSequence: false,
  handsOver: undefined,
  merges: "input_logprobs",
  // With any numbers of ranks: the decode worker is told which one prefills, and chooses its own.
  fits: () => true,
  prefill(pd, shared) {
    const members = bootstrap(pd, shared);
    if (dataParallelSize(pd.prefill) > 1) members.set("routed_dp_rank", String(shared.rank));
    return { members };
  },
  decode(pd, shared) {
    const members = bootstrap(pd, shared);
    if (dataParallelSize(pd.prefill) > 1) members.set("disagg_prefill_dp_rank", String(shared.rank));
    return { members };
  },
};

function bootstrap(pd: PdRequest, { rooms }: SharedIds): Map<string, string> {
  const { prefill } = pd;
  const host = JSON.stringify(new URL(prefill.url).hostname);
  const port = String(bootstrapPort(prefill));
  const isBatch = rooms.length > 1;
  const each = (value: (room: bigint) => string): string =>
    isBatch ? `[${rooms.map(value).join(",")}]` : value(rooms[0] ?? 0n);
  return withoutClients(pd, SGLANG_RANKS)
    .set(
      "bootstrap_host",
      each(() => host),
    )
    .set(
      "bootstrap_port",
      each(() => port),
    )
    .set("bootstrap_room", each(String));
}

/** Members that are the gateway's to say, where a client said them. */
function withoutClients({ body }: PdRequest, names: readonly string[]): Map<string, string> {
  return new Map(names.filter((name) => body.raw(name)).map((name) => [name, "null"]));
}

/** vLLM with NIXL: prefill makes one token and says where its blocks are, decode is given that word for word. */
const nixl: PdConnector = {
  name: "nixl",
  serves: takesParams,
  order: "prefill_first",
  isOneSequence: true,
  handsOver: "kv_transfer_params",
  merges: "cached_tokens",
  fits: () => true,
  prefill: (pd) => ({
    members: oneToken(pd).set(
      "kv_transfer_params",
      '{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null}',
    ),
  }),
  decode: () => ({ members: new Map() }),
};

/** vLLM with Mooncake: a transfer id of ours, under which decode pulls from prefill's bootstrap server. */
const mooncake: PdConnector = {
  name: "mooncake",
  serves: takesParams,
  order: "prefill_first",
  isOneSequence: true,
  handsOver: undefined,
  merges: "cached_tokens",
  fits: (prefill) => engineIdOf(prefill, 0) !== undefined,
  prefill: (pd, { transferId, rank }) => ({
    members: oneToken(pd).set(
      "kv_transfer_params",
      JSON.stringify({ do_remote_decode: true, do_remote_prefill: false, transfer_id: transferId }),
    ),
    // Each rank is an engine of its own to its peers, so that decode must know which one it is.
    ...(dataParallelSize(pd.prefill) > 1 ? { headers: `x-data-parallel-rank: ${rank}\r\n` } : {}),
  }),
  decode({ prefill }, { transferId, rank }) {
    const params = {
      do_remote_decode: false,
      do_remote_prefill: true,
      transfer_id: transferId,
      remote_engine_id: engineIdOf(prefill, rank),
      remote_bootstrap_addr: `http://${new URL(prefill.url).hostname}:${bootstrapPort(prefill)}`,
    };
    return { members: new Map([["kv_transfer_params", JSON.stringify(params)]]) };
  },
};

/** vLLM's name of the engine that is this rank of a worker: the worker's own, with the rank where there are several. */
function engineIdOf(worker: Worker, rank: number): string | undefined {
  const id = worker.spec.labels["kv_engine_id"] ?? worker.info.kv?.engineId;
  return id === undefined || dataParallelSize(worker) === 1 ? id : `${id.replace(/_dp\d+$/, "")}_dp${rank}`;
}

/**
 * vLLM with P2pNccl: the request id names both addresses, and is the same at both. An engine derives the names of several
 * sequences from it, so that equal legs meet in all of them; a decode worker cannot do without.
 */
const p2pNccl: PdConnector = {
  name: "p2p_nccl",
  serves: takesParams,
  order: "prefill_first",
  isOneSequence: false,
  handsOver: undefined,
  merges: "cached_tokens",
  // An address is one engine's: of several ranks behind one worker it cannot be the right one's.
  fits: (prefill, decode) => [prefill, decode].every((one) => hasKvAddress(one) && dataParallelSize(one) === 1),
  prefill: (pd, { requestId }) => ({ members: oneToken(pd), requestId }),
  decode: (pd, { requestId }) => ({ members: withoutClients(pd, ["kv_transfer_params"]), requestId }),
};

/** Whatever else: prefill makes one token, and what it says of its transfer goes to decode word for word. */
const passthrough: PdConnector = {
  ...nixl,
  name: "passthrough",
  prefill: (pd) => ({
    members: oneToken(pd).set("kv_transfer_params", '{"do_remote_decode":true,"do_remote_prefill":false}'),
  }),
};

/** Fails on requests without an id and the ports of the other side, which are not made here: no route is served with it. */
const moriio: PdConnector = { ...passthrough, name: "moriio", serves: () => false };

/** By what engines call theirs. */
const CONNECTORS: ReadonlyMap<string, PdConnector> = new Map([
  ["sglang", sglang],
  ["nixlconnector", nixl],
  ["nixl", nixl],
  ["mooncakeconnector", mooncake],
  ["mooncake", mooncake],
  ["moriioconnector", moriio],
  ["moriio", moriio],
  ["p2pncclconnector", p2pNccl],
  ["p2p_nccl", p2pNccl],
  ["p2pnccl", p2pNccl],
]);

/** The connector of this name, in whatever case; one that nobody knows is passed through. */
export function connectorNamed(name: string): PdConnector {
  return CONNECTORS.get(name.toLowerCase()) ?? passthrough;
}

/** The connector of a worker: as its operator says (label `kv_connector`), as it said itself, or what its engine has by default. */
export function connectorOf({ spec, info }: Worker): PdConnector {
  const told = spec.labels["kv_connector"] ?? info.kv?.connector;
  if (told !== undefined) return connectorNamed(told);
  if (info.engine === "sglang" || spec.bootstrapPort !== undefined) return sglang;
  return info.engine === "vllm" ? nixl : passthrough;
}

export function fitTogether(prefill: Worker, decode: Worker): boolean {
  const connector = connectorOf(prefill);
  return connector === connectorOf(decode) && connector.fits(prefill, decode);
}

/** Sequences that the request asks for. Throws invalid_request on too many. */
export function sequences({ endpoint, body }: Pick<PdRequest, "endpoint" | "body">): number {
  const count = endpoint.sequences(body);
  if (count <= MAX_SEQUENCES) return count;
  throw new GatewayError("invalid_request", `a request may ask for ${MAX_SEQUENCES} sequences`, { param: "n" });
}

/** vLLM's own bound on `n`; each sequence takes some bytes of both legs. */
const MAX_SEQUENCES = 16_384;

/** Fresh for each try: a room or transfer that failed is not used again. `count` sequences have a room each. */
export function newSharedIds(pd: PdRequest, count = sequences(pd)): SharedIds {
  const ranks = BigInt(dataParallelSize(pd.prefill));
  // One rank for a whole batch, as it is told once.
  const rank = randomBits() % ranks;
  const rooms = Array.from({ length: count }, () => roomOfRank(rank, ranks));
  const uuid = Bun.randomUUIDv7();
  const [from = "", to = ""] = [pd.prefill, pd.decode].map(({ spec }) => spec.labels[KV_ADDRESS_LABEL]);
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

/** Where a prefill worker waits for decode workers: as its operator says, as it says itself, or the usual one. */
export function bootstrapPort({ spec, info }: Worker): number {
  return spec.bootstrapPort ?? info.kv?.bootstrapPort ?? SGLANG_BOOTSTRAP_PORT;
}

/** As its operator says (label `dp_size`), or as it said itself. */
export function dataParallelSize({ spec, info }: Worker): number {
  const told = Number(spec.labels["dp_size"]);
  return Number.isInteger(told) && told > 0 ? told : (info.kv?.dataParallelSize ?? 1);
}

function hasKvAddress({ spec }: Worker): boolean {
  return spec.labels[KV_ADDRESS_LABEL] !== undefined;
}

/** What makes prefill generate one token; nothing over gRPC on a route whose body has no way to ask for it. */
function oneToken({ endpoint, body }: PdRequest): Map<string, string> {
  return endpoint.oneToken?.(body) ?? new Map();
}
