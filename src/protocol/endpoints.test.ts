import { describe, expect, test } from "bun:test";
import { bodyOf, part } from "../../test/support/answers.ts";
import { endpointNamed } from "../../test/support/endpoints.ts";
import { generate, type Endpoint } from "./endpoint.ts";
import { type EndpointName, ENDPOINTS, PARSE_ENDPOINTS } from "./endpoints.ts";
import { openaiDialect } from "./openai/dialect.ts";
import type { TextModel } from "./text-model.ts";

const ALL = [...ENDPOINTS, ...PARSE_ENDPOINTS];

/** Rows of this work, the first of each name. */
function ofWork(work: Endpoint["work"]): readonly Endpoint<EndpointName>[] {
  const names = [...new Set(ALL.filter((endpoint) => endpoint.work === work).map(({ name }) => name))];
  return names.map(endpointNamed);
}

/** A body that each route can read, by its row's name. */
const BODIES: Readonly<Partial<Record<EndpointName, object>>> = {
  chat_completions: { messages: [{ role: "user", content: "Where?" }] },
  completions: { prompt: "Where?" },
  embeddings: { input: "Where?" },
  responses: { input: "Where?" },
  response_input_tokens: { input: "Where?" },
  messages: { max_tokens: 8, messages: [{ role: "user", content: "Where?" }] },
  count_tokens: { messages: [{ role: "user", content: "Where?" }] },
  generate: { text: "Where?" },
  tokenize: { prompt: "Where?" },
  detokenize: { tokens: [40, 41] },
  tokenize_texts: { prompt: ["Where?", "Here"] },
  detokenize_ids: { tokens: [[40], [41]] },
};

/** A token is a character, and its id is the character's code. */
const MODEL: TextModel = {
  maxModelLen: 512,
  renderChat: ({ messages }) => messages.map(({ content }) => String(content)).join("\n"),
  encode: async (text) => Uint32Array.from(text, (char) => char.codePointAt(0) ?? 0),
  decode: async (ids) => String.fromCodePoint(...ids),
  tokenOf: (id) => String.fromCodePoint(id),
};

describe("the table of endpoints", () => {
  test("has each path once", () => {
    const paths = ALL.map(({ path }) => path);
    expect(paths.filter((path, at) => paths.indexOf(path) !== at)).toEqual([]);
    for (const path of paths) expect(path).toMatch(/^(\/[a-z0-9_]+)+$/);
  });

  test("has paths of one name that differ in nothing but their path and their prompt", () => {
    for (const { path: _path, promptMembers: _members, ...row } of ALL) {
      const { path: _first, promptMembers: _of, ...first } = endpointNamed(row.name);
      expect(row).toEqual(first);
    }
  });

  test("says who answers: workers, except for routes that only the gateway has", () => {
    const byGateway = ALL.filter(({ answeredBy }) => answeredBy !== "worker");
    expect(byGateway.map(({ name, answeredBy }) => [name, answeredBy])).toEqual([
      ["tokenize_texts", "tokenizer"],
      ["detokenize_ids", "tokenizer"],
      ["parse_function_call", "parser"],
      ["parse_reasoning", "parser"],
    ]);
  });
});

describe("a row that generates", () => {
  for (const endpoint of ofWork("generate")) {
    const body = bodyOf(BODIES[endpoint.name] ?? {});

    test(`${endpoint.name} reads a body and writes its answer`, () => {
      const job = endpoint.read?.(body);
      if (job?.kind !== "generate") throw new Error("no generation was read");
      expect(job.api.generation.prompts).toHaveLength(1);
      const writer = job.api.createWriter({ requestId: "r", model: "m", created: 1, now: () => 1 });
      writer.part(part([{ kind: "content", text: "Here." }], { finish: { reason: "stop", matched: undefined } }));
      expect(writer.whole()).toContain('"Here."');
    });

    test(`${endpoint.name} has a prompt, bounds, and one answer where no more are asked for`, () => {
      expect(endpoint.promptMembers.some((name) => body.raw(name) !== undefined)).toBe(true);
      for (const name of ["n", "stop", "tools"]) expect([name, endpoint.bounds.has(name)]).toEqual([name, true]);
      expect([endpoint.canStream, endpoint.sequences(body)]).toEqual([true, 1]);
    });

    test(`${endpoint.name} can be prefilled apart, with one token or in a room`, () => {
      expect(endpoint.oneToken !== undefined || endpoint.takesRoom).toBe(true);
      const members = endpoint.oneToken?.(body);
      if (members) expect(members.get("stream")).toBe("false");
    });
  }

  test("goes on with another worker where it is a chat or a completion, and not for every body", () => {
    const continued = ofWork("generate").filter(({ name, continuation }) => continuation?.(bodyOf(BODIES[name] ?? {})));
    expect(continued.map(({ name }) => name)).toEqual(["chat_completions", "completions"]);
    const chat = endpointNamed("chat_completions");
    for (const extra of [{ n: 2 }, { logprobs: true }, { response_format: { type: "json_object" } }]) {
      expect(chat.continuation?.(bodyOf({ ...BODIES.chat_completions, ...extra }))).toBeUndefined();
    }
    expect(endpointNamed("completions").continuation?.(bodyOf({ prompt: ["a", "b"] }))).toBeUndefined();
  });

  test("is parsed by the gateway where its answers have chat choices", () => {
    expect(ALL.filter(({ canParseOutput }) => canParseOutput).map(({ name }) => name)).toEqual(["chat_completions"]);
  });
});

