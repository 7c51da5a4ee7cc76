import { expect, test } from "bun:test";
import { Glob } from "bun";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const examples = join(import.meta.dir, "../../examples");
const scratch = mkdtempSync(join(tmpdir(), "pointsman-examples-"));

/** An example with the addresses of engines that run here. */
function loadExample(name: string, urls: Readonly<Record<string, string>>): ReturnType<typeof loadConfig>["config"] {
  let text = readFileSync(join(examples, name), "utf8");
  for (const [written, url] of Object.entries(urls)) text = text.replace(written, url);
  const path = join(scratch, name);
  writeFileSync(path, text);
  return loadConfig({ file: path, env: {}, flags: NO_FLAGS }).config;
}

test("every YAML example is a configuration", async () => {
  const names = await Array.fromAsync(new Glob("*.yaml").scan(examples));
  expect(names.length).toBeGreaterThanOrEqual(3);
  for (const name of names)
    expect(loadConfig({ file: join(examples, name), env: {}, flags: NO_FLAGS }).notices.length).toBeGreaterThanOrEqual(
      0,
    );
});

test("single-model.yaml: one model on two engines, and a conversation stays where its cache is", async () => {
  await using one = await startEngine();
  await using two = await startEngine();
  const config = loadExample("single-model.yaml", {
    "http://127.0.0.1:8101": one.url,
    "http://127.0.0.1:8102": two.url,
  });
  await using gateway = await startGateway({ config: { ...config, host: "127.0.0.1", port: 0, prometheusPort: 0 } });
  const messages = [{ role: "user", content: `Once upon a time ${"there was a train ".repeat(60)}` }];
  for (let turn = 0; turn < 6; turn += 1) {
    await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, messages });
    messages.push({ role: "user", content: `and then ${turn}?` });
  }
  expect([one.requests.length, two.requests.length].sort((a, b) => a - b)).toEqual([0, 6]);
});

test("two-models-igw.yaml: each model has its workers, its policy and its options", async () => {
  await using a = await startEngine({ model: "llama-3" });
  await using b = await startEngine({ model: "llama-3" });
  await using c = await startEngine({ model: "qwen-3" });
  const config = loadExample("two-models-igw.yaml", {
    "http://127.0.0.1:8101": a.url,
    "http://127.0.0.1:8102": b.url,
    "http://127.0.0.1:8103": c.url,
  });
  await using gateway = await startGateway({ config: { ...config, host: "127.0.0.1", port: 0, prometheusPort: 0 } });
  expect(await (await fetch(`${gateway.url}/policies`)).json()).toMatchObject({
    patterns: [{ match: "llama-*", policy: "cache_aware", config: { cacheThreshold: 0.5, balanceAbsThreshold: 16 } }],
    models: [
      { model: "llama-3", policy: "cache_aware", source: "pattern", workers: 2 },
      { model: "qwen-3", policy: "round_robin", source: "hint", workers: 1 },
    ],
  });
  for (const model of ["llama-3", "qwen-3"]) {
    expect((await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model })).status).toBe(200);
  }
  expect([a.requests.length + b.requests.length, c.requests.length]).toEqual([1, 1]);
});

test("model-routes.yaml: clients ask for names, and other models stand in for one that is down", async () => {
  await using large = await startEngine({ model: "llama-70b" });
  await using next = await startEngine({ model: "llama-70b-next" });
  await using small = await startEngine({ model: "llama-8b" });
  const config = loadExample("model-routes.yaml", {
    "http://127.0.0.1:8101": large.url,
    "http://127.0.0.1:8102": next.url,
    "http://127.0.0.1:8103": small.url,
  });
  await using gateway = await startGateway({ config: { ...config, host: "127.0.0.1", port: 0, prometheusPort: 0 } });
  const servedBy = async (model: string, headers: Record<string, string> = {}): Promise<string | null> =>
    (await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model }, headers)).headers.get("x-pointsman-model");
  expect(await servedBy("gpt-3.5-turbo")).toBe("llama-8b");
  expect(await servedBy("gpt-4", { "x-canary": "always" })).toBe("llama-70b-next");
  await Promise.all([large.refuse(), next.refuse()]);
  expect(await servedBy("gpt-4")).toBe("llama-8b");
  large.accept();
  await small.refuse();
  expect(await servedBy("llama-8b")).toBe("llama-70b");
});
