import { GatewayError } from "../../errors/errors.ts";
import type { JsonObject } from "../../protocol/json/json.ts";
import {
  FlushCacheRequest,
  FlushCacheResponse,
  ProfileResponse,
  StartProfileRequest,
  StopProfileRequest,
} from "../../transport/grpc/generated/engine/common.ts";
import * as sglang from "../../transport/grpc/generated/engine/sglang.ts";
import * as vllm from "../../transport/grpc/generated/engine/vllm.ts";
import type { GrpcClient } from "../../transport/grpc/grpc-client.ts";
import { SGLANG, VLLM } from "../../transport/grpc/services.ts";
import type { Clock } from "../../util/clock.ts";
import type { Worker } from "../../worker/worker.ts";
import type { FleetVoice } from "../fleet.ts";

/** Methods of both services that mean the same. */
const METHODS = { vllm: VLLM, sglang: SGLANG } as const;

export interface GrpcFleetDeps {
  readonly grpc: GrpcClient;
  readonly clock: Clock;
  /** For each question, ms. */
  readonly timeoutMs: number;
}

/** What the gateway itself asks of gRPC workers. */
export function createGrpcVoice({ grpc, clock, timeoutMs }: GrpcFleetDeps): FleetVoice {
  const ask = (
    worker: Worker,
    name: keyof typeof VLLM & keyof typeof SGLANG,
    request: Uint8Array,
  ): Promise<Uint8Array> => {
    const key = worker.spec.apiKey;
    return grpc.unary(worker.url, METHODS[serviceOf(worker)][name], request, {
      deadline: clock.now() + timeoutMs,
      timeouts: { connectMs: timeoutMs, firstByteMs: timeoutMs, idleMs: timeoutMs },
      ...(key ? { metadata: { authorization: key.bearer() } } : {}),
    });
  };
  return {
    async isHealthy(worker) {
      const answer = await ask(worker, "healthCheck", new Uint8Array(0));
      const { HealthCheckResponse } = serviceOf(worker) === "vllm" ? vllm : sglang;
      return HealthCheckResponse.decode(answer).healthy;
    },
    async flushCache(worker) {
      const request = FlushCacheRequest.encode({ timeoutS: timeoutMs / 1000 }).finish();
      const { success, message } = FlushCacheResponse.decode(await ask(worker, "flushCache", request));
      if (!success) throw new GatewayError("upstream_error", `the worker did not flush its cache: ${message}`);
    },
    async loads(worker): Promise<JsonObject> {
      const { GetLoadsRequest, GetLoadsResponse } = serviceOf(worker) === "vllm" ? vllm : sglang;
      const request = GetLoadsRequest.encode({ dpRank: undefined, include: [] }).finish();
      const { loads } = GetLoadsResponse.decode(await ask(worker, "getLoads", request));
      return {
        loads: loads.map((load) => ({
          dp_rank: load.dpRank,
          num_running_reqs: load.numRunningReqs,
          num_waiting_reqs: load.numWaitingReqs,
          num_used_tokens: load.numUsedTokens,
          max_total_num_tokens: load.maxTotalNumTokens,
          token_usage: load.tokenUsage,
        })),
      };
    },
    async profile(worker, isStart) {
      const request = isStart
        ? StartProfileRequest.encode(StartProfileRequest.fromPartial({})).finish()
        : StopProfileRequest.encode({}).finish();
      const answer = await ask(worker, isStart ? "startProfile" : "stopProfile", request);
      const { success, message } = ProfileResponse.decode(answer);
      if (!success) throw new GatewayError("upstream_error", `the worker did not profile: ${message}`);
    },
  };
}

function serviceOf({ info }: Worker): keyof typeof METHODS {
  if (info.engine === "vllm" || info.engine === "sglang") return info.engine;
  throw new GatewayError("not_implemented", "the worker's engine cannot be spoken to over gRPC");
}