describe("the members that ask for one token", () => {
  const asked = (name: EndpointName, body: object): unknown =>
    Object.fromEntries(endpointNamed(name).oneToken?.(bodyOf(body)) ?? []);

  test("are the API's own limit and no stream", () => {
    const one = { stream: "false", max_tokens: "1" };
    for (const name of ["chat_completions", "completions", "messages"] as const) expect(asked(name, {})).toEqual(one);
    expect(asked("responses", {})).toEqual({ stream: "false", max_output_tokens: "1" });
  });

  test("overrule what the client set to something else", () => {
    const body = {
      max_completion_tokens: 9,
      min_tokens: 9,
      stream_options: {},
      background: true,
      kv_transfer_params: {},
    };
    expect(asked("responses", { ...body, max_output_tokens: 9 })).toEqual({
      stream: "false",
      max_output_tokens: "1",
      max_completion_tokens: "1",
      min_tokens: "0",
      stream_options: "null",
      background: "false",
      kv_transfer_params: "null",
    });
  });

  test("are none where SGLang's room is all that engines take", () => {
    expect(endpointNamed("generate").oneToken).toBeUndefined();
  });
});

describe("a row that embeds", () => {
  test("is read for engines that speak tokens where they have a method for it", () => {
    const readable = ofWork("embed").filter(({ read }) => read !== undefined);
    expect(readable.map(({ name }) => name)).toEqual(["embeddings"]);
    expect(endpointNamed("embeddings").read?.(bodyOf({ input: ["a", "b"] }))).toMatchObject({
      kind: "embed",
      embedding: { prompts: [{ text: "a" }, { text: "b" }] },
    });
  });

  test("is not streamed and gives one answer", () => {
    for (const { canStream, sequences } of ofWork("embed"))
      expect([canStream, sequences(bodyOf({ n: 3 }))]).toEqual([false, 1]);
  });
});

describe("a row that a tokenizer answers", () => {
  const answered = async (name: EndpointName): Promise<unknown> =>
    JSON.parse((await endpointNamed(name).answer?.(bodyOf(BODIES[name] ?? {}), MODEL)) ?? "null");

  test("answers with nothing but the model's text and tokens", async () => {
    const ids = Array.from("Where?", (char) => char.charCodeAt(0));
    expect(await answered("tokenize")).toEqual({ count: 6, max_model_len: 512, tokens: ids, token_strs: null });
    expect(await answered("detokenize")).toEqual({ prompt: "()" });
    expect(await answered("count_tokens")).toEqual({ input_tokens: 6 });
    expect(await answered("response_input_tokens")).toEqual({ object: "response.input_tokens", input_tokens: 6 });
    expect(await answered("tokenize_texts")).toMatchObject({ count: [6, 4], char_count: 10 });
    expect(await answered("detokenize_ids")).toEqual({ text: ["(", ")"] });
    expect(ofWork("tokenize").filter(({ answer }) => answer === undefined)).toEqual([]);
  });

  test("gives tokens as the vocabulary writes them where they are asked for", async () => {
    const body = bodyOf({ prompt: "ab", return_token_strs: true });
    expect(JSON.parse((await endpointNamed("tokenize").answer?.(body, MODEL)) ?? "")).toMatchObject({
      token_strs: ["a", "b"],
    });
  });

  test("refuses more text than any model takes", async () => {
    const text = "x".repeat(4 * 1024 * 1024 + 1);
    for (const [name, body] of [
      ["tokenize", { prompt: text }],
      ["tokenize_texts", { prompt: [text.slice(9), "123456789"] }],
      ["count_tokens", { messages: [{ role: "user", content: text }] }],
      ["response_input_tokens", { input: text }],
    ] as const) {
      const read = bodyOf({});
      read.whole = body;
      expect(endpointNamed(name).answer?.(read, MODEL)).rejects.toMatchObject({ code: "invalid_request" });
    }
  });
});

describe("a row that the parsers answer", () => {
  test("says what they look for", () => {
    expect(ofWork("parse").map(({ name, finds }) => [name, finds])).toEqual([
      ["parse_function_call", "tool_calls"],
      ["parse_reasoning", "reasoning"],
    ]);
  });
});

test("a row with a missing piece does not compile", () => {
  const place = { name: "made_up", path: "/v1/made-up", dialect: openaiDialect, promptMembers: [] } as const;
  // @ts-expect-error: it says neither how a body is read nor what is bounded.
  expect(generate({ ...place, canStream: true })).toMatchObject({ work: "generate" });
});
