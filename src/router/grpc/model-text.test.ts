import { expect, test } from "bun:test";
import { type FleetSetup, setUpFleet } from "../../../test/support/fleet.ts";
import { writeTinyModel } from "../../../test/support/tiny-model.ts";
import { PrefixCache } from "../../tokenizer/prefix-cache.ts";
import { TokenizerRegistry, type TokenizerSource } from "../../tokenizer/tokenizer-registry.ts";
import { GatewayError } from "../../errors/errors.ts";
import { nextTurn } from "../../util/next-turn.ts";
import { ModelTexts, type ModelTextSettings } from "./model-text.ts";

const { path } = await writeTinyModel();

interface Setup extends FleetSetup {
  readonly tokenizers: TokenizerRegistry;
  readonly texts: ModelTexts;
  /** Workers that were asked for their tokenizer. */
  readonly fetched: string[];
}

function setUp(fetch: () => Promise<TokenizerSource>, settings: Partial<ModelTextSettings> = {}): Setup {
  const fleet = setUpFleet();
  const { registry: workers, clock } = fleet;
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const tokenizers = new TokenizerRegistry();
  const fetched: string[] = [];
  const texts = new ModelTexts({
    tokenizers,
    workers,
    clock,
    logger: silent,
    fetchTokenizer: (worker) => {
      fetched.push(worker.url);
      return fetch();
    },
    settings: {
      tokenizerPath: undefined,
      chatTemplate: undefined,
      toolCallParser: undefined,
      reasoningParser: undefined,
      cacheBytes: 0,
      ...settings,
    },
    followsCache: ({ spec }) => spec.kvEvents !== false && spec.kvEvents !== undefined,
  });
  return { ...fleet, tokenizers, texts, fetched };
}

const tiny = (): Promise<TokenizerSource> => Promise.resolve({ path });
const broken = (): Promise<TokenizerSource> => Promise.reject(new Error("it has none"));
const errorOf = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work();
  } catch (error) {
    return error;
  }
};

test("a model's tokenizer is that of a worker that sends one, asked once, and then there at once", async () => {
  using setup = disposable(setUp(tiny));
  setup.add("grpc://one:1", { modelId: "qwen3" });
  const [one, two] = await Promise.all([setup.texts.of("qwen3"), setup.texts.of("qwen3")]);
  expect([one === two, setup.fetched]).toEqual([true, ["grpc://one:1"]]);
  expect(setup.texts.of("qwen3")).toBe(one);
  expect([one.toolCallParser, one.reasoningParser, one.encoder === one.tokenizer]).toEqual(["qwen", "qwen3", true]);
});

test("the path of the configuration comes before the workers, and a worker's label before that", async () => {
  using setup = disposable(setUp(broken, { tokenizerPath: path }));
  setup.add("grpc://one:1", { modelId: "m" });
  expect(await setup.texts.of("m")).toBeDefined();
  expect(setup.fetched).toEqual([]);
  using labelled = disposable(setUp(broken, { tokenizerPath: "/nowhere" }));
  labelled.add("grpc://one:1", { modelId: "m", labels: { tokenizer_path: path } });
  expect(await labelled.texts.of("m")).toBeDefined();
});

test("parsers that are named come before those of the model's name, and none may be wanted", async () => {
  using setup = disposable(setUp(tiny, { toolCallParser: "none", reasoningParser: "deepseek_r1", cacheBytes: 1024 }));
  setup.add("grpc://one:1", { modelId: "qwen3" });
  const text = await setup.texts.of("qwen3");
  expect([text.toolCallParser, text.reasoningParser]).toEqual([undefined, "deepseek_r1"]);
  expect(text.encoder).toBeInstanceOf(PrefixCache);
});

test("each worker is asked once where none has a tokenizer, and all again after five seconds", async () => {
  using setup = disposable(setUp(broken));
  // Their becoming ready asks for it ahead of requests.
  setup.add("grpc://one:1", { modelId: "m" }, false);
  setup.add("grpc://two:1", { modelId: "m" }, false);
  for (const { id } of setup.registry.all()) setup.registry.update(id, { status: "ready" });
  const first = await errorOf(() => setup.texts.of("m"));
  expect(first).toMatchObject({ code: "tokenizer_unavailable", details: { retryAfterSecs: 5 } });
  const asked = setup.fetched.length;
  expect(await errorOf(() => setup.texts.of("m"))).toBe(first);
  expect(setup.fetched.length).toBe(asked);
  setup.clock.advance(5000);
  await errorOf(() => setup.texts.of("m"));
  expect(setup.fetched.length).toBeGreaterThan(asked);
});

