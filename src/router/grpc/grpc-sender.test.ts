import { describe, expect, test } from "bun:test";
import {
  ended,
  PlayedGrpc,
  type PlayedAnswer,
  type PlayedCall,
  tinyText,
  tokens,
} from "../../../test/support/played-grpc.ts";
import { type RequestOptions, type RoutingSetup, setUpRouting } from "../../../test/support/routing.ts";
import { GatewayError } from "../../errors/errors.ts";
import { AbortRequest, EmbedResponse, GenerateRequest } from "../../transport/grpc/generated/engine/vllm.ts";
import { Secret } from "../../util/secret.ts";
import type { WorkerResponse } from "../response-stage.ts";
import { GrpcSender } from "./grpc-sender.ts";

const TIMEOUTS = { connectMs: 1, firstByteMs: 2, idleMs: 3, totalMs: 60_000 };
const { text, idsOf } = await tinyText();
const [THE, END] = [idsOf("the"), idsOf(" end")] as const;

interface Setup extends RoutingSetup {
  readonly grpc: PlayedGrpc;
  send(options?: RequestOptions): Promise<WorkerResponse>;
}

/** One vLLM worker whose calls are answered with this. */
function setUp(answer: (call: PlayedCall) => PlayedAnswer, engine = "vllm"): Setup {
  const setup = setUpRouting();
  const grpc = new PlayedGrpc(answer);
  const sender = new GrpcSender({ grpc, clock: setup.clock, timeouts: TIMEOUTS, texts: { of: () => text } });
  const { id, info } = setup.add("grpc://one:1", { modelId: "m", apiKey: new Secret("key") });
  const worker = setup.registry.update(id, { info: { ...info, engine, maxModelLen: 100 } });
  return {
    ...setup,
    grpc,
    async send(options = {}) {
      const request = setup.request({ path: "/v1/completions", body: { prompt: "and so on" }, ...options });
      const prepared = await sender.prepare(request, setup.registry.getWorkersForModel("m"));
      return sender.send(prepared, { prefill: undefined, answer: setup.attempt(worker, prepared) });
    },
  };
}

const STREAM = { isStream: true, body: { prompt: "and so on", stream: true } } as const;
const isGenerate = ({ method }: PlayedCall): boolean => method.endsWith("Generate");
const aborted = ({ grpc }: Setup): string[] =>
  grpc.calls
    .filter(({ method }) => method.endsWith("Abort"))
    .flatMap(({ request }) => AbortRequest.decode(request).requestIds);

async function textOf(response: WorkerResponse): Promise<string> {
  let all = "";
  for (let piece = await response.read(); piece; piece = await response.read()) all += Buffer.from(piece).toString();
  return all;
}

const errorOf = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work();
  } catch (error) {
    return error;
  }
};

describe("a prompt", () => {
  test("is sent as tokens, with the worker's key, the client's trace, and the time that the request has", async () => {
    const { grpc, send } = setUp(() => [ended(THE)]);
    await send({ headers: { traceparent: "00-1", cookie: "a=b" } });
    const [call] = grpc.calls;
    const sent = call && GenerateRequest.decode(call.request);
    expect(sent?.input).toMatchObject({ $case: "tokenized", value: { inputIds: idsOf("and so on") } });
    expect(call?.options).toMatchObject({ deadline: 60_000, timeouts: TIMEOUTS });
    expect(call?.options.metadata).toEqual({ "x-request-id": "r1", traceparent: "00-1", authorization: "Bearer key" });
  });

  test("that is too long for the worker's model is refused before it is sent", async () => {
    const { grpc, send } = setUp(() => []);
    expect(await errorOf(() => send({ body: { prompt: "and ".repeat(200) } }))).toMatchObject({
      code: "invalid_request",
    });
    expect(grpc.calls).toEqual([]);
  });
});

describe("a salt", () => {
  test.each([{ cache_salt: "tenant-1" }, { extra_key: "k" }])(
    "%j is refused, because the engine would share its cache among all tenants",
    async (salt) => {
      const { grpc, send } = setUp(() => []);
      const [param] = Object.keys(salt);
      expect(await errorOf(() => send({ body: { prompt: "and so on", ...salt } }))).toMatchObject({
        code: "not_implemented",
        details: { param },
      });
      expect(grpc.calls).toEqual([]);
    },
  );

  test("that is null is none", async () => {
    const { send } = setUp(() => [ended(THE)]);
    expect((await send({ body: { prompt: "and so on", cache_salt: null } })).status).toBe(200);
  });
});

describe("a member on which the answer depends", () => {
  const refusals = [
    ["vllm", { lora_path: "sql" }, "lora_path"],
    ["vllm", { lora_id: "sql" }, "lora_path"],
    ["trtllm", { lora_path: "sql" }, "lora_path"],
    ["trtllm", { logit_bias: { "5": 2 } }, "logit_bias"],
  ] as const;
  test.each(refusals)("is refused where %s has no place for it: %j", async (engine, member, param) => {
    const { grpc, send } = setUp(() => [], engine);
    expect(await errorOf(() => send({ body: { prompt: "and so on", ...member } }))).toMatchObject({
      code: "not_implemented",
      details: { param },
    });
    expect(grpc.calls).toEqual([]);
  });

  test("is sent where the engine has a place for it", async () => {
    const { grpc, send } = setUp(() => [ended(THE)]);
    await send({ body: { prompt: "and so on", logit_bias: { "5": 2 }, lora_path: null } });
    const [call] = grpc.calls;
    expect(call && GenerateRequest.decode(call.request).samplingParams?.logitBias).toEqual({ 5: 2 });
  });
});

