import { isJsonObject, objectField, stringField } from "../../../src/protocol/json/json.ts";
import type { Plan } from "../../../src/engine-sim/generation.ts";
import { askPort, fetchKv } from "./kv-port.ts";
import { promptHash } from "./leg-prompts.ts";
import { demand } from "./pd-error.ts";
import { type Leg, type LegRequest, type PdContext, type PdProtocol, planned } from "./pd-protocol.ts";
import { movedRun, ownPrefill } from "./vllm-decode.ts";
import { demandOneSequence, demandPrefillBody, demandRemoteDecode, readRemotePrefill } from "./vllm-prefill.ts";

/**
 * MooncakeConnector, vLLM 0.32: the client makes a `transfer_id` for both legs and tells the decode engine where the
 * prefill engine's bootstrap server is. Nothing comes back with the prefill's answer; the legs may go out together.
 */
export function mooncakeProtocol(context: PdContext): PdProtocol {
  return {
    keys: ({ exact }) => [stringField(objectField(exact, "kv_transfer_params") ?? {}, "transfer_id") ?? ""],
    prefill: async (leg) => prefill(context, leg),
    decode: (leg) => decode(context, leg),
    kvRoutes: { "/query": () => Response.json(bootstrapTable(context)) },
  };
}

/** Data-parallel rank to engine, and that one's workers by tensor and pipeline rank. */
function bootstrapTable(context: PdContext): object {
  const entries = Array.from({ length: context.dpSize }, (_, rank) => [
    rank,
    { engine_id: rankedId(context, rank), worker_addr: { 0: { 0: `tcp://${context.address()}` } } },
  ]);
  return Object.fromEntries(entries);
}

function rankedId({ engineId, dpSize }: PdContext, rank: number): string {
  return dpSize > 1 ? `${engineId}_dp${rank}` : engineId;
}

function prefill(context: PdContext, leg: LegRequest): Leg {
  const { store } = context;
  const params = demandRemoteDecode(leg);
  demandPrefillBody(leg);
  demandOneSequence(leg);
  const key = stringField(params, "transfer_id") ?? "";
  demand(key !== "", "kv_transfer_params.transfer_id is missing");
  const rank = pinnedRank(context, leg);
  demand(store.claim(key), `transfer_id ${key} was used before`);
  let plan: Plan | undefined;
  return {
    run: (run) => planned(run, (made) => (plan = made)),
    leave: async (response) => {
      if (!response.ok || !plan) {
        store.drop(key);
        return response;
      }
      const { promptTokens: tokens, cachedTokens } = plan;
      const agreed = { remote_engine_id: rankedId(context, rank) };
      store.publish(key, { prompt: promptHash(leg.prompts), tokens, cachedTokens, rank, agreed });
      return response;
    },
    abandon: () => store.drop(key),
  };
}

/** The rank that a header pins the request to; without it the engine takes one as it likes. */
function pinnedRank({ dpSize, journal }: PdContext, { request }: LegRequest): number {
  const header = request.headers["x-data-parallel-rank"];
  if (header === undefined) return journal.next() % dpSize;
  const rank = Number(header);
  demand(Number.isInteger(rank) && rank >= 0 && rank < dpSize, `X-data-parallel-rank ${header} is not below ${dpSize}`);
  return rank;
}

async function decode(context: PdContext, leg: LegRequest): Promise<Leg> {
  const params = readRemotePrefill(leg);
  if (!params) return ownPrefill(context);
  demand(params["do_remote_prefill"] === true, "kv_transfer_params.do_remote_prefill must be true for a decode");
  demand((params["do_remote_decode"] ?? false) === false, "kv_transfer_params.do_remote_decode must be false");
  const field = (name: string): string => {
    const value = stringField(params, name) ?? "";
    demand(value !== "", `kv_transfer_params.${name} is missing`);
    return value;
  };
  const key = field("transfer_id");
  const engineId = field("remote_engine_id");
  const bootstrap = /^http:\/\/([^/]+:\d+)$/.exec(field("remote_bootstrap_addr"))?.[1];
  demand(bootstrap !== undefined, "kv_transfer_params.remote_bootstrap_addr must be http://host:port");
  demand(context.store.claim(key), `transfer_id ${key} was used before`);
  const table = await askPort(
    context,
    bootstrap.replace("localhost", "127.0.0.1"),
    "/query",
    undefined,
    leg.request.signal,
  );
  const entry = Object.values(table).find((item) => isJsonObject(item) && item["engine_id"] === engineId);
  demand(isJsonObject(entry), `remote engine_id ${engineId} not found from bootstrap server ${bootstrap}`);
  const worker = stringField(objectField(objectField(entry, "worker_addr") ?? {}, "0") ?? {}, "0") ?? "";
  const ask = { key, prompt: promptHash(leg.prompts), agreed: { remote_engine_id: engineId } };
  await fetchKv(context, worker.replace("tcp://", ""), ask, leg.request.signal);
  return movedRun(context);
}
