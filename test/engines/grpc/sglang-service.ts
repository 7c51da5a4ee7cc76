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
  type InputLogProbs,
  type OutputLogProbs,
} from "../../../src/transport/grpc/generated/engine/sglang.ts";
import { FlushCacheResponse } from "../../../src/transport/grpc/generated/engine/common.ts";
import { SGLANG } from "../../../src/engine/sglang/methods.ts";
import type { EngineCore, Job } from "./engine-core.ts";
import type { EngineIdentity } from "./identity.ts";
import { embeddingOf, loadOf } from "./reports.ts";
import { type RpcCall, type RpcHandler, RpcError, STATUS } from "./rpc-server.ts";
import { logprobOf, type SequenceRequest, topLogprobs } from "./sequence.ts";
import type { SglangPd } from "./sglang-pd.ts";
import type { Step } from "./steps.ts";
import { tokenizerChunks } from "./tokenizer-zip.ts";

/** SGLang's scheduler service. */
export function sglangHandlers(core: EngineCore, identity: EngineIdentity, pd: SglangPd): Map<string, RpcHandler> {
  return new Map<string, RpcHandler>([
    [SGLANG.generate, (bytes, call) => generate(core, pd, GenerateRequest.decode(bytes), call)],
    [SGLANG.embed, (bytes, call) => embed(core, EmbedRequest.decode(bytes), call)],
    [SGLANG.abort, (bytes, call) => abort(core, AbortRequest.decode(bytes), call)],
    [SGLANG.healthCheck, () => once(HealthCheckResponse.encode(health(core)).finish())],
    [SGLANG.getModelInfo, () => once(modelInfo(core, identity))],
    [SGLANG.getServerInfo, () => once(serverInfo(core, identity, pd))],
    [SGLANG.getLoads, () => once(loads(core))],
    [SGLANG.getTokenizer, () => tokenizerChunks(identity.tokenizerPath)],
    [SGLANG.flushCache, () => once(flush(core))],
  ]);
}

async function* generate(
  core: EngineCore,
  pd: SglangPd,
  request: GenerateRequest,
  call: RpcCall,
): AsyncGenerator<Uint8Array, void, void> {
  const promptIds = request.tokenized?.inputIds ?? [];
  const record = core.record("Generate", request.requestId, promptIds, request, call);
  if (promptIds.length === 0) {
    core.end(record, "failed");
    throw new RpcError(STATUS.invalidArgument, "the prompt is empty");
  }
  try {
    const transfer = await pd.begin(record, request);
    const job = core.plan(record, sequenceRequests(pd, request, promptIds));
    const cachedTokens = transfer === "received" ? promptIds.length - 1 : job.cachedTokens;
    const answer = { request, job: { ...job, cachedTokens }, eosId: core.tokenizer.eosId };
    for await (const step of core.run(answer.job, call)) {
      if (step.isFirst) await pd.handOver(record, call.signal);
      if (request.stream) yield encodeChunk(answer, step);
      if (step.isLast) yield encodeComplete(answer, step);
    }
  } finally {
    pd.giveUp(record);
  }
  if (record.outcome === "aborted") throw new RpcError(STATUS.internal, "the request was aborted");
}

/** The scheduler has token ids only: stop strings are the gateway's affair. A prefill computes one token. */
function sequenceRequests(
  pd: SglangPd,
  { samplingParams: sampling }: GenerateRequest,
  promptIds: readonly number[],
): SequenceRequest[] {
  const limit = pd.role === "prefill" ? 1 : sampling?.maxNewTokens;
  return Array.from({ length: Math.max(1, sampling?.n ?? 1) }, (_, choice) => ({
    promptIds,
    limit,
    minTokens: sampling?.minNewTokens ?? 0,
    stopTokenIds: sampling?.stopTokenIds ?? [],
    stopTexts: [],
    ignoreEos: sampling?.ignoreEos ?? false,
    seed: seedOf(sampling?.customParams),
    choice,
  }));
}

/** The service has no field for a seed; what stands in the custom parameters is taken. */
function seedOf(customParams: Readonly<Record<string, unknown>> | undefined): number | undefined {
  const seed = customParams?.["seed"];
  return typeof seed === "number" ? seed : undefined;
}

interface SglangAnswer {
  readonly request: GenerateRequest;
  readonly job: Job;
  readonly eosId: number;
}

/** The counts of a chunk are of all tokens so far. */
function encodeChunk(answer: SglangAnswer, { choice, ids, total, isFirst }: Step): Uint8Array {
  const { request, job } = answer;
  const value = {
    tokenIds: [...ids],
    promptTokens: job.record.promptIds.length,
    completionTokens: total,
    cachedTokens: job.cachedTokens,
    reasoningTokens: 0,
    outputLogprobs: request.returnLogprob ? logprobsOf(ids, request) : undefined,
    hiddenStates: [],
    inputLogprobs: request.returnLogprob && isFirst ? inputLogprobsOf(answer) : undefined,
    index: choice,
  };
  return GenerateResponse.encode({ requestId: request.requestId, response: { $case: "chunk", value } }).finish();
}

