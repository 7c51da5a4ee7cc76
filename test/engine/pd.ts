import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  counter,
  killVllm,
  MODEL,
  origin,
  startPdHalf,
  startVllm,
  startZygote,
  stopZygote,
  untilUp,
} from "./engines.ts";
import { GrpcTransport } from "../../src/transport/grpc/grpc-transport.ts";
import { HttpTransport } from "../../src/transport/http1/http-transport.ts";
import { systemClock } from "../../src/util/clock.ts";
import { askWorker } from "../../src/engine/http-prober.ts";
import { createProbeClient } from "../../src/engine/probe-client.ts";
import { createVia } from "../../src/transport/via.ts";
import { WorkerClient } from "../../src/engine/worker-client.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";

/** A real prefill/decode pair over HTTP, whose KV cache moves by NIXL, beside a single engine of the same model. */
const PORTS = { prefill: 18_431, decode: 18_432, single: 18_433 };
/** The single engine hands nothing over; it is there to say what it could. */
const KV_BOTH = '{"kv_connector":"NixlConnector","kv_role":"kv_both","kv_buffer_device":"cpu"}';
let gateway: TestGateway;

beforeAll(async () => {
  await startZygote();
  await startPdHalf("kv_producer", { port: PORTS.prefill, sidePort: 15_711 });
  await startPdHalf("kv_consumer", { port: PORTS.decode, sidePort: 15_712 });
  await Promise.all([
    untilUp(PORTS.prefill),
    untilUp(PORTS.decode),
    startVllm(PORTS.single, "--kv-transfer-config", KV_BOTH),
  ]);
  gateway = await startGateway({
    workers: [
      { flag: "--prefill", url: origin(PORTS.prefill), workerType: "prefill" },
      { flag: "--decode", url: origin(PORTS.decode), workerType: "decode" },
    ],
    config: { healthCheckIntervalSecs: 60 },
  });
}, 300_000);

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const port of Object.values(PORTS)) await killVllm(port, "KILL");
  stopZygote();
}, 60_000);

const prompt = `class Foo:\n${Array.from({ length: 40 }, (_, n) => `    def method_${n}(self, value): return self.value + ${n}\n`).join("")}`;
const HITS = "vllm:external_prefix_cache_hits_total";

interface Completion {
  readonly choices: readonly [{ readonly text: string; readonly message?: { readonly content: string } }];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  };
}

test("an engine that prints its configuration says how its KV cache moves", async () => {
  const target = {
    url: origin(PORTS.single),
    apiKey: undefined,
    timeoutMs: 5000,
    workerType: "decode",
    modelFallback: undefined,
  } as const;
  using transport = new HttpTransport(systemClock, Number.POSITIVE_INFINITY);
  using grpc = new GrpcTransport();
  const client = createProbeClient(new WorkerClient({ transport, grpc, clock: systemClock, via: createVia() }));
  const { kv, engine } = (await askWorker(target, client)).info;
  expect([engine, kv?.connector, kv?.dataParallelSize]).toEqual(["vllm", "NixlConnector", 1]);
});

test("completions and chat say what a single engine says, and the KV cache moves", async () => {
  const cases: [route: string, body: Record<string, unknown>][] = [
    ["/v1/completions", { model: MODEL, prompt, temperature: 0, max_tokens: 24, ignore_eos: true }],
    [
      "/v1/chat/completions",
      { model: MODEL, messages: [{ role: "user", content: `${prompt}\nWhat is it?` }], temperature: 0, max_tokens: 24 },
    ],
  ];
  for (const [route, body] of cases) {
    const before = await counter(PORTS.decode, HITS);
    const response = await post(`${gateway.url}${route}`, body);
    expect(response.status).toBe(200);
    const pair = (await response.json()) as Completion;
    const single = (await (await post(`${origin(PORTS.single)}${route}`, body)).json()) as Completion;
    const textOf = ({ choices: [choice] }: Completion): string => choice.message?.content ?? choice.text;
    expect(textOf(pair)).toBe(textOf(single));
    expect(pair.usage.prompt_tokens).toBe(single.usage.prompt_tokens);
    const moved = (await counter(PORTS.decode, HITS)) - before;
    // Whole blocks move, and the last token is computed anew.
    expect(moved).toBeGreaterThan(single.usage.prompt_tokens - 64);
    console.log(`${route}: ${pair.usage.prompt_tokens} prompt tokens, ${moved} of them came from prefill`);
  }
});

test("a stream adds up to the whole answer", async () => {
  const body = {
    model: MODEL,
    messages: [{ role: "user", content: `Tell me.\n${prompt}` }],
    temperature: 0,
    max_tokens: 24,
  };
  const before = await counter(PORTS.decode, HITS);
  const streamed = await (
    await post(`${gateway.url}/v1/chat/completions`, { ...body, stream: true, stream_options: { include_usage: true } })
  ).text();
  expect((await counter(PORTS.decode, HITS)) - before).toBeGreaterThan(500);
  expect(streamed.trimEnd().endsWith("data: [DONE]")).toBe(true);
  const text = streamed
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map(
      (event) =>
        (JSON.parse(event.slice(6)) as { choices: { delta?: { content?: string } }[] }).choices[0]?.delta?.content ??
        "",
    )
    .join("");
  const single = (await (await post(`${origin(PORTS.single)}/v1/chat/completions`, body)).json()) as Completion;
  expect(text).toBe(single.choices[0].message?.content ?? "");
});

test("without its decode worker, and without its prefill worker, the client is told which is missing", async () => {
  await killVllm(PORTS.decode, "KILL");
  const decode = gateway.context.workerRegistry.getByUrl(origin(PORTS.decode));
  gateway.context.routerManager.removeWorker(
    decode ??
      (() => {
        throw new Error("no decode worker");
      })(),
  );
  const answer = await post(`${gateway.url}/v1/completions`, { model: MODEL, prompt: "x", max_tokens: 4 });
  expect(answer.status).toBe(503);
  expect(await answer.text()).toContain("the model has no decode worker");
  expect((await fetch(`${gateway.url}/readiness`)).status).toBe(503);
});
