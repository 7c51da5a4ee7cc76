import {
  AbortRequest,
  AbortResponse,
  EmbedRequest,
  EmbedResponse,
  GenerateRequest,
  GenerateResponse,
  GetLoadsResponse,
  GetModelInfoResponse,
  GetServerInfoResponse,
  HealthCheckResponse,
  type OutputLogProbs,
  type SamplingParams,
} from "../../../src/transport/grpc/generated/engine/vllm.ts";
import { FlushCacheResponse } from "../../../src/transport/grpc/generated/engine/common.ts";
import { VLLM } from "../../../src/engine/vllm/methods.ts";
import type { EngineCore, EngineRecord, Job } from "./engine-core.ts";
import type { EngineIdentity } from "./identity.ts";
import { embeddingOf, loadOf } from "./reports.ts";
import { type RpcCall, type RpcHandler, RpcError, STATUS } from "./rpc-server.ts";
import { logprobOf, type SequenceRequest, topLogprobs } from "./sequence.ts";
import type { Step } from "./steps.ts";
import { tokenizerChunks } from "./tokenizer-zip.ts";
import type { VllmPd } from "./vllm-pd.ts";

/** vLLM's engine service. */
export function vllmHandlers(core: EngineCore, identity: EngineIdentity, pd: VllmPd): Map<string, RpcHandler> {
  return new Map<string, RpcHandler>([
    [VLLM.generate, (bytes, call) => generate(core, pd, GenerateRequest.decode(bytes), call)],
    [VLLM.embed, (bytes, call) => embed(core, EmbedRequest.decode(bytes), call)],
    [VLLM.abort, (bytes, call) => abort(core, AbortRequest.decode(bytes), call)],
    [VLLM.healthCheck, () => once(HealthCheckResponse.encode(health(core)).finish())],
    [VLLM.getModelInfo, () => once(modelInfo(core, identity))],
    [VLLM.getServerInfo, () => once(serverInfo(core, identity, pd))],
    [VLLM.getLoads, () => once(GetLoadsResponse.encode(GetLoadsResponse.fromPartial(loads(core))).finish())],
    [VLLM.getTokenizer, () => tokenizerChunks(identity.tokenizerPath)],
    [VLLM.flushCache, () => once(flush(core))],
  ]);
}

async function* generate(
  core: EngineCore,
  pd: VllmPd,
  request: GenerateRequest,
  call: RpcCall,
): AsyncGenerator<Uint8Array, void, void> {
  const promptIds =
    request.input?.$case === "tokenized"
      ? request.input.value.inputIds
      : core.tokenizer.encode(request.input?.value ?? "");
  const record = core.record("Generate", request.requestId, promptIds, request, call);
  if (promptIds.length === 0) {
    core.end(record, "failed");
    throw new RpcError(STATUS.invalidArgument, "the prompt is empty");
  }
  const transfer = await pd.begin(record, request);
  const sampling = request.samplingParams;
  const job = core.plan(record, sequenceRequests(sampling, promptIds));
  const cachedTokens = transfer === "received" ? promptIds.length - 1 : job.cachedTokens;
  const answer = { request, job: { ...job, cachedTokens }, ticket: pd.ticketOf(record) };
  try {
    for await (const step of core.run(answer.job, call)) {
      if (request.stream) yield encodeChunk(answer, step);
      if (!step.isLast) continue;
      pd.computed(record, undefined);
      yield encodeComplete(answer, step);
    }
  } finally {
    pd.computed(record, "the prefill was given up");
  }
  if (record.outcome === "aborted") yield encodeAborted(answer);
}

function sequenceRequests(sampling: SamplingParams | undefined, promptIds: readonly number[]): SequenceRequest[] {
  return Array.from({ length: Math.max(1, sampling?.n ?? 1) }, (_, choice) => ({
    promptIds,
    limit: sampling?.maxTokens,
    minTokens: sampling?.minTokens ?? 0,
    stopTokenIds: sampling?.stopTokenIds ?? [],
    stopTexts: sampling?.stop ?? [],
    ignoreEos: sampling?.ignoreEos ?? false,
    seed: sampling?.seed,
    choice,
  }));
}

interface VllmAnswer {
  readonly request: GenerateRequest;
  readonly job: Job;
  /** `kv_transfer_params_json` of a prefill. */
  readonly ticket: string | undefined;
}

function counts({ job }: VllmAnswer): { promptTokens: number; cachedTokens: number } {
  return { promptTokens: job.record.promptIds.length, cachedTokens: job.cachedTokens };
}

/** The counts of a chunk are of the chunk alone. */
function encodeChunk(answer: VllmAnswer, { choice, ids, isFirst }: Step): Uint8Array {
  const { logprobs, promptLogprobs } = answer.request.samplingParams ?? {};
  const value = {
    ...counts(answer),
    tokenIds: [...ids],
    completionTokens: ids.length,
    index: choice,
    outputLogprobs: logprobs === undefined ? undefined : logprobsOf(ids, logprobs),
    inputLogprobs: promptLogprobs === undefined || !isFirst ? undefined : promptLogprobsOf(answer, promptLogprobs),
  };
  return GenerateResponse.encode({ response: { $case: "chunk", value } }).finish();
}

