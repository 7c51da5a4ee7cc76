import type { JsonBody } from "../../protocol/json-body.ts";
import type { Worker } from "../../worker/worker.ts";

/** A request that a prefill and a decode worker answer together. */
export interface PdRequest {
  /** Name of the endpoint. */
  readonly endpoint: string;
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
  /** Endpoints where the engines take what the connector needs. */
  readonly endpoints: ReadonlySet<string>;
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
  /** SGLang: one for each sequence, of 63 bits. */
  readonly rooms: readonly bigint[];
  /** Mooncake. */
  readonly transferId: string;
  /** P2pNccl: tells both engines where the other one is. */
  readonly requestId: string;
}

const OPENAI_ENDPOINTS = new Set(["chat_completions", "completions", "messages", "responses"]);
/** SGLang's server takes the room on these. */
const SGLANG_ENDPOINTS = new Set(["chat_completions", "completions", "generate"]);
/** Where SGLang's prefill servers listen for decode servers unless told otherwise. */
const SGLANG_BOOTSTRAP_PORT = 8998;
/** Of the label that names a worker's address for P2pNccl transfers, `host:port`. */
const KV_ADDRESS_LABEL = "kv_address";

/** SGLang: both legs get the same three members at the same time and meet in the room. Source: routing facts of SGLang's PD mode. */
const sglang: PdConnector = {
  name: "sglang",
  endpoints: SGLANG_ENDPOINTS,
  order: "together",
  isOneSequence: false,
  handsOver: undefined,
  merges: "input_logprobs",
  fits: () => true,
  prefill: (pd, shared) => ({ members: bootstrap(pd, shared) }),
  decode(pd, shared) {
    const members = bootstrap(pd, shared);
    const ranks = dataParallelSize(pd.prefill);
    // The room says which rank prefills (room modulo size): the decode side is told the same.
    if (ranks > 1) members.set("disagg_prefill_dp_rank", String((shared.rooms[0] ?? 0n) % BigInt(ranks)));
    return { members };
  },
};

function bootstrap(pd: PdRequest, { rooms }: SharedIds): Map<string, string> {
  const { prefill } = pd;
  const host = JSON.stringify(new URL(prefill.url).hostname);
  const port = String(bootstrapPort(prefill));
  const isBatch = sequences(pd) > 1;
  const each = (value: (room: bigint) => string): string =>
    isBatch ? `[${rooms.map(value).join(",")}]` : value(rooms[0] ?? 0n);
  const members = new Map([
    ["bootstrap_host", each(() => host)],
    ["bootstrap_port", each(() => port)],
    ["bootstrap_room", each(String)],
  ]);
  const ranks = dataParallelSize(prefill);
  if (ranks > 1) members.set("routed_dp_rank", String((rooms[0] ?? 0n) % BigInt(ranks)));
  return members;
}

/** vLLM with NIXL: prefill makes one token and says where its blocks are, decode is given that word for word. */
const nixl: PdConnector = {
  name: "nixl",
  endpoints: OPENAI_ENDPOINTS,
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
  endpoints: OPENAI_ENDPOINTS,
  order: "prefill_first",
  isOneSequence: true,
  handsOver: undefined,
  merges: "cached_tokens",
  fits: (prefill) => prefill.info.kv?.engineId !== undefined || prefill.spec.labels["kv_engine_id"] !== undefined,
  prefill: (pd, { transferId }) => ({
    members: oneToken(pd).set(
      "kv_transfer_params",
      JSON.stringify({ do_remote_decode: true, do_remote_prefill: false, transfer_id: transferId }),
    ),
  }),
  decode({ prefill }, { transferId }) {
    const { spec, info, url } = prefill;
    const params = {
      do_remote_decode: false,
      do_remote_prefill: true,
      transfer_id: transferId,
      remote_engine_id: spec.labels["kv_engine_id"] ?? info.kv?.engineId,
      remote_bootstrap_addr: `http://${new URL(url).hostname}:${bootstrapPort(prefill)}`,
    };
    return { members: new Map([["kv_transfer_params", JSON.stringify(params)]]) };
  },
};

