import { expect, test } from "bun:test";
import { post } from "../support/gateway.ts";
import { overTargets, type Target } from "./targets.ts";

interface Refusal {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  readonly type: string;
}

async function refusal({ gateway, model }: Target, path: string, body: object): Promise<Refusal> {
  const response = await post(gateway.url + path, { model, ...body });
  const { error } = (await response.json()) as { error: Refusal & { readonly message: string } };
  expect(error.message.length).toBeGreaterThan(5);
  return { status: response.status, code: error.code, param: error.param, type: error.type };
}

const CHAT = "/v1/chat/completions";
const messages = [{ role: "user", content: "Hello there" }];

overTargets((target) => {
  test("a model that nobody serves is not found", async () => {
    const expected = { status: 404, code: "model_not_found", param: "model", type: "invalid_request_error" };
    for (const stream of [false, true]) {
      expect(await refusal(target(), CHAT, { messages, model: "gpt-9", stream })).toEqual(expected);
    }
  });

  test("an empty name is no name, so that the one model answers", async () => {
    const { gateway } = target();
    const response = await post(gateway.url + CHAT, { messages, model: "", max_tokens: 4 });
    expect(response.status).toBe(200);
    await response.body?.cancel();
  });

  test("a body that is none is refused", async () => {
    const response = await post(`${target().gateway.url}${CHAT}`, "{");
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "invalid_json" } }]);
  });
});

/** Members that are numbers or lists in the messages of engines. */
const SAMPLING = [
  ["temperature", "top_p", "top_k", "min_p", "seed", "logit_bias"],
  ["frequency_penalty", "presence_penalty", "repetition_penalty"],
  ["n", "max_tokens", "min_tokens", "stop", "stop_token_ids", "ignore_eos", "priority", "best_of"],
  ["logprobs", "top_logprobs", "prompt_logprobs", "logprob_start_len", "top_logprobs_num"],
].flat();

/** Those that engines over HTTP tell themselves; here the gateway does. */
overTargets(
  (target) => {
    const bad = (param: string, status = 400): object => ({ status, param, type: "invalid_request_error" });
    const FIELDS: readonly (readonly [path: string, body: object, param: string])[] = [
      [CHAT, { messages: [] }, "messages"],
      [CHAT, { messages: [{ content: "no role" }] }, "messages[0].role"],
      [CHAT, { messages, temperature: "hot" }, "temperature"],
      [CHAT, { messages, n: 0 }, "n"],
      [CHAT, { messages, max_tokens: -1 }, "max_tokens"],
      [CHAT, { messages, top_logprobs: 99, logprobs: true }, "top_logprobs"],
      [CHAT, { messages, stop: [7] }, "stop[0]"],
      [CHAT, { messages, tools: [{ type: "function" }] }, "tools[0].function"],
      [CHAT, { messages, tool_choice: "sometimes" }, "tool_choice"],
      [CHAT, { messages, response_format: { type: "xml" } }, "response_format.type"],
      ["/v1/completions", { prompt: [[-1]] }, "prompt[0]"],
      ["/v1/completions", {}, "prompt"],
      ["/generate", { text: "a", input_ids: [1] }, "text"],
      ["/v1/responses", { input: 7 }, "input"],
      ["/detokenize", { tokens: "abc" }, "tokens"],
    ];
    for (const [path, body, param] of FIELDS) {
      test(`${path}: ${param} is named where it is wrong: ${JSON.stringify(body)}`, async () => {
        expect(await refusal(target(), path, body)).toMatchObject(bad(param));
      });
    }

    test("a prompt that is longer than the model takes is refused, and the engine hears nothing of it", async () => {
      const before = target().generations();
      const long = "word ".repeat(1500);
      for (const [path, body, param] of [
        [CHAT, { messages: [{ role: "user", content: long }] }, "messages"],
        ["/v1/completions", { prompt: long }, "prompt"],
        ["/v1/responses", { input: long }, "input"],
        ["/generate", { text: long }, "text"],
      ] as const) {
        expect(await refusal(target(), path, body)).toMatchObject({ ...bad(param), code: "context_length_exceeded" });
      }
      expect(target().generations()).toBe(before);
    });

    test("a number that is no token of the model is refused where it is a prompt", async () => {
      const { vocabSize = 0 } = target().tiny ?? {};
      expect(await refusal(target(), "/v1/completions", { prompt: [1, vocabSize] })).toMatchObject(bad("prompt"));
      expect(await refusal(target(), "/generate", { input_ids: [4_000_000_000] })).toMatchObject(bad("input_ids[0]"));
      expect(await refusal(target(), "/generate", { input_ids: [vocabSize] })).toMatchObject(bad("input_ids"));
      expect(await refusal(target(), "/detokenize", { tokens: [vocabSize] })).toMatchObject(bad("tokens"));
    });

    test("values of any kind and size are served or refused, and are no defect", async () => {
      const { gateway, model } = target();
      const values = [0, -1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, "x", null, true, [], {}, [2 ** 32], { "-1": 1 }];
      const seen = new Set<number>();
      for (const name of SAMPLING) {
        for (const value of values) {
          for (const [path, body] of [
            [CHAT, { messages, [name]: value }],
            ["/v1/completions", { prompt: "Hi", [name]: value }],
            ["/generate", { text: "Hi", return_logprob: true, [name]: value, sampling_params: { [name]: value } }],
          ] as const) {
            const response = await post(gateway.url + path, { model, max_tokens: 2, ...body });
            await response.text();
            seen.add(response.status);
          }
        }
      }
      expect([...seen].toSorted((a, b) => a - b)).toEqual([200, 400, 501]);
    });

    test("an empty prompt is refused", async () => {
      expect(await refusal(target(), "/v1/completions", { prompt: "" })).toMatchObject(bad("prompt"));
      expect(await refusal(target(), "/generate", { text: "" })).toMatchObject(bad("text"));
    });

    test("what a template refuses is told in its own words", async () => {
      const response = await post(`${target().gateway.url}${CHAT}`, {
        model: target().model,
        messages: [{ role: "tool", tool_call_id: "c1", content: "42" }],
      });
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: { message: string; param: string } };
      expect(error.message).toContain("a tool does not speak first");
    });

    test("a feature that engines which speak tokens have no place for is refused by name", async () => {
      expect(await refusal(target(), CHAT, { messages, best_of: 3 })).toMatchObject({
        status: 501,
        code: "not_implemented",
        param: "best_of",
      });
      expect(await refusal(target(), CHAT, { messages, modalities: ["audio"] })).toMatchObject({ status: 501 });
    });

    test("errors of Anthropic's API have its shape", async () => {
      const response = await post(`${target().gateway.url}/v1/messages`, {
        model: target().model,
        max_tokens: "many",
        messages,
      });
      expect([response.status, await response.json()]).toMatchObject([
        400,
        { type: "error", error: { type: "invalid_request_error" } },
      ]);
    });
  },
  ["grpc", "grpc_pd"],
);
