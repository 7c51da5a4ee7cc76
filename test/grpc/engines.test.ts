import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GrpcEngineOptions, type SimulatedGrpcEngine, startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { BYTE_TOKENIZER } from "../engines/grpc/tokenizer.ts";
import { GetTokenizerChunk, GetTokenizerRequest } from "../../src/transport/grpc/generated/engine/common.ts";
import * as sglang from "../../src/transport/grpc/generated/engine/sglang.ts";
import * as vllm from "../../src/transport/grpc/generated/engine/vllm.ts";
import { HealthCheckRequest, HealthCheckResponse } from "../../src/transport/grpc/generated/health/health.ts";
import type { GrpcTransport } from "../../src/transport/grpc/grpc-transport.ts";
import { SGLANG } from "../../src/engine/sglang/methods.ts";
import { VLLM } from "../../src/engine/vllm/methods.ts";
import { HEALTH } from "../engines/grpc/health-service.ts";
import { callOptions, failure, failureCode, readAll, startTransport } from "./calls.ts";

const PROMPT = BYTE_TOKENIZER.encode("Where does the train go?");

type VllmRequest = Parameters<typeof vllm.GenerateRequest.fromPartial>[0];
type SglangRequest = Parameters<typeof sglang.GenerateRequest.fromPartial>[0];
type VllmResponse = NonNullable<vllm.GenerateResponse["response"]>;
type SglangResponse = NonNullable<sglang.GenerateResponse["response"]>;

async function askVllm(
  transport: GrpcTransport,
  engine: SimulatedGrpcEngine,
  own: VllmRequest,
): Promise<VllmResponse[]> {
  const request = vllm.GenerateRequest.fromPartial({
    requestId: "r1",
    input: { $case: "tokenized", value: { originalText: "", inputIds: PROMPT } },
    stream: true,
    ...own,
  });
  const bytes = vllm.GenerateRequest.encode(request).finish();
  const all = await readAll(transport.serverStream(engine.url, VLLM.generate, bytes, callOptions(transport)));
  return all
    .map((message) => vllm.GenerateResponse.decode(message).response)
    .filter((response) => response !== undefined);
}

async function askSglang(
  transport: GrpcTransport,
  engine: SimulatedGrpcEngine,
  own: SglangRequest,
): Promise<SglangResponse[]> {
  const request = sglang.GenerateRequest.fromPartial({
    requestId: "r1",
    tokenized: { originalText: "", inputIds: PROMPT },
    stream: true,
    ...own,
  });
  const bytes = sglang.GenerateRequest.encode(request).finish();
  const all = await readAll(transport.serverStream(engine.url, SGLANG.generate, bytes, callOptions(transport)));
  return all
    .map((message) => sglang.GenerateResponse.decode(message).response)
    .filter((response) => response !== undefined);
}

/** All tokens of a streamed choice, as a gateway adds them up: from the chunks alone. */
function streamed(responses: readonly (VllmResponse | SglangResponse)[], index = 0): number[] {
  return responses.flatMap((response) =>
    response.$case === "chunk" && response.value.index === index ? response.value.tokenIds : [],
  );
}

function completeOf<T extends VllmResponse | SglangResponse>(
  responses: readonly T[],
): Extract<T, { $case: "complete" }>["value"] {
  const last = responses.at(-1);
  if (last?.$case !== "complete") throw new Error("the stream does not end with a complete message");
  return last.value;
}

function start(options: Partial<GrpcEngineOptions> & Pick<GrpcEngineOptions, "kind">): Promise<SimulatedGrpcEngine> {
  return startGrpcEngine(options);
}