describe("an answer", () => {
  test("is made of the engine's tokens, in the client's API", async () => {
    const { send } = setUp(() => [ended([...THE, ...END])]);
    const body = JSON.parse(Buffer.from(await (await send()).bytes(10_000)).toString()) as object;
    expect(body).toMatchObject({ choices: [{ text: "the end", finish_reason: "stop" }], usage: { prompt_tokens: 3 } });
  });

  test("that is streamed says of itself what it comes to", async () => {
    const { send } = setUp(() => [tokens(THE), tokens(END), ended(END)]);
    const response = await send(STREAM);
    const all = await textOf(response);
    expect(all).toEndWith("data: [DONE]\n\n");
    expect(all.match(/^data: \{/gm)?.length).toBe(response.account?.events ?? -1);
    expect(response.account).toMatchObject({ isEnded: true, usage: { promptTokens: 3, cachedTokens: 1 } });
  });

  test("that is streamed can be followed the fast way", async () => {
    const { send } = setUp(() => [tokens(THE), tokens(END), ended(END)]);
    const response = await send(STREAM);
    let followed = "";
    await response.follow?.({
      take: (bytes, from, to) => ((followed += Buffer.from(bytes.subarray(from, to)).toString()), true),
    });
    expect(followed).toContain('"text":"the"');
    expect(await textOf(response)).toEndWith("data: [DONE]\n\n");
  });

  test("ends at a stop string, and the engine is told to stop", async () => {
    const setup = setUp((call) => (isGenerate(call) ? [tokens(THE), tokens(idsOf("stop")), tokens(END)] : []));
    const response = await setup.send({ body: { prompt: "and so on", stop: "stop" } });
    const body = JSON.parse(Buffer.from(await response.bytes(10_000)).toString()) as object;
    expect(body).toMatchObject({ choices: [{ text: "the", finish_reason: "stop" }] });
    expect([aborted(setup).length, setup.grpc.streams[0]?.isDiscarded]).toEqual([1, true]);
  });

  test("that ends before its last token is cut", async () => {
    const { send } = setUp(() => [tokens(THE)]);
    const response = await send(STREAM);
    expect(await errorOf(() => textOf(response))).toMatchObject({ code: "upstream_truncated" });
  });

  test("that nobody wants any more is aborted, once", async () => {
    const setup = setUp((call) => (isGenerate(call) ? [tokens(THE)] : []));
    const response = await setup.send(STREAM);
    response.discard();
    response.discard();
    expect([aborted(setup).length, setup.grpc.streams[0]?.isDiscarded]).toEqual([1, true]);
  });
});

describe("a batch", () => {
  test("is a call for each prompt, with an id of its own", async () => {
    const setup = setUp(() => [ended(THE)]);
    const response = await setup.send({ body: { prompt: ["and", "on"] } });
    const ids = setup.grpc.calls.map(({ request }) => GenerateRequest.decode(request).requestId);
    expect(ids[1]).toBe(`${ids[0]}-1`);
    const body = JSON.parse(Buffer.from(await response.bytes(10_000)).toString()) as object;
    expect(body).toMatchObject({
      choices: [
        { index: 0, text: "the" },
        { index: 1, text: "the" },
      ],
    });
  });

  test("of which one prompt is lost ends the others", async () => {
    let calls = 0;
    const setup = setUp((call) => {
      if (!isGenerate(call)) return [];
      calls += 1;
      return calls === 1 ? [new GatewayError("upstream_reset", "gone")] : [tokens(THE), tokens(END)];
    });
    const response = await setup.send({ body: { prompt: ["and", "on"], stream: true }, isStream: true });
    expect(await errorOf(() => textOf(response))).toMatchObject({ code: "upstream_reset" });
    expect(setup.grpc.streams[1]?.isDiscarded).toBe(true);
  });
});

describe("inputs to embed", () => {
  const vector = (value: number): Uint8Array =>
    EmbedResponse.encode(EmbedResponse.fromPartial({ embedding: [value], promptTokens: 2 })).finish();

  test("are a call each, and one answer", async () => {
    let calls = 0;
    const { send, grpc } = setUp(() => [vector((calls += 1))]);
    const response = await send({ path: "/v1/embeddings", body: { input: ["and", "on"] } });
    const body = JSON.parse(Buffer.from(await response.bytes(10_000)).toString()) as object;
    expect(body).toMatchObject({ data: [{ embedding: [1] }, { embedding: [2] }], usage: { prompt_tokens: 4 } });
    expect(grpc.calls.length).toBe(2);
  });

  test("are not all asked where one fails", async () => {
    const { send, grpc } = setUp(() => [new GatewayError("upstream_reset", "gone")]);
    const input = Array.from({ length: 40 }, () => "and");
    expect(await errorOf(() => send({ path: "/v1/embeddings", body: { input } }))).toMatchObject({
      code: "upstream_reset",
    });
    expect(grpc.calls.length).toBe(16);
  });
});

test("routes that engines with tokens do not have are refused", () => {
  const { grpc, clock, request } = setUp(() => []);
  const sender = new GrpcSender({ grpc, clock, timeouts: TIMEOUTS, texts: { of: () => text } });
  expect(sender.refusal(request({ path: "/v1/rerank" }).endpoint)).toBe("gRPC workers have no method for /v1/rerank");
  expect(sender.refusal(request().endpoint)).toBeUndefined();
});