/** When streamed it repeats the tokens of the last chunk, as SGLang does. */
function encodeComplete(answer: SglangAnswer, { choice, sequence, ids: last, total }: Step): Uint8Array {
  const { request, job, eosId } = answer;
  const ids = request.stream ? last : sequence.ids;
  const endsWith = sequence.ids.at(-1);
  // The end-of-answer token is named as what matched, too.
  const matched = sequence.matchedToken ?? (sequence.finishReason === "stop" && endsWith === eosId ? eosId : undefined);
  const response = GenerateResponse.fromPartial({
    requestId: request.requestId,
    response: {
      $case: "complete",
      value: {
        outputIds: [...ids],
        finishReason: sequence.finishReason,
        promptTokens: job.record.promptIds.length,
        completionTokens: total,
        cachedTokens: job.cachedTokens,
        index: choice,
        ...(request.returnLogprob
          ? { outputLogprobs: logprobsOf(ids, request), inputLogprobs: inputLogprobsOf(answer) }
          : {}),
        ...(matched === undefined ? {} : { matchedStop: { $case: "matchedTokenId", value: matched } }),
      },
    },
  });
  return GenerateResponse.encode(response).finish();
}

function logprobsOf(ids: readonly number[], { topLogprobsNum, tokenIdsLogprob }: GenerateRequest): OutputLogProbs {
  return {
    tokenLogprobs: ids.map(logprobOf),
    tokenIds: [...ids],
    topLogprobs: topLogprobsNum > 0 ? ids.map((id) => topLogprobs(id, topLogprobsNum)) : [],
    tokenIdsLogprobs:
      tokenIdsLogprob.length > 0
        ? ids.map(() => ({ values: tokenIdsLogprob.map(logprobOf), tokenIds: [...tokenIdsLogprob] }))
        : [],
  };
}

/** From `logprob_start_len` on; a negative one asks for none. */
function inputLogprobsOf({ request, job }: SglangAnswer): InputLogProbs | undefined {
  const from = request.logprobStartLen;
  if (from < 0) return undefined;
  const ids = job.record.promptIds.slice(from);
  return {
    // Nothing stands before the first token of a prompt.
    tokenLogprobs: ids.map((id, index) => ({ value: from + index === 0 ? undefined : logprobOf(id) })),
    tokenIds: [...ids],
    topLogprobs: request.topLogprobsNum > 0 ? ids.map((id) => topLogprobs(id, request.topLogprobsNum)) : [],
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
  const record = core.record("Abort", request.requestId, [], request, call);
  const success = core.abort(request.requestId);
  core.end(record, "finished");
  const message = `Request ${request.requestId} ${success ? "aborted" : "not found"}`;
  yield AbortResponse.encode({ success, message }).finish();
}

function health(core: EngineCore): HealthCheckResponse {
  return { healthy: core.isHealthy, message: core.isHealthy ? "OK" : "the scheduler is not healthy" };
}

function modelInfo(core: EngineCore, identity: EngineIdentity): Uint8Array {
  return GetModelInfoResponse.encode(
    GetModelInfoResponse.fromPartial({
      modelPath: identity.modelPath,
      tokenizerPath: identity.tokenizerPath ?? identity.modelPath,
      isGeneration: true,
      servedModelName: identity.model,
      maxContextLength: identity.maxModelLen,
      vocabSize: identity.vocabSize,
      modelType: identity.modelType,
      eosTokenIds: [core.tokenizer.eosId],
      maxReqInputLen: identity.maxModelLen,
      architectures: [identity.architecture],
      defaultSamplingParamsJson: identity.defaultSamplingParamsJson,
    }),
  ).finish();
}

function serverInfo(core: EngineCore, identity: EngineIdentity, pd: SglangPd): Uint8Array {
  const mode = pd.role === "regular" ? "null" : pd.role;
  return GetServerInfoResponse.encode(
    GetServerInfoResponse.fromPartial({
      serverArgs: {
        model_path: identity.modelPath,
        served_model_name: identity.model,
        disaggregation_mode: mode,
        disaggregation_bootstrap_port: pd.bootstrapPort,
        dp_size: identity.dataParallelSize,
      },
      schedulerInfo: { max_req_input_len: identity.maxModelLen },
      activeRequests: core.running,
      uptimeSeconds: (Date.now() - core.startedAt) / 1000,
      sglangVersion: "sim",
      serverType: "grpc",
      maxTotalNumTokens: loadOf(core).maxTotalNumTokens,
    }),
  ).finish();
}

function loads(core: EngineCore): Uint8Array {
  return GetLoadsResponse.encode(
    GetLoadsResponse.fromPartial({
      timestamp: new Date().toISOString(),
      version: "sim",
      dpRankCount: 1,
      loads: [loadOf(core)],
    }),
  ).finish();
}

function flush(core: EngineCore): Uint8Array {
  core.cache.clear();
  return FlushCacheResponse.encode({ success: true, message: "flushed" }).finish();
}

async function* once(message: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield message;
}
