import type { EngineConnectors } from "../engine.ts";
import type { PdConnector, PdRequest, SharedIds } from "../connector.ts";
import { bootstrapPort, dataParallelSize, withoutClients } from "../kv-facts.ts";

/** Members that choose SGLang's ranks. A client's are dropped. */
const SGLANG_RANKS = ["routed_dp_rank", "data_parallel_rank", "disagg_prefill_dp_rank"];

/** SGLang: both workers get the same three members at the same time, and find each other by the room. */
const sglang: PdConnector = {
  name: "sglang",
  serves: ({ takesRoom }) => takesRoom,
  order: "together",
  isOneSequence: false,
  // A decode server takes a request without a room for a mistake: it has no prefill of its own.
  prefillsAlone: false,
  handsOver: undefined,
  merges: "input_logprobs",
  // Any numbers of ranks fit: the decode worker gets the rank that prefills, and chooses its own.
  suffices: () => true,
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
  handover: ({ prefill }, { rooms, rank }) => ({
    kind: "room",
    host: new URL(prefill.spec.url).hostname,
    port: bootstrapPort(prefill),
    room: shortRoom(rooms[0] ?? 0n, dataParallelSize(prefill), rank),
  }),
};

/** Rooms are 31 bits over gRPC, as the field is an int32. */
const ROOM_BITS = 0x7fff_ffffn;

/** A room of 31 bits that equals the rank modulo the number of ranks. */
function shortRoom(room: bigint, ranks: number, rank: number): number {
  const bits = Number(room & ROOM_BITS);
  const moved = bits - (bits % ranks) + rank;
  return moved > 0 && moved <= Number(ROOM_BITS) ? moved : rank + ranks;
}

function bootstrap(pd: PdRequest, { rooms }: SharedIds): Map<string, string> {
  const { prefill } = pd;
  const host = JSON.stringify(new URL(prefill.spec.url).hostname);
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

/** A bootstrap port without the name of a connector means SGLang. */
export const connectors: EngineConnectors = {
  named: new Map([["sglang", sglang]]),
  byDefault: sglang,
  isMeantByBootstrapPort: true,
};
