import { expect, test } from "bun:test";
import { join } from "node:path";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { DEFAULT_SPEC } from "../../src/worker/worker-spec.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const examples = join(import.meta.dir, "../../examples");

test("the seed's YAML in IGW mode: each model has its own workers and its own policy", async () => {
  const { config } = loadConfig({ file: join(examples, "seed.yaml"), env: {}, flags: NO_FLAGS });
  await using llamaOne = await startEngine({ model: "llama-3" });
  await using llamaTwo = await startEngine({ model: "llama-3" });
  await using qwen = await startEngine({ model: "qwen-instruct" });
  await using gateway = await startGateway({
    workers: [llamaOne.url, llamaTwo.url, qwen.url],
    config: { defaultPolicy: config.defaultPolicy, modelPolicies: config.modelPolicies, enableIgw: true },
  });
  const policies = (await (await fetch(`${gateway.url}/policies`)).json()) as { models: object[] };
  expect(policies.models).toMatchObject([
    { model: "llama-3", policy: "cache_aware", source: "pattern", workers: 2 },
    { model: "qwen-instruct", policy: "shortest_queue", source: "pattern", workers: 1 },
  ]);
  for (const model of ["llama-3", "qwen-instruct"]) {
    const line = gateway.nextLine();
    expect((await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model })).status).toBe(200);
    expect((await line)["policy"]).toBe(model === "llama-3" ? "cache_aware" : "shortest_queue");
  }
  expect(qwen.requests.length).toBe(1);
  const missing = await post(`${gateway.url}/v1/chat/completions`, { messages: HELLO.messages });
  expect([missing.status, ((await missing.json()) as { error: { code: string } }).error.code]).toEqual([
    400,
    "missing_model",
  ]);
});

test("in single-router mode a request without a model goes to the worker there is", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  const response = await post(`${gateway.url}/v1/chat/completions`, { messages: HELLO.messages });
  expect(response.status).toBe(200);
  expect(engine.requests[0]?.body).not.toContain("model");
});

test("two models take turns of their own", async () => {
  await using a1 = await startEngine({ model: "a" });
  await using a2 = await startEngine({ model: "a" });
  await using b1 = await startEngine({ model: "b" });
  await using b2 = await startEngine({ model: "b" });
  await using gateway = await startGateway({ workers: [a1.url, a2.url, b1.url, b2.url] });
  for (const model of ["a", "b", "a", "b", "a", "b", "a", "b"])
    await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model });
  expect([a1, a2, b1, b2].map((engine) => engine.requests.length)).toEqual([2, 2, 2, 2]);
});

test("a hint comes before the pattern, and the policy goes with the model's last worker", async () => {
  await using engine = await startEngine({ model: "llama-3" });
  await using gateway = await startGateway({
    config: { modelPolicies: { patterns: [{ match: "llama-*", policy: "random", config: {} }] } },
  });
  const { routerManager, policyRegistry, healthChecker } = gateway.context;
  const { worker } = routerManager.addWorker({ ...DEFAULT_SPEC, url: engine.url, policyHint: "shortest_queue" });
  await healthChecker.waitUntilSettled(worker.id, new AbortController().signal);
  expect(policyRegistry.getPolicy("llama-3")?.name).toBe("shortest_queue");
  await routerManager.removeWorker(worker).gone;
  expect(policyRegistry.getPolicy("llama-3")).toBeUndefined();
});

test("a model whose workers are all down is 503 with Retry-After, one that nobody serves is 404", async () => {
  const engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { healthFailureThreshold: 1, healthCheckIntervalSecs: 0.05 },
  });
  await engine.stop();
  const [worker] = gateway.context.workerRegistry.all();
  while (gateway.context.workerRegistry.get(worker?.id ?? "")?.status === "ready") await Bun.sleep(5);
  const down = await post(`${gateway.url}/v1/chat/completions`, HELLO);
  expect([down.status, Number(down.headers.get("retry-after"))]).toEqual([503, 1]);
  expect((await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model: "other" })).status).toBe(404);
});

test("model ids with slashes are found, encoded or not; Anthropic's clients get its shape", async () => {
  await using engine = await startEngine({ model: "meta/llama-3" });
  await using gateway = await startGateway({ workers: [engine.url] });
  for (const path of ["meta/llama-3", "meta%2Fllama-3"]) {
    const card = (await (await fetch(`${gateway.url}/v1/models/${path}`)).json()) as Record<string, unknown>;
    expect([card["id"], card["object"], card["owned_by"]]).toEqual(["meta/llama-3", "model", "vllm"]);
  }
  expect((await fetch(`${gateway.url}/v1/models/meta`)).status).toBe(404);
  const list = await fetch(`${gateway.url}/v1/models`, { headers: { "anthropic-version": "2023-06-01" } });
  expect(((await list.json()) as { data: { type: string }[] }).data[0]?.type).toBe("model");
});

test("a custom policy from a TypeScript file", async () => {
  await using one = await startEngine();
  await using two = await startEngine();
  await using gateway = await startGateway({
    workers: [one.url, two.url],
    config: { policyModule: join(examples, "custom-policy.ts"), defaultPolicy: "long_first" },
  });
  const long = { ...HELLO, messages: [{ role: "user", content: "word ".repeat(1000) }] };
  for (const body of [long, HELLO, long, HELLO]) await post(`${gateway.url}/v1/chat/completions`, body);
  const sizes = [one, two].map((engine) => engine.requests.map(({ body }) => body.length > 1000));
  expect(sizes).toEqual([
    [true, true],
    [false, false],
  ]);
});
