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
import { GenerateRequest } from "../../transport/grpc/generated/engine/vllm.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { Try } from "../try.ts";
import { GrpcPdSender } from "./grpc-pd-sender.ts";

const TIMEOUTS = { connectMs: 1, firstByteMs: 2, idleMs: 3, totalMs: 60_000 };
const PARAMS = '{"remote_engine_id":"e1"}';
const { text, idsOf } = await tinyText();
const THE = idsOf("the");

interface Setup extends RoutingSetup {
  readonly grpc: PlayedGrpc;
  readonly tried: Try;
  send(options?: RequestOptions): Promise<WorkerResponse>;
}

/** A pair of vLLM workers with NIXL; `answer` says what each call is answered with. */
function setUp(answer: (call: PlayedCall) => PlayedAnswer): Setup {
  const setup = setUpRouting();
  const grpc = new PlayedGrpc(answer);
  const { clock, metrics, registry } = setup;
  const sender = new GrpcPdSender({ grpc, clock, metrics, timeouts: TIMEOUTS, texts: { of: () => text } });
  const add = (url: string, workerType: "prefill" | "decode"): ReturnType<typeof setup.attempt> => {
    const { id, info } = setup.add(url, { modelId: "m", workerType, labels: { kv_connector: "nixl" } });
    return setup.attempt(registry.update(id, { info: { ...info, engine: "vllm" } }));
  };
  const tried = { prefill: add("grpc://p:1", "prefill"), answer: add("grpc://d:1", "decode") };
  return {
    ...setup,
    grpc,
    tried,
    async send(options = {}) {
      const request = setup.request({ path: "/v1/completions", body: { prompt: "and so on" }, ...options });
      return sender.send(await sender.prepare(request, registry.getWorkersForModel("m")), tried);
    },
  };
}

const isPrefill = ({ origin }: PlayedCall): boolean => origin === "grpc://p:1";
const PREFILLED = ended(THE, { kvTransferParamsJson: PARAMS });
const generates = ({ grpc }: Setup): { origin: string; sent: GenerateRequest }[] =>
  grpc.calls
    .filter(({ method }) => method.endsWith("Generate"))
    .map(({ origin, request }) => ({ origin, sent: GenerateRequest.decode(request) }));

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error);
}

describe("a pair", () => {
  test("gets one prompt under one id, and decode what prefill handed over", async () => {
    const setup = setUp((call) => [isPrefill(call) ? PREFILLED : ended(THE)]);
    const response = await setup.send();
    const [first, second] = generates(setup);
    expect([first?.origin, second?.origin]).toEqual(["grpc://p:1", "grpc://d:1"]);
    expect(first?.sent.samplingParams?.maxTokens).toBe(1);
    expect(second?.sent.kvTransferParamsJson).toBe(PARAMS);
    expect(first?.sent.requestId).toBe(second?.sent.requestId ?? "");
    const body = JSON.parse(Buffer.from(await response.bytes(10_000)).toString()) as object;
    expect(body).toMatchObject({ choices: [{ text: "the" }] });
    expect(setup.metrics.expose()).toMatch(/kv_transfers_total\{[^}]*outcome="handed_over"\} 1/);
  });

  test("streams what was written here: it is not read again, and is followed the fast way", async () => {
    const setup = setUp((call) => (isPrefill(call) ? [PREFILLED] : [tokens(THE), ended(THE)]));
    const response = await setup.send({ isStream: true, body: { prompt: "and so on", stream: true } });
    let followed = "";
    await response.follow?.({
      take: (bytes, from, to) => ((followed += Buffer.from(bytes.subarray(from, to)).toString()), true),
    });
    expect(followed).toContain('"text":"the"');
    expect(response.account?.events).toBe(followed.match(/^data: \{/gm)?.length ?? -1);
  });

  test("prefills in decode where nothing was handed over, which is counted", async () => {
    const setup = setUp(() => [ended(THE)]);
    await setup.send();
    expect(generates(setup)[1]?.sent.kvTransferParamsJson).toBeUndefined();
    expect(setup.metrics.expose()).toMatch(/kv_transfers_total\{[^}]*outcome="missing"\} 1/);
  });

  test("is its decode worker alone for several answers, as one hand-over is for one", async () => {
    const setup = setUp(() => [ended(THE)]);
    await setup.send({ body: { prompt: "and so on", n: 2 } });
    expect(generates(setup).map(({ origin }) => origin)).toEqual(["grpc://d:1"]);
    expect(setup.ledger.totals().inFlight).toBe(1);
  });

  test("whose prefill fails does not ask decode, and the error is prefill's", async () => {
    const lost = new GatewayError("upstream_connect_failed", "nobody listens");
    const setup = setUp((call) => (isPrefill(call) ? [lost] : [ended(THE)]));
    expect(await errorOf(setup.send())).toBe(lost);
    expect(generates(setup).map(({ origin }) => origin)).toEqual(["grpc://p:1"]);
    expect([setup.tried.prefill?.failure, setup.tried.answer.failure]).toEqual([lost, undefined]);
  });

  test("takes a batch prompt by prompt", async () => {
    const setup = setUp((call) => [isPrefill(call) ? PREFILLED : ended(THE)]);
    await setup.send({ body: { prompt: ["and", "on"] } });
    expect(generates(setup).map(({ origin }) => origin)).toEqual([
      "grpc://p:1",
      "grpc://p:1",
      "grpc://d:1",
      "grpc://d:1",
    ]);
  });
});

test("workers of different engines or connectors do not fit together", () => {
  const { tried, grpc, clock, metrics, registry } = setUp(() => []);
  const sender = new GrpcPdSender({ grpc, clock, metrics, timeouts: TIMEOUTS, texts: { of: () => text } });
  const [prefill, decode] = [tried.prefill?.worker, tried.answer.worker];
  if (!prefill) throw new Error("there is no pair");
  expect(sender.fits(prefill, decode)).toBe(true);
  expect(sender.fits(prefill, registry.update(decode.id, { info: { ...decode.info, engine: "sglang" } }))).toBe(false);
});