describe("vLLM", () => {
  test("streams the answer in chunks that count for themselves, and whole otherwise", async () => {
    await using engine = await start({ kind: "vllm" });
    using transport = startTransport();
    const stream = await askVllm(transport, engine, {});
    const [whole] = await askVllm(transport, engine, { stream: false });
    if (whole?.$case !== "complete") throw new Error("not streamed, the answer is one complete message");
    expect(streamed(stream)).toEqual(whole.value.outputIds);
    expect(whole.value.outputIds.at(-1)).toBe(BYTE_TOKENIZER.eosId);
    expect([whole.value.finishReason, whole.value.matchedStop]).toEqual(["stop", undefined]);
    expect(whole.value.completionTokens).toBe(whole.value.outputIds.length);
    const counts = stream.flatMap((response) => (response.$case === "chunk" ? [response.value.completionTokens] : []));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(whole.value.outputIds.length);
    expect(completeOf(stream).promptTokens).toBe(PROMPT.length);
    // The second time the prompt is known.
    expect(completeOf(stream).cachedTokens).toBe(0);
    expect(whole.value.cachedTokens).toBe(16);
  });

  test("honours max_tokens, ignore_eos, min_tokens, stop tokens, stop strings, n and seed", async () => {
    await using engine = await start({ kind: "vllm" });
    using transport = startTransport();
    const ask = (sampling: VllmRequest["samplingParams"]): Promise<VllmResponse[]> =>
      askVllm(transport, engine, { samplingParams: sampling });
    expect(completeOf(await ask({ maxTokens: 3 })).finishReason).toBe("length");
    expect(streamed(await ask({ maxTokens: 900, ignoreEos: true }))).toHaveLength(900);
    expect(streamed(await ask({ minTokens: 900 })).length).toBeGreaterThan(900);
    const plain = streamed(await ask({}));
    const third = plain[2] ?? 0;
    const stopped = await ask({ stopTokenIds: [third] });
    expect(streamed(stopped)).toEqual(plain.slice(0, plain.indexOf(third) + 1));
    expect(completeOf(stopped).matchedStop).toEqual({ $case: "matchedTokenId", value: third });
    const word = BYTE_TOKENIZER.decode(plain).split(" ")[2] ?? "";
    const cut = await ask({ stop: [word] });
    expect(completeOf(cut).matchedStop).toEqual({ $case: "matchedStopStr", value: word });
    expect(BYTE_TOKENIZER.decode(streamed(cut)).endsWith(word)).toBe(true);
    const three = await ask({ n: 3, seed: 5 });
    const texts = [0, 1, 2].map((index) => BYTE_TOKENIZER.decode(streamed(three, index)));
    expect(new Set([...texts, BYTE_TOKENIZER.decode(plain)]).size).toBe(4);
    expect(three.filter(({ $case }) => $case === "complete")).toHaveLength(3);
    expect(await ask({ n: 3, seed: 5 })).toHaveLength(three.length);
  });

  test("gives log probabilities where they are asked for", async () => {
    await using engine = await start({ kind: "vllm" });
    using transport = startTransport();
    const [first] = await askVllm(transport, engine, { samplingParams: { logprobs: 2, promptLogprobs: 1 } });
    if (first?.$case !== "chunk") throw new Error("a chunk comes first");
    expect(first.value.outputLogprobs?.tokenIds).toEqual(first.value.tokenIds);
    expect(first.value.outputLogprobs?.topLogprobs[0]?.tokenIds).toHaveLength(2);
    expect(first.value.inputLogprobs?.tokenLogprobs).toHaveLength(PROMPT.length);
    expect(first.value.inputLogprobs?.tokenLogprobs[0]?.value).toBeUndefined();
    const [none] = await askVllm(transport, engine, {});
    expect(none?.$case === "chunk" && none.value.outputLogprobs).toBeUndefined();
  });

  test("an abort ends a generation and is remembered", async () => {
    await using engine = await start({ kind: "vllm", msPerToken: 5 });
    using transport = startTransport();
    const answer = askVllm(transport, engine, {
      requestId: "long",
      samplingParams: { maxTokens: 10_000, ignoreEos: true },
    });
    while (engine.running === 0) await Bun.sleep(2);
    const abort = vllm.AbortRequest.encode({ requestIds: ["long", "unknown"] }).finish();
    await transport.unary(engine.url, VLLM.abort, abort, callOptions(transport));
    expect(completeOf(await answer).finishReason).toBe("abort");
    expect(engine.records.map(({ method, requestId, outcome }) => `${method} ${requestId} ${outcome}`)).toEqual([
      "Generate long aborted",
      "Abort long finished",
      "Abort unknown finished",
    ]);
  });
});

