import { expect, test } from "bun:test";
import { Secret } from "../../util/secret.ts";
import { numbersOf, publicPart } from "./worker-page.ts";

test("what describes the model and its size passes, at any depth", () => {
  const page = {
    model_path: "org/model",
    tp_size: 8,
    enable_lora: null,
    architectures: ["LlamaForCausalLM"],
    internal_states: [{ last_gen_throughput: 12.5, memory_usage: { weight: 15.1 } }],
    preferred_sampling_params: { temperature: 0.6 },
  };
  expect(publicPart(page)).toEqual(page);
});

test("what is not on the list stays, whatever it is called and wherever it stands", () => {
  const secret = "canary";
  const page = {
    model_path: "org/model",
    api_key: secret,
    apiKey: secret,
    admin_api_key: secret,
    authorization: new Secret(secret).bearer(),
    credentials: { user: secret },
    env: { HF_TOKEN: secret },
    host: secret,
    dist_init_addr: secret,
    internal_states: [{ api_key: secret, host: secret, load: 3, server_args: { ssl_keyfile_password: secret } }],
    memory_usage: { nested: { api_key: secret } },
  };
  const text = JSON.stringify(publicPart(page));
  expect(text).not.toContain(secret);
  expect(JSON.parse(text)).toEqual({ model_path: "org/model", internal_states: [{ load: 3 }] });
});

test("a text that is JSON, a URL or long is no name, and does not pass under the name of one", () => {
  expect(publicPart({ status: '{"api_key":"canary"}', version: "1.2" })).toEqual({ version: "1.2" });
  expect(publicPart({ model_path: "s3://user:canary@bucket/model", engine: "x" })).toEqual({ engine: "x" });
  expect(publicPart({ model: "x".repeat(1000) })).toBeUndefined();
});

test("a page that says nothing of the kind, or is too deep, is none", () => {
  expect(publicPart({ api_key: "canary" })).toBeUndefined();
  const deep = (levels: number): object => (levels === 0 ? { load: 1 } : { internal_states: [deep(levels - 1)] });
  expect(JSON.stringify(publicPart({ ...deep(50) }) ?? {})).not.toContain("load");
});

test("of a load the numbers pass, and no words", () => {
  const page = { loads: [{ dp_rank: 0, num_used_tokens: 7, api_key: "canary" }], env: { TOKEN: "canary" }, ok: true };
  expect(numbersOf(page)).toEqual({ loads: [{ dp_rank: 0, num_used_tokens: 7 }], env: {}, ok: true });
});
