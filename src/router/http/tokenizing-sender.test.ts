import { expect, test } from "bun:test";
import { PlayedTransport } from "../../../test/support/played-transport.ts";
import { PlayedResponse, type RequestOptions, setUpRouting } from "../../../test/support/routing.ts";
import { writeTinyModel } from "../../../test/support/tiny-model.ts";
import { loadTokenizer } from "../../tokenizer/load/load-tokenizer.ts";
import type { ModelText } from "../grpc/model-text.ts";
import { createVia } from "../../transport/via.ts";
import { HttpForwarder } from "./http-forwarder.ts";
import { HttpSender } from "./http-sender.ts";
import { PromptTokens } from "./prompt-tokens.ts";
import { TokenizingSender } from "./tokenizing-sender.ts";

const TIMEOUTS = { connectMs: 1, firstByteMs: 2, idleMs: 3, totalMs: 60_000 };
const KV_EVENTS = { endpoint: "tcp://one:5557", replayEndpoint: undefined, topic: "", ranks: 1 };

const tokenizer = await loadTokenizer((await writeTinyModel()).path, {});
const { chatTemplates } = tokenizer;
const text: ModelText = {
  tokenizer,
  chatTemplates,
  encoder: tokenizer,
  toolCallParser: undefined,
  reasoningParser: undefined,
};

interface Options {
  readonly hasEvents?: boolean;
  readonly takesNews?: boolean;
  readonly isLoaded?: boolean;
}

function setUp({ hasEvents = true, takesNews = true, isLoaded = true }: Options = {}) {
  const setup = setUpRouting();
  const lines: unknown[] = [];
  const transport = new PlayedTransport(() => new PlayedResponse([]));
  const inner = new HttpSender(
    new HttpForwarder({ transport, timeouts: TIMEOUTS, forwardHeaders: [], via: createVia() }),
  );
  const tokens = new PromptTokens({
    texts: { ifLoaded: () => (isLoaded ? text : undefined) },
    policies: { takesCacheNews: () => takesNews },
    metrics: setup.metrics,
    logger: {
      debug: () => undefined,
      info: () => undefined,
      error: () => undefined,
      warn: (line) => void lines.push(line),
    },
    clock: setup.clock,
    followsAll: false,
  });
  const sender = new TokenizingSender(inner, tokens);
  setup.add("http://one:1", { modelId: "m", ...(hasEvents ? { kvEvents: KV_EVENTS } : {}) });
  const prepare = (options: RequestOptions = {}) => {
    const request = setup.request(options);
    return { request, made: sender.prepare(request, setup.registry.getWorkersForModel("m")) };
  };
  const page = (): string => setup.metrics.expose();
  return { setup, prepare, page, lines };
}

const CHAT = { model: "m", messages: [{ role: "user", content: "the man in the stop" }] };

test("a prompt becomes tokens for the policy, and the worker still gets the client's bytes", async () => {
  const { prepare, page } = setUp();
  const { request, made } = prepare({ body: CHAT });
  const prepared = await made;
  const rendered = "<|im_start|>user\nthe man in the stop<|im_end|>\n<|im_start|>assistant\n";
  const ids = await tokenizer.encode(rendered, { addSpecialTokens: false });
  expect([...new Uint32Array(prepared.features.promptBytes().slice().buffer)]).toEqual([...ids]);
  expect([prepared.features.isTokenized, prepared.features.promptTokens]).toEqual([true, ids.length]);
  expect(prepared.body).toBe(request.body);
  expect(page()).toContain('pointsman_prompt_tokenizations_total{model="m",outcome="tokens"} 1');
});

test("nothing is made, and no promise, where no worker has events or no policy takes news", () => {
  for (const options of [{ hasEvents: false }, { takesNews: false }]) {
    const { request, made } = setUp(options).prepare({ body: CHAT });
    expect(made).toBe(request);
  }
});

test("the policy gets the text where there is no tokenizer, or the prompt cannot be rendered", async () => {
  const picture = [
    { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] },
  ];
  for (const [options, body, outcome] of [
    [{ isLoaded: false }, CHAT, "no_tokenizer"],
    [{}, { ...CHAT, messages: picture }, "not_rendered"],
    [{}, { ...CHAT, messages: [{ role: "tool", content: "x" }] }, "not_rendered"],
    [{}, { ...CHAT, messages: "none" }, "not_rendered"],
  ] as const) {
    const { prepare, page } = setUp(options);
    const { request, made } = prepare({ body });
    expect((await made).features).toBe(request.features);
    expect(page()).toContain(`pointsman_prompt_tokenizations_total{model="m",outcome="${outcome}"} 1`);
  }
});

test("the policy gets the text once the engine counts other tokens in most requests", async () => {
  const { prepare, lines } = setUp();
  for (let request = 0; request < 9; request += 1) {
    const prepared = await prepare({ body: CHAT }).made;
    const { promptTokens } = prepared.features;
    prepared.record.tokens = { promptTokens: promptTokens + 2, completionTokens: 1, cachedTokens: 0 };
    prepared.record.settle(200);
  }
  const { request, made } = prepare({ body: CHAT });
  expect((await made).features).toBe(request.features);
  expect(lines).toHaveLength(1);
});

test("tokens that another model of a route has counted say nothing of this one's tokenizer", async () => {
  const { prepare, lines } = setUp();
  for (let request = 0; request < 20; request += 1) {
    const { record, features } = await prepare({ body: CHAT }).made;
    record.model = "fallback";
    record.tokens = { promptTokens: features.promptTokens + 2, completionTokens: 1, cachedTokens: 0 };
    record.settle(200);
  }
  expect((await prepare({ body: CHAT }).made).features.isTokenized).toBe(true);
  expect(lines).toEqual([]);
});
