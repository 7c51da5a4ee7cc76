import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startGateway } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";

const FOLDER = join(import.meta.dir, "../../node_modules/@lenml");
const SOURCE = join(FOLDER, "tokenizer-llama2/models");
const CONFIG = { tokenizerFolder: FOLDER };
type Json = Record<string, unknown>;

async function call(url: string, method: string, body?: unknown): Promise<{ status: number; json: Json }> {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as Json };
}

async function untilLoaded(url: string, id: string): Promise<Json> {
  for (;;) {
    const { json } = await call(`${url}/v1/tokenizers/${id}/status`, "GET");
    if (json["status"] !== "processing") return json;
    await Bun.sleep(50);
  }
}

describe("tokenizers by name", () => {
  test("one is added, asked and removed", async () => {
    await using gateway = await startGateway({ config: CONFIG });
    const { url } = gateway;
    const added = await call(`${url}/v1/tokenizers`, "POST", { name: "llama", source: SOURCE });
    expect([added.status, added.json["status"]]).toEqual([202, "pending"]);
    const id = String(added.json["id"]);
    const twice = await call(`${url}/v1/tokenizers`, "POST", { name: "llama", source: SOURCE });
    expect([twice.status, (twice.json["error"] as Json)["param"]]).toEqual([409, "name"]);
    expect(await untilLoaded(url, id)).toMatchObject({ name: "llama", status: "completed", vocab_size: 32_000 });
    const { json } = await call(`${url}/v1/tokenize`, "POST", { model: "llama", prompt: ["Hello world", "a"] });
    expect(json).toMatchObject({ tokens: [[22557, 1526], [264]], count: [2, 1] });
    const text = await call(`${url}/v1/detokenize`, "POST", { model: "llama", tokens: [22557, 1526] });
    expect(text.json).toEqual({ text: "Hello world" });
    const wrong = await call(`${url}/v1/detokenize`, "POST", { model: "llama", tokens: [99_999_999] });
    expect([wrong.status, (wrong.json["error"] as Json)["param"]]).toEqual([400, "tokens"]);
    expect((await call(`${url}/v1/tokenizers`, "GET")).json["tokenizers"]).toHaveLength(1);
    expect((await call(`${url}/v1/tokenizers/llama`, "DELETE")).json["success"]).toBe(true);
    expect((await call(`${url}/v1/tokenizers/${id}`, "GET")).status).toBe(404);
    expect((await call(`${url}/v1/tokenize`, "POST", { model: "llama", prompt: "x" })).status).toBe(404);
  }, 30_000);

  test("what is no tokenizer is told so", async () => {
    await using gateway = await startGateway({ config: CONFIG });
    const { json } = await call(`${gateway.url}/v1/tokenizers`, "POST", { name: "none", source: "nowhere" });
    expect(await untilLoaded(gateway.url, String(json["id"]))).toMatchObject({ status: "failed", vocab_size: null });
    expect((await call(`${gateway.url}/v1/tokenizers`, "POST", { name: "none" })).status).toBe(400);
    // One that failed gives its name back.
    expect((await call(`${gateway.url}/v1/tokenizers`, "POST", { name: "none", source: "nowhere" })).status).toBe(202);
  });

  test("a path outside of the folder is refused, as a source, a template and a worker's label, and without a folder each is", async () => {
    await using gateway = await startGateway({ config: CONFIG });
    await using closed = await startGateway();
    const asked = async (url: string, path: string, body: object): Promise<unknown> => {
      const { status, json } = await call(url + path, "POST", body);
      return [status, (json["error"] as Json)["param"]];
    };
    for (const [path, body, param] of [
      ["/v1/tokenizers", { name: "x", source: "/etc" }, "source"],
      [
        "/v1/tokenizers",
        { name: "x", source: "tokenizer-llama2", chat_template_path: "/etc/hostname" },
        "chat_template_path",
      ],
      ["/workers", { url: "grpc://127.0.0.1:9", labels: { tokenizer_path: "/etc" } }, "labels.tokenizer_path"],
    ] as const) {
      expect(await asked(gateway.url, path, body)).toEqual([400, param]);
      expect((await asked(closed.url, path, body)) as unknown[]).toContain(400);
    }
  });

  test("every thread knows of it", async () => {
    await using program = await startProcess(["--threads", "2", "--tokenizer-folder", FOLDER]);
    const { url } = program;
    const { json } = await call(`${url}/v1/tokenizers`, "POST", { name: "llama", source: SOURCE });
    await untilLoaded(url, String(json["id"]));
    // Whichever thread a connection comes to.
    const counts = await Promise.all(
      Array.from({ length: 24 }, async () => {
        const answer = await fetch(`${url}/v1/tokenize`, {
          method: "POST",
          headers: { "content-type": "application/json", connection: "close" },
          body: JSON.stringify({ model: "llama", prompt: "Hello world" }),
        });
        return ((await answer.json()) as Json)["count"];
      }),
    );
    expect(new Set(counts)).toEqual(new Set([2]));
  }, 30_000);
});