describe("SGLang", () => {
  test("streams the answer in chunks that count all so far, and leaves stop strings to others", async () => {
    await using engine = await start({ kind: "sglang" });
    using transport = startTransport();
    const stream = await askSglang(transport, engine, { samplingParams: { stop: ["a", "e", "o"] } });
    const [whole] = await askSglang(transport, engine, { stream: false });
    if (whole?.$case !== "complete") throw new Error("not streamed, the answer is one complete message");
    expect(streamed(stream)).toEqual(whole.value.outputIds);
    expect(whole.value.matchedStop).toEqual({ $case: "matchedTokenId", value: BYTE_TOKENIZER.eosId });
    const counts = stream.flatMap((response) => (response.$case === "chunk" ? [response.value.completionTokens] : []));
    expect(counts).toEqual(counts.map((_, index) => index + 1));
    expect(completeOf(stream).completionTokens).toBe(whole.value.outputIds.length);
  });

  test("honours max_new_tokens, ignore_eos and n, and gives log probabilities", async () => {
    await using engine = await start({ kind: "sglang" });
    using transport = startTransport();
    const answer = await askSglang(transport, engine, {
      samplingParams: { maxNewTokens: 50, ignoreEos: true, n: 2 },
      returnLogprob: true,
      topLogprobsNum: 3,
      logprobStartLen: 4,
    });
    expect([0, 1].map((index) => streamed(answer, index).length)).toEqual([50, 50]);
    const [first] = answer;
    if (first?.$case !== "chunk") throw new Error("a chunk comes first");
    expect(first.value.outputLogprobs?.topLogprobs[0]?.tokenIds).toHaveLength(3);
    expect(first.value.inputLogprobs?.tokenIds).toEqual(PROMPT.slice(4));
  });

  test("a cancelled call frees the engine", async () => {
    await using engine = await start({ kind: "sglang", msPerToken: 5 });
    using transport = startTransport();
    const request = sglang.GenerateRequest.fromPartial({
      requestId: "left",
      tokenized: { inputIds: PROMPT },
      stream: true,
      samplingParams: { maxNewTokens: 10_000, ignoreEos: true },
    });
    const stream = transport.serverStream(
      engine.url,
      SGLANG.generate,
      sglang.GenerateRequest.encode(request).finish(),
      callOptions(transport),
    );
    await stream.read();
    stream.discard();
    while (engine.running > 0) await Bun.sleep(2);
    expect(engine.records[0]?.outcome).toBe("cancelled");
  });
});

