import { expect, test } from "bun:test";
import { endpointAt } from "../../test/support/endpoints.ts";
import { readJsonBody } from "./json/json-body.ts";
import { promptOf } from "./prompt.ts";

async function prompt(path: string, body: object): Promise<string> {
  const endpoint = endpointAt(path);
  const read = await readJsonBody(Buffer.from(JSON.stringify(body)));
  return Buffer.from(promptOf(read, endpoint.promptMembers)).toString();
}

test("the next turn of a conversation begins with the bytes of the last one", async () => {
  const first = [{ role: "user", content: "Grüße" }];
  const second = [
    ...first,
    { role: "assistant", content: [{ type: "text", text: "Hi" }] },
    { role: "user", content: "?" },
  ];
  const chat = (messages: object[]): Promise<string> => prompt("/v1/chat/completions", { model: "m", messages });
  expect((await chat(second)).startsWith(await chat(first))).toBe(true);
  const tools = [{ type: "function", function: { name: "f" } }];
  const withTools = await prompt("/v1/chat/completions", { messages: first, tools });
  expect(withTools.startsWith('[{"type":"function"')).toBe(true);
});

test("a line that coding agents change with every request is no part of it", async () => {
  const line = (hash: string): string => `x-anthropic-billing-header: cc_version=2.1.177; cch=${hash};`;
  const text = (value: string): object => ({ type: "text", text: value, cache_control: { type: "ephemeral" } });
  const messages = [{ role: "user", content: "hi" }];
  const bodies: readonly [path: string, body: (hash: string) => object][] = [
    ["/v1/messages", (hash) => ({ system: [text(line(hash)), text("be kind")], messages, tools: [{ name: "f" }] })],
    ["/v1/messages", (hash) => ({ system: `${line(hash)}\nbe "kind"`, messages })],
    ["/v1/messages", (hash) => ({ system: line(hash) })],
    [
      "/v1/chat/completions",
      (hash) => ({ messages: [{ role: "system", content: `${line(hash)}\nbe kind` }, ...messages] }),
    ],
    ["/v1/responses", (hash) => ({ instructions: line(hash), input: "hi" })],
  ];
  for (const [path, body] of bodies) {
    const one = await prompt(path, body("36ee5"));
    expect({ path, same: one === (await prompt(path, body("0aaa91"))) }).toEqual({ path, same: true });
    expect(one).not.toContain("cch");
    expect(one).toContain('"');
  }
  const [, body] = bodies[1] ?? [];
  expect(await prompt("/v1/messages", body?.("1") ?? {})).toContain('be \\"kind\\"');
  const asked = { system: "be kind", messages: [{ role: "user", content: `what is ${line("1")}?` }] };
  expect(await prompt("/v1/messages", asked)).toContain("cch=1");
});

test("every shape of a prompt counts, and prompts that differ differ in their bytes", async () => {
  const cases: readonly [path: string, body: object][] = [
    ["/v1/completions", { prompt: "text" }],
    ["/v1/completions", { prompt: ["text", "more"] }],
    ["/v1/completions", { prompt: [1, 2, 3] }],
    ["/generate", { text: "text" }],
    ["/generate", { input_ids: [1, 2, 3] }],
    ["/v1/embeddings", { input: ["a"] }],
    ["/v1/rerank", { query: "q", documents: ["d"] }],
    ["/v2/rerank", { query: "q", documents: ["d"] }],
    ["/classify", { text: "q" }],
    ["/classify", { input: "q" }],
    ["/pooling", { input: ["q"] }],
    ["/score", { text_1: "q", text_2: "d" }],
    ["/v1/score", { text_1: "q", text_2: "d" }],
    ["/v1/responses", { instructions: "be kind", input: "hi" }],
    ["/v1/messages", { system: "be kind", messages: [{ role: "user", content: "hi" }] }],
  ];
  for (const [path, body] of cases) expect([path, (await prompt(path, body)).length > 0]).toEqual([path, true]);
  expect(await prompt("/v1/completions", { prompt: [1, 2] })).not.toBe(
    await prompt("/v1/completions", { prompt: [12] }),
  );
  expect(await prompt("/v1/chat/completions", { model: "m" })).toBe("");
});
