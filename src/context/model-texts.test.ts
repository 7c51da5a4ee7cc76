import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tokenizerChunks } from "../../test/engines/grpc/tokenizer-zip.ts";
import { type FleetSetup, setUpFleet } from "../../test/support/fleet.ts";
import { PlayedGrpc } from "../../test/support/played-grpc.ts";
import { PlayedTransport } from "../../test/support/played-transport.ts";
import { settled } from "../../test/support/settled.ts";
import { TINY_MODEL, writeTinyModel } from "../../test/support/tiny-model.ts";
import { eventually } from "../../test/faults/observe.ts";
import { failureOf } from "../../test/support/failure-of.ts";
import { VLLM } from "../engine/vllm/methods.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import { Secret } from "../util/secret.ts";
import { checkModelTexts, createModelTexts } from "./model-texts.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const { path } = await writeTinyModel();
const chunks = await Array.fromAsync(tokenizerChunks(path));

interface Setup extends FleetSetup, Disposable, ReturnType<typeof createModelTexts> {
  readonly grpc: PlayedGrpc;
  readonly tokenizers: TokenizerRegistry;
}

/** Texts over workers that answer a question for their tokenizer with these messages. */
function setUp(options: Partial<Config> = {}, answer: readonly (Uint8Array | Error)[] = chunks): Setup {
  const fleet = setUpFleet();
  const stack = new DisposableStack();
  const grpc = new PlayedGrpc(() => answer);
  const tokenizers = new TokenizerRegistry();
  const made = createModelTexts(
    {
      ...fleet,
      config: { ...defaults, ...options },
      transport: new PlayedTransport(() => {
        throw new Error("nothing is asked over HTTP");
      }),
      grpc,
      via: "pointsman-test",
      tokenizers,
      workerRegistry: fleet.registry,
      policyRegistry: new PolicyRegistry({ defaultPolicy: { policy: "round_robin", config: {} } }),
    },
    stack,
  );
  return { ...fleet, ...made, grpc, tokenizers, [Symbol.dispose]: () => stack.dispose() };
}

/** Adds a worker of vLLM over gRPC, which is ready then. */
function addVllm({ add, registry }: Setup, apiKey?: Secret): void {
  const { id, info } = add("grpc://one:1", { modelId: TINY_MODEL, apiKey }, false);
  registry.update(id, { status: "ready", info: { ...info, engine: "vllm" } });
}

test("a gRPC worker is asked for its tokenizer with its own key as soon as it is ready, and the model's text is there", async () => {
  using setup = setUp();
  addVllm(setup, new Secret("hush"));
  await eventually(() => setup.grpc.calls.length > 0, "the worker is asked");
  const [call] = setup.grpc.calls;
  expect([call?.origin, call?.method]).toEqual(["grpc://one:1", VLLM.getTokenizer]);
  expect(JSON.stringify(call?.options)).toContain("Bearer hush");
  expect((await setup.texts.of(TINY_MODEL)).tokenizer.chatTemplates.sourceOf("default")).toBeDefined();
  expect(setup.grpc.calls).toHaveLength(1);
});

test("a worker that cannot give its tokenizer is not asked again at once, and the refusal says why", async () => {
  using setup = setUp({}, [new GatewayError("upstream_unavailable", "it is loading")]);
  addVllm(setup);
  const refusal = await failureOf(Promise.resolve(setup.texts.of(TINY_MODEL)));
  expect(refusal).toMatchObject({ code: "tokenizer_unavailable" });
  expect(String(refusal)).toContain("it is loading");
  expect(await failureOf(Promise.resolve(setup.texts.of(TINY_MODEL)))).toBe(refusal);
  expect(setup.grpc.calls).toHaveLength(1);
});

test("the path of the configuration spares the workers the question, and its template is the default one", async () => {
  const template = join(mkdtempSync(join(tmpdir(), "pointsman-template-")), "own.jinja");
  writeFileSync(template, "{{ messages[0].content }}");
  using setup = setUp({ tokenizerPath: path, chatTemplate: template });
  addVllm(setup);
  const { chatTemplates } = await setup.texts.of(TINY_MODEL);
  expect(chatTemplates.sourceOf("default")).toBe("{{ messages[0].content }}");
  expect(setup.grpc.calls).toEqual([]);
});

test("the tokenizer of an HTTP worker's model is loaded ahead only where its KV events are followed", async () => {
  const kvEvents = { endpoint: "tcp://{host}:5557", replayEndpoint: undefined, topic: "", ranks: 1 };
  const cases = [
    [undefined, undefined, false],
    [undefined, kvEvents, true],
    ["tcp://{host}:5557", undefined, true],
    ["tcp://{host}:5557", false, false],
  ] as const;
  for (const [kvEventsEndpoint, ofWorker, isAhead] of cases) {
    using setup = setUp({ tokenizerPath: path, kvEventsEndpoint });
    setup.add("http://one:1", { modelId: TINY_MODEL, kvEvents: ofWorker });
    await settled();
    expect([kvEventsEndpoint, ofWorker, setup.tokenizers.info(TINY_MODEL) !== undefined]).toEqual([
      kvEventsEndpoint,
      ofWorker,
      isAhead,
    ]);
  }
});

test("after the end a worker that becomes ready is asked for nothing", async () => {
  const setup = setUp();
  setup[Symbol.dispose]();
  addVllm(setup);
  await settled();
  expect(setup.grpc.calls).toEqual([]);
});

test("a template that is none, and a parser that there is not, are refused before anything is made of them", () => {
  const template = join(mkdtempSync(join(tmpdir(), "pointsman-template-")), "broken.jinja");
  const refused = (options: Partial<Config>): void => checkModelTexts({ ...defaults, ...options });
  writeFileSync(template, "{% for message in messages %}");
  expect(() => refused({ chatTemplate: template })).toThrow(GatewayError);
  expect(() => refused({ chatTemplate: "none" })).toThrow("the file none cannot be read");
  expect(() => refused({ toolCallParser: "nobody" })).toThrow('there is no parser "nobody"');
  refused({});
});