describe("both", () => {
  test.each(["vllm", "sglang"] as const)("%s says who it is, how it is, and sends its tokenizer", async (kind) => {
    const directory = mkdtempSync(join(tmpdir(), "pointsman-tokenizer-"));
    const tokenizerJson = JSON.stringify({ model: "x".repeat(200_000) });
    writeFileSync(join(directory, "tokenizer.json"), tokenizerJson);
    writeFileSync(join(directory, "model.safetensors"), "weights");
    await using engine = await start({ kind, tokenizerPath: directory, model: "m" });
    using transport = startTransport();
    const methods = kind === "vllm" ? VLLM : SGLANG;
    const messages = kind === "vllm" ? vllm : sglang;
    const ask = (method: string): Promise<Uint8Array> =>
      transport.unary(engine.url, method, new Uint8Array(0), callOptions(transport));
    expect(messages.HealthCheckResponse.decode(await ask(methods.healthCheck)).healthy).toBe(true);
    expect(messages.GetModelInfoResponse.decode(await ask(methods.getModelInfo))).toMatchObject({
      servedModelName: "m",
      eosTokenIds: [256],
    });
    expect(messages.GetServerInfoResponse.decode(await ask(methods.getServerInfo)).activeRequests).toBe(0);
    expect(messages.GetLoadsResponse.decode(await ask(methods.getLoads)).loads).toHaveLength(1);
    const embed = { requestId: "e", tokenized: { originalText: "", inputIds: PROMPT } };
    const embedding =
      kind === "vllm"
        ? vllm.EmbedResponse.decode(
            await transport.unary(
              engine.url,
              VLLM.embed,
              vllm.EmbedRequest.encode(embed).finish(),
              callOptions(transport),
            ),
          )
        : sglang.EmbedResponse.decode(
            await transport.unary(
              engine.url,
              SGLANG.embed,
              sglang.EmbedRequest.encode(sglang.EmbedRequest.fromPartial(embed)).finish(),
              callOptions(transport),
            ),
          );
    expect([embedding.embedding.length, embedding.promptTokens]).toEqual([8, PROMPT.length]);

    const health = async (service: string): Promise<number> =>
      HealthCheckResponse.decode(
        await transport.unary(
          engine.url,
          HEALTH.check,
          HealthCheckRequest.encode({ service }).finish(),
          callOptions(transport),
        ),
      ).status;
    expect(await health("")).toBe(1);
    expect(await failureCode(health("unknown.Service"))).toBe("upstream_model_missing");
    engine.setHealthy(false);
    expect(await health("")).toBe(2);

    const request = GetTokenizerRequest.encode({}).finish();
    const chunks = (
      await readAll(transport.serverStream(engine.url, methods.getTokenizer, request, callOptions(transport)))
    ).map((bytes) => GetTokenizerChunk.decode(bytes));
    const zip = Buffer.concat(chunks.map(({ data }) => data));
    expect(chunks.map(({ sha256 }) => sha256 !== "")).toEqual(chunks.map((_, index) => index === chunks.length - 1));
    expect(chunks.at(-1)?.sha256).toBe(new Bun.CryptoHasher("sha256").update(zip).digest("hex"));
    // A reader of zip files that is not ours.
    const file = join(directory, "bundle.zip");
    writeFileSync(file, zip);
    const unzip = Bun.spawnSync([
      "python3",
      "-c",
      "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(z.namelist()); z.extractall(sys.argv[2])",
      file,
      join(directory, "out"),
    ]);
    expect(unzip.stdout.toString().trim()).toBe("['tokenizer.json']");
    expect(readFileSync(join(directory, "out", "tokenizer.json"), "utf8")).toBe(tokenizerJson);
  });

  test.each([
    ["reset", 0, "upstream_closed"],
    ["die", 0, "upstream_closed"],
    [{ status: 14 }, 0, "upstream_busy"],
    ["reset", 3, "upstream_reset"],
    ["die", 3, "upstream_reset"],
    [{ status: 13 }, 3, "upstream_stream_error"],
  ] as const)("misbehaves on demand: %p after %i tokens", async (what, afterTokens, code) => {
    await using engine = await start({ kind: "vllm", msPerToken: 2, fault: () => ({ afterTokens, what }) });
    using transport = startTransport();
    expect(await failureCode(askVllm(transport, engine, {}))).toBe(code);
  });

  test("two thousand clients that leave in haste do not make it break their connection", async () => {
    await using engine = await start({ kind: "vllm", msPerToken: 50 });
    using transport = startTransport();
    const bytes = vllm.GenerateRequest.encode(
      vllm.GenerateRequest.fromPartial({ input: { $case: "text", value: "hello" }, stream: true }),
    ).finish();
    for (let round = 0; round < 20; round += 1) {
      const streams = Array.from({ length: 100 }, () =>
        transport.serverStream(engine.url, VLLM.generate, bytes, callOptions(transport)),
      );
      await Bun.sleep(5);
      for (const stream of streams) stream.discard();
    }
    expect(await askVllm(transport, engine, { samplingParams: { maxTokens: 1 } })).not.toHaveLength(0);
    expect(engine.connections).toBe(1);
    while (engine.running > 0) await Bun.sleep(2);
  });

  test("refuses connections once it is gone", async () => {
    await using engine = await start({ kind: "vllm" });
    using transport = startTransport();
    engine.die();
    expect(await failureCode(askVllm(transport, engine, {}))).toBe("upstream_connect_failed");
  });

  test("stands still on demand", async () => {
    await using engine = await start({ kind: "sglang", fault: () => ({ afterTokens: 2, what: "stall" }) });
    using transport = startTransport();
    const bytes = sglang.GenerateRequest.encode(
      sglang.GenerateRequest.fromPartial({ tokenized: { inputIds: PROMPT }, stream: true }),
    ).finish();
    const timeouts = { connectMs: 1000, firstByteMs: 300, idleMs: 300 };
    expect(
      await failureCode(
        readAll(transport.serverStream(engine.url, SGLANG.generate, bytes, callOptions(transport, { timeouts }))),
      ),
    ).toBe("upstream_stalled");
    while (engine.running > 0) await Bun.sleep(2);
    expect(engine.records[0]).toMatchObject({ outcome: "cancelled", tokens: 2 });
  });
});

