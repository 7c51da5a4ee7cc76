import { describe, expect, test } from "bun:test";
import { type RequestOptions, type RoutingSetup, setUpRouting } from "../../test/support/routing.ts";
import { clientClosed, GatewayError } from "../errors/errors.ts";
import { jsonReply } from "../transport/downstream.ts";
import type { ModelSnapshot } from "../worker/model-snapshot.ts";
import type { WorkerKind } from "../worker/worker.ts";
import { ModelRouter } from "./model-router.ts";
import type { InferenceRequest, Router } from "./router.ts";
import { Routers } from "./routers.ts";

interface Routed {
  /** Which router got the request, `local` for the gateway's own tokenizer. */
  by: WorkerKind | "local" | undefined;
  request: InferenceRequest | undefined;
  serving: ModelSnapshot | undefined;
}

interface Setup extends RoutingSetup {
  readonly routed: Routed;
  /** Models that workers were asked for. */
  readonly looked: string[];
  readonly lookUps: () => number;
  /** Ends the search for a model. */
  find: () => void;
  route(options?: RequestOptions): Promise<unknown>;
}

function setUp(refused: readonly WorkerKind[] = []): Setup {
  const setup = setUpRouting();
  const { registry } = setup;
  const routed: Routed = { by: undefined, request: undefined, serving: undefined };
  const looked: string[] = [];
  let lookUps = 0;
  const maker = (by: WorkerKind) => (): Router => ({
    speaksTokens: by.startsWith("grpc"),
    refusal: () => (refused.includes(by) ? "not this one" : undefined),
    route: (request, serving) => {
      Object.assign(routed, { by, request, serving });
      return Promise.resolve(jsonReply({}));
    },
  });
  const makers = { http: maker("http"), http_pd: maker("http_pd"), grpc: maker("grpc"), grpc_pd: maker("grpc_pd") };
  const local = {
    answer: (request: InferenceRequest) => {
      Object.assign(routed, { by: "local", request, serving: undefined });
      return Promise.resolve(jsonReply({}));
    },
  };
  const result: Setup = {
    ...setup,
    routed,
    looked,
    lookUps: () => lookUps,
    find: () => undefined,
    route: (options) => router.route(setup.request(options)),
  };
  const router = new ModelRouter({
    workers: {
      models: () => registry.models(),
      getWorkersForModel: (model) => {
        lookUps += 1;
        return registry.getWorkersForModel(model);
      },
    },
    routers: new Routers(makers, local),
    finder: {
      find: (model) => {
        looked.push(model);
        result.find();
        return Promise.resolve();
      },
      wanted: () => undefined,
    },
  });
  return result;
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

describe("the router of a request", () => {
  test("is that of the workers that serve its model, which are looked up once", async () => {
    const { add, route, routed, lookUps } = setUp();
    add("grpc://one:1", { modelId: "m" });
    add("http://two:1", { modelId: "other" });
    await route();
    expect([routed.by, routed.serving?.workers.map(({ url }) => url)]).toEqual(["grpc", ["grpc://one:1"]]);
    expect(lookUps()).toBe(1);
  });

  test("is that of the kind whose workers have least to do, where several serve the model", async () => {
    const { add, route, routed, ledger, lookUps } = setUp();
    const busy = add("http://one:1", { modelId: "m" });
    add("grpc://two:1", { modelId: "m" });
    ledger.charge(busy.slot, 1);
    await route();
    expect([routed.by, lookUps()]).toEqual(["grpc", 1]);
  });

  test("of a pair the busier side counts", async () => {
    const { add, route, routed, ledger } = setUp();
    const regular = add("http://one:1", { modelId: "m" });
    add("http://p:1", { modelId: "m", workerType: "prefill" });
    const decode = add("http://d:1", { modelId: "m", workerType: "decode" });
    ledger.charge(regular.slot, 1);
    for (let count = 0; count < 2; count += 1) ledger.charge(decode.slot, 0);
    await route();
    expect(routed.by).toBe("http");
  });

  test("is one that can serve the route, where another kind has less to do", async () => {
    const { add, route, routed, ledger } = setUp(["grpc"]);
    ledger.charge(add("http://one:1", { modelId: "m" }).slot, 1);
    add("grpc://two:1", { modelId: "m" });
    await route();
    expect(routed.by).toBe("http");
  });

  test("is the first kind's where none can serve the route, so that it says why", async () => {
    const { add, route, routed } = setUp(["http", "grpc"]);
    add("grpc://two:1", { modelId: "m" });
    add("http://one:1", { modelId: "m" });
    await route();
    expect(routed.by).toBe("grpc");
  });
});

describe("the gateway's own tokenizer answers", () => {
  test("routes that have no worker, whoever serves the model", async () => {
    const { add, route, routed } = setUp();
    add("http://one:1", { modelId: "m" });
    await route({ path: "/v1/tokenize" });
    expect(routed.by).toBe("local");
  });

  test("routes of workers where these speak tokens, and HTTP workers answer theirs", async () => {
    const { add, route, routed } = setUp();
    add("grpc://one:1", { modelId: "m" });
    await route({ path: "/tokenize" });
    expect(routed.by).toBe("local");
    add("http://two:1", { modelId: "other" });
    await route({ path: "/tokenize", model: "other" });
    expect(routed.by).toBe("http");
  });
});

describe("a model that nobody is known to serve", () => {
  test("is looked for first, and served where it is found", async () => {
    const setup = setUp();
    setup.find = () => void setup.add("http://one:1", { modelId: "m" });
    await setup.route();
    expect([setup.looked, setup.routed.by, setup.routed.serving?.workers.length]).toEqual([["m"], "http", 1]);
  });

  test("ends with why the client left, where it left meanwhile", async () => {
    const setup = setUp();
    setup.find = () => {
      setup.client.leave(clientClosed());
      throw new GatewayError("internal_error", "nobody waits");
    };
    expect(await errorOf(setup.route())).toMatchObject({ code: "client_closed" });
  });

  test("is not looked for where the client names none", async () => {
    const { route, looked, routed } = setUp();
    await route({ model: undefined });
    expect([looked, routed.by]).toEqual([[], "http"]);
  });
});

test("a request for a spelling of a model goes on under the name that workers know", async () => {
  const { add, route, routed, registry } = setUp();
  const { id, info } = add("http://one:1", { modelId: "m" });
  registry.update(id, { info: { ...info, engine: "sglang" } });
  await route({ model: "m:adapter" });
  expect(routed.request?.model).toBe("m");
});
