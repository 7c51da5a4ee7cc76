import type { Worker } from "../../worker/worker.ts";
import type { PdConnector } from "../connector.ts";
import type { EngineConnectors } from "../engine.ts";
import { bootstrapPort, dataParallelSize, kvAddress, oneToken, withoutClients } from "../kv-facts.ts";
import { passthrough } from "../openai/connectors.ts";

/** vLLM with NIXL: prefill makes one token and says where its blocks are, decode is given that word for word. */
const nixl: PdConnector = {
  ...passthrough,
  name: "nixl",
  prefill: (pd) => ({
    members: oneToken(pd).set(
      "kv_transfer_params",
      '{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null}',
    ),
  }),
};

/** vLLM with Mooncake: a transfer id of ours, under which decode pulls from prefill's bootstrap server. */
const mooncake: PdConnector = {
  name: "mooncake",
  serves: passthrough.serves,
  order: "prefill_first",
  isOneSequence: true,
  handsOver: undefined,
  merges: "cached_tokens",
  suffices: (worker, part) => part === "decode" || engineIdOf(worker, 0) !== undefined,
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
  serves: passthrough.serves,
  order: "prefill_first",
  isOneSequence: false,
  handsOver: undefined,
  merges: "cached_tokens",
  // An address is one engine's: of several ranks behind one worker it cannot be the right one's.
  suffices: (worker) => kvAddress(worker) !== undefined && dataParallelSize(worker) === 1,
  prefill: (pd, { requestId }) => ({ members: oneToken(pd), requestId }),
  decode: (pd, { requestId }) => ({ members: withoutClients(pd, ["kv_transfer_params"]), requestId }),
};

/** Fails on requests without an id and the ports of the other side, which are not made here: no route is served with it. */
const moriio: PdConnector = { ...passthrough, name: "moriio", serves: () => false };

/** By what vLLM and operators call theirs. */
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
