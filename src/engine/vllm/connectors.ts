import type { Worker } from "../../worker/worker.ts";
import type { PdConnector, PdPart, PdRequest, SharedIds } from "../connector.ts";
import type { EngineConnectors } from "../engine.ts";
import { bootstrapPort, dataParallelSize, kvAddress, oneToken, paramsFor, withoutClients } from "../kv-facts.ts";
import { passthrough } from "../openai/connectors.ts";
import { RANK_HEADER } from "../rank-pin.ts";

/** NIXL reads all of these members, also those that the prefill worker fills in later. */
const REMOTE_DECODE =
  '{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null}';

/** vLLM with NIXL: prefill generates one token and reports the place of its blocks, which decode gets unchanged. */
const nixl: PdConnector = {
  ...passthrough,
  name: "nixl",
  prefill: (pd) => ({ members: oneToken(pd).set("kv_transfer_params", REMOTE_DECODE) }),
  handover: (_pd, _shared, part) => (part === "prefill" ? paramsFor(part, REMOTE_DECODE) : undefined),
};

/** vLLM with Mooncake: the gateway makes a transfer id, with which decode pulls from prefill's bootstrap server. */
const mooncake: PdConnector = {
  name: "mooncake",
  serves: passthrough.serves,
  order: "prefill_first",
  isOneSequence: true,
  // Without parameters the engine has nothing to fetch, whatever its `kv_role` is.
  prefillsAlone: true,
  handsOver: undefined,
  merges: "cached_tokens",
  suffices: (worker, part) => part === "decode" || engineIdOf(worker, 0) !== undefined,
  prefill: (pd, shared) => ({
    members: oneToken(pd).set("kv_transfer_params", mooncakeParams(pd, shared, "prefill")),
    // Peers see each rank as a separate engine, so decode must know the rank.
    ...(dataParallelSize(pd.prefill) > 1 ? { headers: `${RANK_HEADER}: ${shared.rank}\r\n` } : {}),
  }),
  decode: (pd, shared) => ({ members: new Map([["kv_transfer_params", mooncakeParams(pd, shared, "decode")]]) }),
  handover: (pd, shared, part) => paramsFor(part, mooncakeParams(pd, shared, part)),
};

/** Both workers get the transfer id; the decode worker also gets the engine and the address of the prefill worker. */
function mooncakeParams({ prefill }: PdRequest, { transferId, rank }: SharedIds, part: PdPart): string {
  if (part === "prefill")
    return JSON.stringify({ do_remote_decode: true, do_remote_prefill: false, transfer_id: transferId });
  return JSON.stringify({
    do_remote_decode: false,
    do_remote_prefill: true,
    transfer_id: transferId,
    remote_engine_id: engineIdOf(prefill, rank),
    remote_bootstrap_addr: `http://${new URL(prefill.spec.url).hostname}:${bootstrapPort(prefill)}`,
  });
}

/** vLLM's engine id of a worker's rank: the worker's own id, with the rank where there are several. */
function engineIdOf(worker: Worker, rank: number): string | undefined {
  const id = worker.spec.labels["kv_engine_id"] ?? worker.info.kv?.engineId;
  return id === undefined || dataParallelSize(worker) === 1 ? id : `${id.replace(/_dp\d+$/, "")}_dp${rank}`;
}

/**
 * vLLM with P2pNccl: both legs have one request id, which has both addresses. An engine derives the names of several sequences from
 * it, so equal legs meet in all of them. A decode worker needs it.
 */
const p2pNccl: PdConnector = {
  name: "p2p_nccl",
  serves: passthrough.serves,
  order: "prefill_first",
  isOneSequence: false,
  // A decode worker reads the addresses out of each request's id, and waits for the cache.
  prefillsAlone: false,
  handsOver: undefined,
  merges: "cached_tokens",
  // An address belongs to one engine, so a worker with several ranks cannot have the right one.
  suffices: (worker) =>
    worker.connectionMode === "http" && kvAddress(worker) !== undefined && dataParallelSize(worker) === 1,
  prefill: (pd, { requestId }) => ({ members: oneToken(pd), requestId }),
  decode: (pd, { requestId }) => ({ members: withoutClients(pd, ["kv_transfer_params"]), requestId }),
  // The workers find each other by the connector's request id, which gRPC requests do not have.
  handover: () => undefined,
};

/** Not built: its engines need an id and the ports of the other side in each request. It serves no route. */
const moriio: PdConnector = { ...passthrough, name: "moriio", serves: () => false, prefillsAlone: false };

/** Connectors by the names that vLLM and operators use. */
export const connectors: EngineConnectors = {
  named: new Map([
    ["nixlconnector", nixl],
    ["nixl", nixl],
    ["mooncakeconnector", mooncake],
    ["mooncake", mooncake],
    ["moriioconnector", moriio],
    ["moriio", moriio],
    ["p2pncclconnector", p2pNccl],
    ["p2p_nccl", p2pNccl],
    ["p2pnccl", p2pNccl],
  ]),
  byDefault: nixl,
  isMeantByBootstrapPort: false,
};
