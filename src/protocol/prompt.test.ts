import { describe, expect, test } from "bun:test";
import { endpointAt } from "../../test/support/endpoints.ts";
import { readJsonBody } from "./json/json-body.ts";
import { blobsIn, savedBytes } from "./media-blobs.ts";
import { promptOf } from "./prompt.ts";

async function prompt(path: string, body: object): Promise<string> {
  const endpoint = endpointAt(path);
  const read = await readJsonBody(Buffer.from(JSON.stringify(body)));
  return Buffer.from(promptOf(read, endpoint, blobsIn(read.bytes))).toString();
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

describe("marks of where caches should end", () => {
  const mark = { type: "ephemeral", ttl: "5m" };
  const said = (text: string, more: object = {}): object => ({
    role: "user",
    content: [{ type: "text", text, ...more }],
  });

  test("are no part of it: a turn begins like the one before, though its mark has moved", async () => {
    const system = [{ type: "text", text: "be kind", cache_control: mark }];
    const first = { system, messages: [said("one", { cache_control: mark })] };
    const second = { system, messages: [said("one"), said("two", { cache_control: mark })] };
    const plain = await prompt("/v1/messages", {
      system: [{ type: "text", text: "be kind" }],
      messages: [said("one")],
    });
    expect([await prompt("/v1/messages", first), (await prompt("/v1/messages", second)).startsWith(plain)]).toEqual([
      plain,
      true,
    ]);
  });

  test.each([
    ['[{"cache_control":{"type":"ephemeral"},"text":"a"}]', '[{"text":"a"}'],
    ['[{"text":"a", "cache_control": {"type": "ephemeral"} }]', '[{"text":"a" }'],
    ['[{"text":"a","cache_control":null}]', '[{"text":"a"}'],
    ['[{"cache_control" : {}}]', "[{}"],
    // What nobody would take for a mark stays.
    ['[{"text":"\\"cache_control\\":{}"}]', '[{"text":"\\"cache_control\\":{}"}'],
    ['[{"cache_control":"always"}]', '[{"cache_control":"always"}'],
  ])("are found however they are written: %s", async (messages, expected) => {
    const body = await readJsonBody(Buffer.from(`{"messages":${messages}}`));
    expect(Buffer.from(promptOf(body, endpointAt("/v1/messages"), [])).toString()).toBe(expected);
  });
});

describe("an image in the messages", () => {
  const picture = (seed: number, bytes = 60_000): string =>
    Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => (at * at * 31 + at * seed) & 255)).toString("base64");
  const chat = (data: string, text = "What is it?"): object => ({
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } },
          { type: "text", text },
        ],
      },
    ],
  });
  const messages = (data: string): object => ({
    messages: [
      { role: "user", content: [{ type: "image", source: { type: "base64", media_type: "image/png", data } }] },
    ],
  });

  test("counts for a few KB that are equal where the image is, whatever its size", async () => {
    for (const [path, body] of [
      ["/v1/chat/completions", chat],
      ["/v1/messages", messages],
    ] as const) {
      const [one, same, other] = [
        await prompt(path, body(picture(1))),
        await prompt(path, body(picture(1))),
        await prompt(path, body(picture(2))),
      ];
      expect([one === same, one === other, one.length < 5000]).toEqual([true, false, true]);
    }
  });

  test("lets what follows it match: the next turn begins like this one", async () => {
    const first = await prompt("/v1/chat/completions", chat(picture(1)));
    const { messages: said } = chat(picture(1)) as { messages: object[] };
    const next = await prompt("/v1/chat/completions", { messages: [...said, { role: "assistant", content: "A cat" }] });
    expect(next.startsWith(first)).toBe(true);
  });

  test("is found wherever it stands, and text is never taken for one", () => {
    for (let pad = 0; pad < 20_000; pad += 1234) {
      const body = Buffer.from(JSON.stringify({ pad: "a b ".repeat(pad / 4), ...chat(picture(3, 9000)) }));
      const [blob] = blobsIn(body);
      expect([pad, blob && body.subarray(blob.start, blob.end).toString()]).toEqual([
        pad,
        `data:image/png;base64,${picture(3, 9000)}`,
      ]);
    }
    const text = `see ${"x".repeat(9000)} and ${"y".repeat(20_000)}`;
    expect(blobsIn(Buffer.from(JSON.stringify({ prompt: text })))).toEqual([]);
    expect(blobsIn(Buffer.alloc(100_000, "word "))).toEqual([]);
    expect(blobsIn(Buffer.alloc(0))).toEqual([]);
  });

  test("that is small stands as it is", () => {
    expect(savedBytes(blobsIn(Buffer.from(JSON.stringify(chat("AAAA")))))).toBe(0);
  });
});
