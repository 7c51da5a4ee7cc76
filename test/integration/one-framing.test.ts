import { afterAll, expect, spyOn, test } from "bun:test";
import { SseFramer } from "../../src/transport/sse-framer.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { startEngine } from "../support/engine.ts";
import { post, startGateway } from "../support/gateway.ts";
import { startGrpcPd } from "../support/grpc-pd.ts";
import { CHAT, QUESTION } from "../support/pd-client.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";
import { TINY_MODEL, writeTinyModel } from "../support/tiny-model.ts";

/** Framers that were given bytes since the last look. */
const fed = new Set<SseFramer>();
const { push, passes } = SseFramer.prototype;
const spies = [
  spyOn(SseFramer.prototype, "push").mockImplementation(function (this: SseFramer, chunk) {
    fed.add(this);
    return push.call(this, chunk);
  }),
  spyOn(SseFramer.prototype, "passes").mockImplementation(function (this: SseFramer, bytes, from, to) {
    fed.add(this);
    return passes.call(this, bytes, from, to);
  }),
];
afterAll(() => spies.forEach((spy) => spy.mockRestore()));

/** How often an event of the stream is cut out of it. */
async function framings(gateway: { readonly url: string }, body: object, path = CHAT): Promise<number> {
  fed.clear();
  const response = await post(`${gateway.url}${path}`, { ...body, stream: true });
  const text = await response.text();
  expect([response.status, text.includes("data: ")]).toEqual([200, true]);
  return fed.size;
}

const TINY = { model: TINY_MODEL, messages: QUESTION.messages, max_tokens: 20 };
const PARSED = { parseOutput: ["*"], reasoningParser: "qwen3" } as const;

test("over HTTP an event is framed once", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  await using gateway = await startGateway({ workers: [engine.url] });
  expect(await framings(gateway, QUESTION)).toBe(1);
});

test("over HTTP with parse_output an event is framed once", async () => {
  await using engine = await startEngine({ model: "sim-1", says: "<think>Where?</think>There." });
  await using gateway = await startGateway({ workers: [engine.url], config: PARSED });
  expect(await framings(gateway, QUESTION)).toBe(1);
});

for (const dialect of ["sglang", "nixl"] as const) {
  test(`over a pair of ${dialect} an event is framed once, with parse_output too`, async () => {
    await using fleet = await startPdFleet({ dialect });
    for (const config of [{}, PARSED]) {
      await using gateway = await startPdGateway([[dialect, fleet]], { config });
      expect(await framings(gateway, QUESTION)).toBe(1);
    }
  });
}

test("over a pair of SGLang an event that is given prefill's log-probabilities is framed once", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  await using gateway = await startPdGateway([["sglang", fleet]]);
  const body = { text: "Which train goes to Crewe?", return_logprob: true, logprob_start_len: 0 };
  expect(await framings(gateway, body, "/generate")).toBe(1);
});

test("over gRPC the gateway writes the events itself, and frames none", async () => {
  const { tokenizer, path: tokenizerPath } = await writeTinyModel();
  await using engine = await startGrpcEngine({ kind: "vllm", model: TINY_MODEL, tokenizer, tokenizerPath });
  await using gateway = await startGateway({ workers: [engine.url] });
  expect(await framings(gateway, TINY)).toBe(0);
  // To tell of an error within it the gateway has to know how far this stream is.
  expect(await framings(gateway, { model: TINY_MODEL, input: "Go on.", max_output_tokens: 20 }, "/v1/responses")).toBe(
    1,
  );
});

test("over a pair that speaks gRPC the gateway frames none", async () => {
  for (const kind of ["sglang", "vllm"] as const) {
    await using setup = await startGrpcPd({ kind, count: 1 });
    expect(await framings(setup.gateway, TINY)).toBe(0);
  }
});