/** When streamed it repeats the tokens of the last chunk, as vLLM does. */
function encodeComplete(answer: VllmAnswer, { choice, sequence, ids: last }: Step): Uint8Array {
  const ids = answer.request.stream ? last : sequence.ids;
  const { logprobs, promptLogprobs } = answer.request.samplingParams ?? {};
  const { matchedToken, matchedText } = sequence;
  const response = GenerateResponse.fromPartial({
    response: {
      $case: "complete",
      value: {
        ...counts(answer),
        outputIds: [...ids],
        finishReason: sequence.finishReason,
        completionTokens: ids.length,
        index: choice,
        ...(logprobs === undefined ? {} : { outputLogprobs: logprobsOf(ids, logprobs) }),
        ...(promptLogprobs === undefined ? {} : { inputLogprobs: promptLogprobsOf(answer, promptLogprobs) }),
        ...(matchedToken === undefined ? {} : { matchedStop: { $case: "matchedTokenId", value: matchedToken } }),
        ...(matchedText === undefined ? {} : { matchedStop: { $case: "matchedStopStr", value: matchedText } }),
        ...(answer.ticket === undefined ? {} : { kvTransferParamsJson: answer.ticket }),
      },
    },
  });
  return GenerateResponse.encode(response).finish();
}

function encodeAborted(answer: VllmAnswer): Uint8Array {
  const value = { ...counts(answer), finishReason: "abort" };
  return GenerateResponse.encode(GenerateResponse.fromPartial({ response: { $case: "complete", value } })).finish();
}

function logprobsOf(ids: readonly number[], top: number): OutputLogProbs {
  return {
    tokenLogprobs: ids.map(logprobOf),
    tokenIds: [...ids],
    topLogprobs: top > 0 ? ids.map((id) => topLogprobs(id, top)) : [],
  };
}

function promptLogprobsOf(
  { job }: VllmAnswer,
  top: number,
): {
  tokenLogprobs: { value: number | undefined }[];
  tokenIds: number[];
  topLogprobs: { values: number[]; tokenIds: number[] }[];
} {
  const { promptIds } = job.record;
  return {
    // Nothing stands before the first.
    tokenLogprobs: promptIds.map((id, index) => ({ value: index === 0 ? undefined : logprobOf(id) })),
    tokenIds: [...promptIds],
    topLogprobs: promptIds.map((id, index) => (index === 0 ? { values: [], tokenIds: [] } : topLogprobs(id, top))),
  };
}

async function* embed(core: EngineCore, request: EmbedRequest, call: RpcCall): AsyncGenerator<Uint8Array, void, void> {
  const promptIds = request.tokenized?.inputIds ?? [];
  const record = core.record("Embed", request.requestId, promptIds, request, call);
  await core.breakBefore(record, call);
  const embedding = embeddingOf(promptIds);
  core.end(record, "finished");
  yield EmbedResponse.encode({ embedding, promptTokens: promptIds.length, embeddingDim: embedding.length }).finish();
}

async function* abort(core: EngineCore, request: AbortRequest, call: RpcCall): AsyncGenerator<Uint8Array, void, void> {
  for (const requestId of request.requestIds) {
    const record: EngineRecord = core.record("Abort", requestId, [], request, call);
    core.abort(requestId);
    core.end(record, "finished");
  }
  yield AbortResponse.encode({}).finish();
}

function health(core: EngineCore): HealthCheckResponse {
  return { healthy: core.isHealthy, message: core.isHealthy ? "OK" : "the engine is not healthy" };
}

function modelInfo(core: EngineCore, identity: EngineIdentity): Uint8Array {
  return GetModelInfoResponse.encode(
    GetModelInfoResponse.fromPartial({
      modelPath: identity.modelPath,
      isGeneration: true,
      maxContextLength: identity.maxModelLen,
      vocabSize: identity.vocabSize,
      servedModelName: identity.model,
      tokenizerPath: identity.tokenizerPath ?? identity.modelPath,
      modelType: identity.modelType,
      architectures: [identity.architecture],
      eosTokenIds: [core.tokenizer.eosId],
      maxReqInputLen: identity.maxModelLen,
      defaultSamplingParamsJson: identity.defaultSamplingParamsJson,
    }),
  ).finish();
}

function serverInfo(core: EngineCore, identity: EngineIdentity, pd: VllmPd): Uint8Array {
  return GetServerInfoResponse.encode(
    GetServerInfoResponse.fromPartial({
      activeRequests: core.running,
      uptimeSeconds: (Date.now() - core.startedAt) / 1000,
      serverType: "vllm-grpc",
      kvConnector: pd.connector ?? "",
      kvRole: pd.kvRole,
      kvEngineId: pd.engineId,
      dataParallelSize: identity.dataParallelSize,
      blockSize: 16,
      maxNumSeqs: 256,
    }),
  ).finish();
}

function loads(core: EngineCore): Parameters<typeof GetLoadsResponse.fromPartial>[0] {
  return { timestamp: new Date().toISOString(), version: "sim", dpRankCount: 1, loads: [loadOf(core)] };
}

function flush(core: EngineCore): Uint8Array {
  core.cache.clear();
  return FlushCacheResponse.encode({ success: true, message: "flushed" }).finish();
}

async function* once(message: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield message;
}