test("a model without workers has no tokenizer", async () => {
  using setup = disposable(setUp(tiny));
  expect(await errorOf(() => setup.texts.of("m"))).toMatchObject({ code: "tokenizer_unavailable" });
});

function disposable(setup: Setup): Setup & Disposable {
  return {
    ...setup,
    [Symbol.dispose]: () => {
      setup.texts[Symbol.dispose]();
      setup.tokenizers[Symbol.dispose]();
    },
  };
}

test("the tokenizer of HTTP workers with KV events is loaded ahead where its folder is known, and nobody waits for it", async () => {
  const kvEvents = { endpoint: "tcp://one:5557", replayEndpoint: undefined, topic: "", ranks: 1 };
  using setup = disposable(setUp(tiny));
  setup.add("http://one:1", { modelId: "unknown", kvEvents });
  setup.add("http://two:1", { modelId: "other", labels: { tokenizer_path: path } });
  expect([setup.texts.ifLoaded("unknown"), setup.tokenizers.list(), setup.fetched]).toEqual([undefined, [], []]);
  setup.add("http://three:1", { modelId: "m", kvEvents, labels: { tokenizer_path: path } });
  await nextTurn();
  expect(setup.tokenizers.list().map(({ name }) => name)).toEqual(["m"]);
  await setup.tokenizers.whenLoaded("m");
  expect(setup.texts.ifLoaded("m")?.tokenizer).toBe(setup.tokenizers.get("m") ?? neverLoaded());
});

function neverLoaded(): never {
  throw new Error("it was not loaded");
}

test("another template or parser is in force for the next text; the tokenizer stays, and what was given out before", async () => {
  const settings = { chatTemplate: "first", toolCallParser: undefined, reasoningParser: undefined, cacheBytes: 0 };
  using setup = disposable(setUp(tiny, settings));
  setup.add("grpc://one:1", { modelId: "qwen3" });
  const before = await setup.texts.of("qwen3");
  setup.texts.replace(settings);
  expect(setup.texts.of("qwen3")).toBe(before);
  setup.texts.replace({ ...settings, chatTemplate: "second", toolCallParser: "none" });
  const after = await setup.texts.of("qwen3");
  const templates = [before, after].map(({ chatTemplates }) => chatTemplates.sourceOf("default"));
  expect(templates).toEqual(["first", "second"]);
  expect([after.tokenizer === before.tokenizer, before.toolCallParser, after.toolCallParser]).toEqual([
    true,
    "qwen",
    undefined,
  ]);
  setup.texts.replace({ ...settings, chatTemplate: undefined });
  const own = await setup.texts.of("qwen3");
  expect(own.chatTemplates).toBe(own.tokenizer.chatTemplates);
});

test("a template that was given with the tokenizer comes before the configured one", async () => {
  using setup = disposable(setUp(tiny, { chatTemplate: "configured" }));
  setup.tokenizers.add("m", { path, chatTemplate: "given" });
  await setup.tokenizers.whenLoaded("m");
  const { chatTemplates } = await setup.texts.of("m");
  expect(chatTemplates.sourceOf("default")).toBe("given");
});

test("of names that no worker lists the first ones are looked for, so that made-up ones do not fill the memory", async () => {
  using setup = disposable(setUp(broken));
  setup.add("grpc://one:1", { modelId: "*" });
  const codes: unknown[] = [];
  for (let index = 0; index < 200; index += 1) codes.push(await errorOf(() => setup.texts.of(`made-up-${index}`)));
  expect(setup.fetched).toHaveLength(64);
  expect(codes.every((error) => error instanceof GatewayError && error.code === "tokenizer_unavailable")).toBe(true);
  expect(String(codes.at(-1))).toContain("no worker lists");
  setup.add("grpc://two:1", { modelId: "listed" });
  await errorOf(() => setup.texts.of("listed"));
  expect(setup.fetched).toContain("grpc://two:1");
});