/** vLLM with P2pNccl: the request id names both addresses, and is the same at both. */
const p2pNccl: PdConnector = {
  name: "p2p_nccl",
  endpoints: OPENAI_ENDPOINTS,
  order: "prefill_first",
  isOneSequence: true,
  handsOver: undefined,
  merges: "cached_tokens",
  fits: (prefill, decode) => hasKvAddress(prefill) && hasKvAddress(decode),
  prefill: (pd, { requestId }) => ({ members: oneToken(pd), requestId }),
  decode: (_pd, { requestId }) => ({ members: new Map(), requestId }),
};

/** Whatever else: prefill makes one token, and what it says of its transfer goes to decode word for word. */
const passthrough: PdConnector = {
  ...nixl,
  name: "passthrough",
  prefill: (pd) => ({
    members: oneToken(pd).set("kv_transfer_params", '{"do_remote_decode":true,"do_remote_prefill":false}'),
  }),
};

/** By what engines call theirs. */
const CONNECTORS: ReadonlyMap<string, PdConnector> = new Map([
  ["sglang", sglang],
  ["nixlconnector", nixl],
  ["nixl", nixl],
  ["mooncakeconnector", mooncake],
  ["mooncake", mooncake],
  ["p2pncclconnector", p2pNccl],
  ["p2p_nccl", p2pNccl],
  ["p2pnccl", p2pNccl],
]);

/** The connector of a worker: as its operator says (label `kv_connector`), as it said itself, or what its engine has by default. */
export function connectorOf({ spec, info }: Worker): PdConnector {
  const told = spec.labels["kv_connector"] ?? info.kv?.connector;
  if (told !== undefined) return CONNECTORS.get(told.toLowerCase()) ?? passthrough;
  if (info.engine === "sglang" || spec.bootstrapPort !== undefined) return sglang;
  return info.engine === "vllm" ? nixl : passthrough;
}

export function fitTogether(prefill: Worker, decode: Worker): boolean {
  const connector = connectorOf(prefill);
  return connector === connectorOf(decode) && connector.fits(prefill, decode);
}

/** Sequences that the request asks for: prompts of a batch, times answers to each. */
export function sequences({ endpoint, body }: Pick<PdRequest, "endpoint" | "body">): number {
  const n = body.value("n");
  return prompts(endpoint, body) * (typeof n === "number" && n > 1 ? n : 1);
}

function prompts(endpoint: string, body: JsonBody): number {
  const names = PROMPT_LISTS[endpoint] ?? [];
  for (const name of names) {
    const raw = body.raw(name);
    // A list of numbers is one prompt of token ids.
    if (raw?.[0] === OPEN_BRACKET && !/^\[\s*-?\d/.test(Buffer.from(raw.subarray(0, 64)).toString("latin1"))) {
      return Math.max(1, body.count(name));
    }
  }
  return 1;
}

const PROMPT_LISTS: Readonly<Record<string, readonly string[]>> = {
  completions: ["prompt"],
  generate: ["text", "input_ids"],
};
const OPEN_BRACKET = 0x5b;

/** Fresh for each try: a room or transfer that failed is not used again. */
export function newSharedIds(pd: PdRequest): SharedIds {
  const ranks = BigInt(dataParallelSize(pd.prefill));
  const rank = randomBits() % ranks;
  const rooms = Array.from({ length: sequences(pd) }, () => roomOfRank(rank, ranks));
  const uuid = Bun.randomUUIDv7();
  const [from = "", to = ""] = [pd.prefill, pd.decode].map(({ spec }) => spec.labels[KV_ADDRESS_LABEL]);
  return {
    rooms,
    transferId: `xfer-${uuid}`,
    requestId: `___prefill_addr_${from}___decode_addr_${to}_${uuid.replaceAll("-", "")}`,
  };
}

/** All rooms of a batch are of one rank, which is told once. */
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

function dataParallelSize({ info }: Worker): number {
  return info.kv?.dataParallelSize ?? 1;
}

function hasKvAddress({ spec }: Worker): boolean {
  return spec.labels[KV_ADDRESS_LABEL] !== undefined;
}

/** Members that make an engine prefill and stop: one token, no stream. What the client did not name is not added. */
function oneToken({ endpoint, body }: PdRequest): Map<string, string> {
  const members = new Map([["stream", "false"]]);
  const limit = endpoint === "responses" ? "max_output_tokens" : "max_tokens";
  members.set(limit, "1");
  if (body.raw("max_completion_tokens")) members.set("max_completion_tokens", "1");
  if (body.raw("min_tokens")) members.set("min_tokens", "0");
  if (body.raw("stream_options")) members.set("stream_options", "null");
  return members;
}