describe("prefill and decode of SGLang", () => {
  const PARAMS = { bootstrapHost: "127.0.0.1", bootstrapRoom: 7 };

  test("meet in a room, in whichever order they come", async () => {
    await using prefill = await start({ kind: "sglang", role: "prefill" });
    await using decode = await start({ kind: "sglang", role: "decode" });
    await using single = await start({ kind: "sglang" });
    using transport = startTransport();
    const params = { ...PARAMS, bootstrapPort: prefill.kvPort };
    const decoding = askSglang(transport, decode, { disaggregatedParams: params });
    await Bun.sleep(50);
    const prefilled = await askSglang(transport, prefill, { disaggregatedParams: params });
    expect(streamed(prefilled)).toHaveLength(1);
    expect(streamed(await decoding)).toEqual(streamed(await askSglang(transport, single, {})));
    expect([...prefill.violations, ...decode.violations]).toEqual([]);
  });

  test("refuse whatever is not as it should be", async () => {
    await using prefill = await start({ kind: "sglang", role: "prefill" });
    await using decode = await start({ kind: "sglang", role: "decode" });
    using transport = startTransport();
    const params = { ...PARAMS, bootstrapPort: prefill.kvPort };
    expect((await failure(askSglang(transport, prefill, {}))).message).toContain("needs disaggregated_params");
    const wrongPort = { ...params, bootstrapPort: params.bootstrapPort + 1 };
    expect((await failure(askSglang(transport, prefill, { disaggregatedParams: wrongPort }))).message).toContain(
      "bootstrap_port",
    );
    expect(await failureCode(askSglang(transport, decode, { disaggregatedParams: wrongPort }))).toBe("upstream_error");
    const other = { disaggregatedParams: { ...params, bootstrapRoom: 8 } };
    const [, mismatched] = await Promise.allSettled([
      failure(askSglang(transport, prefill, other)),
      failure(askSglang(transport, decode, { ...other, tokenized: { inputIds: [1, 2, 3] } })),
    ]);
    expect(mismatched.status).toBe("fulfilled");
    const good = { disaggregatedParams: { ...params, bootstrapRoom: 9 } };
    await Promise.all([askSglang(transport, prefill, good), askSglang(transport, decode, good)]);
    expect((await failure(askSglang(transport, prefill, good))).message).toContain("used before");
    expect(await failureCode(askSglang(transport, decode, good))).toBe("upstream_error");
    expect(prefill.violations.length + decode.violations.length).toBeGreaterThanOrEqual(7);
  });
});

