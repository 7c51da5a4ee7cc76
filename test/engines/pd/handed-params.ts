import { type JsonObject, stringField } from "../../../src/protocol/json/json.ts";
import type { Plan } from "../../../src/engine-sim/generation.ts";
import { canonical, parseExact } from "./exact-json.ts";
import { fetchKv, kvAddress } from "./kv-port.ts";
import { promptHash } from "./leg-prompts.ts";
import { demand } from "./pd-error.ts";
import { type Leg, type LegRequest, type PdContext, type PdProtocol, planned } from "./pd-protocol.ts";
import { demandOneSequence, demandPrefillBody, demandRemoteDecode, readRemotePrefill } from "./vllm-prefill.ts";
import { movedRun, ownPrefill } from "./vllm-decode.ts";

/** How a connector writes the parameters that a prefill engine answers with, and finds them again. */
export interface ParamsShape {
  /** JSON, as it stands in the answer. */
  write(context: PdContext, key: string, promptTokens: number): string;
  /** Where a decode engine fetches the KV, and under which name. */
  read(params: JsonObject): { readonly address: string; readonly key: string };
  readonly needsSameRequestId: boolean;
}

/**
 * Connectors of vLLM whose prefill engine answers with `kv_transfer_params`, which go to the decode engine as they are:
 * so the one request comes after the other.
 */
export function handedParamsProtocol(context: PdContext, shape: ParamsShape): PdProtocol {
  return {
    keys: () => [],
    prefill: async (leg) => prefill(context, shape, leg),
    decode: (leg) => decode(context, shape, leg),
    kvRoutes: {},
  };
}

function prefill(context: PdContext, shape: ParamsShape, leg: LegRequest): Leg {
  demandRemoteDecode(leg);
  demandPrefillBody(leg);
  demandOneSequence(leg);
  const requestId = leg.request.headers["x-request-id"];
  demand(requestId !== undefined || !shape.needsSameRequestId, "x-request-id is missing");
  let plan: Plan | undefined;
  return {
    run: (run) => planned(run, (made) => (plan = made)),
    leave: async (response) => {
      if (!response.ok || !plan || leg.request.signal.aborted) return response;
      const key = `${requestId ?? crypto.randomUUID()}-0-${crypto.randomUUID().slice(0, 8)}`;
      const params = shape.write(context, key, plan.promptTokens);
      context.journal.announce("prefill", key, context.address());
      context.store.publish(key, {
        prompt: promptHash(leg.prompts),
        tokens: plan.promptTokens,
        cachedTokens: plan.cachedTokens,
        rank: 0,
        agreed: {
          kv_transfer_params: canonical(parseExact(params)),
          ...(shape.needsSameRequestId ? { "x-request-id": requestId ?? "" } : {}),
        },
      });
      const whole = await response.text();
      return new Response(`${whole.slice(0, -1)},"kv_transfer_params":${params}}`, { headers: response.headers });
    },
  };
}

async function decode(context: PdContext, shape: ParamsShape, leg: LegRequest): Promise<Leg> {
  const params = readRemotePrefill(leg);
  if (!params) return ownPrefill(context);
  const { address, key } = shape.read(params);
  const ask = {
    key,
    prompt: promptHash(leg.prompts),
    agreed: { kv_transfer_params: canonical(params), "x-request-id": leg.request.headers["x-request-id"] ?? "" },
  };
  await fetchKv(context, address, ask, leg.request.signal);
  return movedRun(context);
}

/** NixlConnector, vLLM 0.32. */
export const NIXL: ParamsShape = {
  needsSameRequestId: true,
  write: (context, key, promptTokens) => {
    const [host = "", port = ""] = context.address().split(":");
    const first = 1 + Math.floor(Math.random() * 1000);
    return JSON.stringify({
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_block_ids: [Array.from({ length: Math.ceil(promptTokens / 16) }, (_, index) => first + index)],
      remote_engine_id: context.engineId,
      remote_request_id: key,
      remote_host: host,
      remote_port: Number(port),
      tp_size: 1,
      dcp_size: 1,
      pp_size: 1,
      remote_num_tokens: promptTokens,
      remote_blocks_expiry_time: null,
      transfer_mode: "pull",
    });
  },
  read: (params) => {
    demand(params["do_remote_prefill"] === true, "kv_transfer_params.do_remote_prefill must be true for a decode");
    const { remote_host: host, remote_port: port } = params;
    const key = stringField(params, "remote_request_id");
    demand(typeof host === "string", "kv_transfer_params.remote_host is missing");
    demand(typeof port === "bigint", "kv_transfer_params.remote_port is missing");
    demand(key !== undefined, "kv_transfer_params.remote_request_id is missing");
    return { address: kvAddress(host, port), key };
  },
};

/** A connector that nobody knows: its parameters hold what a careless copy would change. */
export const PASSTHROUGH: ParamsShape = {
  needsSameRequestId: false,
  write: (context, key) =>
    `{"handle":${JSON.stringify(key)},"peer":"${context.address()}","lease_secs":30.0,"cookie":18446744073709551615,` +
    `"scale":1.50e-3,"layers":[[0,1],null,{}],"note":"größer 駅 \\u2028 \\/"}`,
  read: (params) => {
    const address = stringField(params, "peer");
    const key = stringField(params, "handle");
    demand(address !== undefined && key !== undefined, "the connector's kv_transfer_params are not here");
    return { address, key };
  },
};
