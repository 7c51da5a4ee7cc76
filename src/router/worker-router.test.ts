import { describe, expect, test } from "bun:test";
import {
  FIRST,
  PlayedResponse,
  type RequestOptions,
  type RoutingSetup,
  setUpRouting,
} from "../../test/support/routing.ts";
import { GatewayError } from "../errors/errors.ts";
import { isReplyStream, type Reply } from "../transport/downstream.ts";
import { PlayedClient } from "../../test/support/routing.ts";
import type { WorkerResponse } from "./response-stage.ts";
import type { InferenceRequest } from "./router.ts";
import { PAIR, REGULAR, type Sender } from "./sender.ts";
import { StreamWatch } from "./stream-watch.ts";
import type { Try } from "./try.ts";
import { WorkerRouter } from "./worker-router.ts";

const ANSWER = '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}';

/** Sends to no worker: each try is answered by the next of these. */
class PlayedSender implements Sender {
  readonly mode = "http";
  readonly speaksTokens = false;
  readonly fits = (): boolean => true;
  readonly prefillsAlone = (): boolean => true;
  readonly tries: Try[] = [];
  readonly sent: InferenceRequest[] = [];
  roles = REGULAR;
  why: string | undefined;
  readonly #answers: (WorkerResponse | Error)[];

  constructor(...answers: (WorkerResponse | Error)[]) {
    this.#answers = answers;
  }

  refusal(): string | undefined {
    return this.why;
  }

  rolesFor(): Sender["rolesFor"] extends (endpoint: never) => infer Roles ? Roles : never {
    return this.roles;
  }

  prepare(request: InferenceRequest): InferenceRequest {
    return request;
  }

  send(request: InferenceRequest, tried: Try): Promise<WorkerResponse> {
    this.tries.push(tried);
    this.sent.push(request);
    const answer = this.#answers.shift();
    return answer && !(answer instanceof Error) ? Promise.resolve(answer) : Promise.reject(answer ?? new Error("none"));
  }
}

interface Setup extends RoutingSetup {
  /** How often the registry was asked for the workers of a model. */
  readonly lookUps: () => number;
  route(sender: Sender, options?: RequestOptions): Promise<{ readonly reply: Reply; readonly asked: InferenceRequest }>;
}

function setUp(continues = false): Setup {
  const setup = setUpRouting();
  let lookUps = 0;
  const { registry, clock, deps } = setup;
  const workers = {
    getWorkersForModel: (model: string | undefined) => {
      lookUps += 1;
      return registry.getWorkersForModel(model);
    },
    lists: (model: string) => registry.lists(model),
  };
  const policies = { getPolicy: () => FIRST, getDefaultPolicy: () => FIRST };
  const streams = { watch: new StreamWatch(clock), clock, keepAliveMs: 5000, clientStallMs: 5000 };
  return {
    ...setup,
    lookUps: () => lookUps,
    async route(sender, options) {
      const router = new WorkerRouter(
        { ...deps, workers, policies, streams, continuesStreams: () => continues, skipsPrefill: true },
        sender,
      );
      const asked = setup.request(options);
      return { reply: await router.route(asked, registry.getWorkersForModel(asked.model)), asked };
    },
  };
}

const whole = (): PlayedResponse => new PlayedResponse([ANSWER], { type: "application/json" });
const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

describe("a request", () => {
  test("goes to a worker and its answer to the client, with what it counted in the record", async () => {
    const { add, route, ledger, lookUps } = setUp();
    add("http://one:1", { modelId: "m" });
    const { reply, asked } = await route(new PlayedSender(whole()));
    expect([reply.status, Buffer.from(reply.body as Uint8Array).toString()]).toEqual([200, ANSWER]);
    expect(asked.record).toMatchObject({
      workerUrl: "http://one:1",
      policy: "first",
      isModelListed: true,
      attempts: 1,
    });
    // Who serves it was found out by whoever picked the router.
    expect([ledger.totals().inFlight, lookUps()]).toEqual([0, 0]);
  });

  test("without a model gets that of its worker", async () => {
    const { add, route } = setUp();
    add("http://one:1", { modelId: "m" });
    const { asked } = await route(new PlayedSender(whole()), { model: undefined });
    expect(asked.record).toMatchObject({ model: "m", isModelListed: true });
  });

  test("that needs two workers names both, and both policies", async () => {
    const { add, route } = setUp();
    add("http://p:1", { modelId: "m", workerType: "prefill" });
    add("http://d:1", { modelId: "m", workerType: "decode" });
    const sender = new PlayedSender(whole());
    sender.roles = PAIR;
    const { asked } = await route(sender);
    expect(asked.record).toMatchObject({
      workerUrl: "http://d:1",
      prefillWorkerUrl: "http://p:1",
      policy: "first+first",
    });
  });

  test("is sent once more where its first worker failed", async () => {
    const { add, route } = setUp();
    add("http://one:1", { modelId: "m" });
    add("http://two:1", { modelId: "m" });
    const lost = new GatewayError("upstream_connect_failed", "nobody listens");
    const { asked } = await route(new PlayedSender(lost, whole()));
    expect(asked.record).toMatchObject({ workerUrl: "http://two:1", attempts: 2 });
  });
});

describe("a request that no worker gets", () => {
  test("names a model that nobody has", async () => {
    const { route } = setUp();
    expect(await errorOf(route(new PlayedSender(), { model: "x\n" }))).toMatchObject({
      code: "model_not_found",
      message: 'the model "x\\n" does not exist here',
    });
    expect(await errorOf(route(new PlayedSender(), { model: undefined }))).toMatchObject({
      code: "no_available_workers",
    });
  });

  test("lacks one of the two workers, and is told which", async () => {
    const { add, route } = setUp();
    add("http://d:1", { modelId: "m", workerType: "decode" });
    const sender = new PlayedSender();
    sender.roles = PAIR;
    expect(await errorOf(route(sender))).toMatchObject({ message: "the model has no prefill worker" });
  });

  test("is for a route that these workers do not have", async () => {
    const { add, route } = setUp();
    add("http://one:1", { modelId: "m" });
    const sender = new PlayedSender();
    sender.why = "there is no such route";
    expect(await errorOf(route(sender))).toMatchObject({ code: "not_implemented", message: "there is no such route" });
    expect(sender.tries).toEqual([]);
  });
});

test("another worker goes on with a stream whose worker is lost, and is looked up anew", async () => {
  const { add, route, lookUps, ledger } = setUp(true);
  add("http://one:1", { modelId: "m" });
  add("http://two:1", { modelId: "m" });
  const event = (content: string, finish: string | null = null): string =>
    `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
  const sender = new PlayedSender(
    new PlayedResponse([event("Hello"), new GatewayError("upstream_reset", "gone")]),
    new PlayedResponse([event(" there"), event("", "stop"), "data: [DONE]\n\n"]),
  );
  const body = { messages: [{ role: "user", content: "Hi" }] };
  const { reply, asked } = await route(sender, { isStream: true, body });
  const client = new PlayedClient();
  if (isReplyStream(reply.body)) await reply.body.run(client);
  expect(client.text).toContain('"content":"Hello"');
  expect(client.text).toContain('"content":" there"');
  expect(client.text).toEndWith("data: [DONE]\n\n");
  expect(sender.sent[1]?.body.value("continue_final_message")).toBe(true);
  expect(sender.tries.map(({ answer }) => answer.worker.url)).toEqual(["http://one:1", "http://two:1"]);
  expect(asked.record).toMatchObject({ status: 200, errorCode: undefined });
  expect([lookUps(), ledger.totals().inFlight]).toEqual([1, 0]);
});