describe("prefill and decode of vLLM", () => {
  const ASK = { do_remote_decode: true, do_remote_prefill: false };
  const prefillOf = (params: object, own: VllmRequest = {}): VllmRequest => ({
    stream: false,
    samplingParams: { maxTokens: 1, n: 1 },
    kvTransferParamsJson: JSON.stringify(params),
    ...own,
  });

  test("NIXL: the ticket of the prefill opens decode, once and to the letter", async () => {
    await using prefill = await start({ kind: "vllm", role: "prefill" });
    await using decode = await start({ kind: "vllm", role: "decode" });
    await using single = await start({ kind: "vllm" });
    using transport = startTransport();
    const ticket = completeOf(await askVllm(transport, prefill, prefillOf(ASK))).kvTransferParamsJson ?? "";
    expect(JSON.parse(ticket)).toMatchObject({
      do_remote_prefill: true,
      remote_request_id: "r1",
      remote_engine_id: prefill.kvEngineId,
    });
    const answer = await askVllm(transport, decode, { kvTransferParamsJson: ticket });
    expect(streamed(answer)).toEqual(streamed(await askVllm(transport, single, {})));
    expect(completeOf(answer).cachedTokens).toBe(PROMPT.length - 1);
    expect([...prefill.violations, ...decode.violations]).toEqual([]);
    expect(prefill.records[0]?.endedOrder).toBeLessThan(decode.records[0]?.order ?? 0);
    // The ticket is used up.
    expect(await failureCode(askVllm(transport, decode, { kvTransferParamsJson: ticket }))).toBe("upstream_error");
  });

  test("NIXL: another request id, another prompt, a touched ticket or none are refused", async () => {
    await using prefill = await start({ kind: "vllm", role: "prefill" });
    await using decode = await start({ kind: "vllm", role: "decode" });
    using transport = startTransport();
    const ticketOf = async (requestId: string): Promise<string> =>
      completeOf(await askVllm(transport, prefill, prefillOf(ASK, { requestId }))).kvTransferParamsJson ?? "";
    const input = { $case: "tokenized" as const, value: { originalText: "", inputIds: [1, 2] } };
    const a = await ticketOf("a");
    const b = await ticketOf("b");
    const wrong: VllmRequest[] = [
      { requestId: "c" },
      { requestId: "a", kvTransferParamsJson: `${a} ` },
      { requestId: "b", kvTransferParamsJson: b, input },
    ];
    for (const own of wrong) await failure(askVllm(transport, decode, own));
    expect(decode.violations).toHaveLength(3);
  });

  test("NIXL: a prefill that is not one is refused", async () => {
    await using prefill = await start({ kind: "vllm", role: "prefill" });
    using transport = startTransport();
    const wrong: VllmRequest[] = [
      { kvTransferParamsJson: "" },
      prefillOf(ASK, { samplingParams: { maxTokens: 2 } }),
      prefillOf(ASK, { samplingParams: { maxTokens: 1, n: 2 } }),
      prefillOf(ASK, { stream: true }),
      prefillOf({ ...ASK, do_remote_prefill: true }),
      prefillOf({ do_remote_prefill: false }),
    ];
    for (const own of wrong) expect(await failureCode(askVllm(transport, prefill, own))).toBe("upstream_rejected");
    expect(prefill.violations).toHaveLength(wrong.length);
  });

  test("Mooncake: the gateway mints the transfer and names the engine", async () => {
    await using prefill = await start({
      kind: "vllm",
      role: "prefill",
      connector: "MooncakeConnector",
      dataParallelSize: 2,
    });
    await using decode = await start({ kind: "vllm", role: "decode", connector: "MooncakeConnector" });
    using transport = startTransport();
    await askVllm(transport, prefill, prefillOf({ ...ASK, transfer_id: "xfer-1" }, { dataParallelRank: 1 }));
    const ticket = {
      do_remote_decode: false,
      do_remote_prefill: true,
      transfer_id: "xfer-1",
      remote_engine_id: `${prefill.kvEngineId}_dp1`,
      remote_bootstrap_addr: `http://127.0.0.1:${prefill.kvPort}`,
    };
    const answer = await askVllm(transport, decode, { kvTransferParamsJson: JSON.stringify(ticket) });
    expect(completeOf(answer).finishReason).toBe("stop");
    expect([...prefill.violations, ...decode.violations]).toEqual([]);
    await askVllm(
      transport,
      prefill,
      prefillOf({ ...ASK, transfer_id: "xfer-2" }, { dataParallelRank: 0, requestId: "r2" }),
    );
    const wrongRank = { ...ticket, transfer_id: "xfer-2" };
    expect(
      await failureCode(
        askVllm(transport, decode, { requestId: "r2", kvTransferParamsJson: JSON.stringify(wrongRank) }),
      ),
    ).toBe("upstream_error");
    expect(
      await failureCode(askVllm(transport, prefill, prefillOf({ ...ASK, transfer_id: "xfer-3" }, { requestId: "r3" }))),
    ).toBe("upstream_rejected");
  });

  test("a prefill engine that dies takes its decode with it, at once", async () => {
    await using prefill = await start({ kind: "vllm", role: "prefill" });
    await using decode = await start({ kind: "vllm", role: "decode" });
    using transport = startTransport();
    const ticket = completeOf(await askVllm(transport, prefill, prefillOf(ASK))).kvTransferParamsJson ?? "";
    prefill.die();
    const began = performance.now();
    expect(await failureCode(askVllm(transport, decode, { kvTransferParamsJson: ticket }))).toBe("upstream_error");
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
