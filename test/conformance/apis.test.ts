import Anthropic from "@anthropic-ai/sdk";
import { expect, test } from "bun:test";
import type OpenAI from "openai";
import { post } from "../support/gateway.ts";
import { streamText } from "../support/stream-text.ts";
import { overTargets, type Target } from "./targets.ts";

const PROMPT = "Where does the train go?";

function completion(
  { client, model }: Target,
  prompt: OpenAI.CompletionCreateParams["prompt"],
  body: Readonly<Record<string, unknown>> = {},
): Promise<OpenAI.Completion> {
  return client.completions.create({ model, prompt, max_tokens: 20, ...body, stream: false });
}

/** What a route answers, and whether it is served at all. */
async function answerOf({ gateway, model }: Target, path: string, body: object): Promise<[number, string]> {
  const response = await post(gateway.url + path, { model, ...body });
  return [response.status, await response.text()];
}

interface Native {
  readonly text: string;
  readonly output_ids: readonly number[];
  readonly meta_info: Readonly<Record<string, unknown>>;
}

overTargets((target) => {
  test("a completion, whole and streamed", async () => {
    const { client, model } = target();
    const answer = await completion(target(), PROMPT);
    let text = "";
    for await (const { choices } of await client.completions.create({
      model,
      prompt: PROMPT,
      max_tokens: 20,
      stream: true,
    })) {
      text += choices[0]?.text ?? "";
    }
    expect(text.length).toBeGreaterThan(10);
    expect(answer.choices[0]?.text).toBe(text);
  });

  test("completions of several prompts, as texts and as tokens, each with several answers", async () => {
    const texts = await completion(target(), [PROMPT, "And when?"], { n: 2 });
    expect(texts.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(new Set(texts.choices.map(({ text }) => text)).size).toBe(4);
    const alone = await completion(target(), "And when?", { n: 2 });
    expect(texts.choices.slice(2).map(({ text }) => text)).toEqual(alone.choices.map(({ text }) => text));
    const ids = target().tiny?.tokenizer.encode(PROMPT) ?? [1, 2, 3];
    const [one, batch] = [await completion(target(), ids), await completion(target(), [ids, ids])];
    expect(batch.choices.map(({ text }) => text)).toEqual([one.choices[0]?.text ?? "", one.choices[0]?.text ?? ""]);
    if (target().tiny) expect(one.choices[0]?.text).toBe(texts.choices[0]?.text ?? "");
  });

  test("a stream of several prompts says what their whole answers say", async () => {
    const prompts = [PROMPT, "And when?", "And why?"];
    const whole = await completion(target(), prompts);
    const [status, stream] = await answerOf(target(), "/v1/completions", {
      prompt: prompts,
      max_tokens: 20,
      stream: true,
    });
    expect([status, streamText(stream)]).toEqual([200, whole.choices.map(({ text }) => text).join("\n")]);
  });

  test("a stream of many prompts has all of each", async () => {
    const prompts = Array.from({ length: 400 }, (_, index) => `Prompt ${index}`);
    const asked = { prompt: prompts, max_tokens: 12 };
    const [, whole] = await answerOf(target(), "/v1/completions", asked);
    const [status, stream] = await answerOf(target(), "/v1/completions", { ...asked, stream: true });
    const { choices } = JSON.parse(whole) as OpenAI.Completion;
    expect([status, streamText(stream)]).toEqual([200, choices.map(({ text }) => text).join("\n")]);
  });

  test("the prompt stands before its completion where that is asked for", async () => {
    const answer = await completion(target(), PROMPT, { echo: true });
    expect(answer.choices[0]?.text).toStartWith(PROMPT);
  });

  test("/generate, whole, as a batch and streamed", async () => {
    const params = { sampling_params: { max_new_tokens: 20 } };
    const [status, text] = await answerOf(target(), "/generate", { text: PROMPT, ...params });
    if (target().refused.includes("/generate")) {
      expect([status, JSON.parse(text)]).toMatchObject([501, { error: { code: "not_implemented" } }]);
      return;
    }
    const whole = JSON.parse(text) as Native;
    expect(whole.meta_info).toMatchObject({
      completion_tokens: whole.output_ids.length,
      prompt_tokens: expect.any(Number),
    });
    const batch = JSON.parse(
      (await answerOf(target(), "/generate", { text: [PROMPT, "x"], ...params }))[1],
    ) as Native[];
    expect(batch.map((one) => one.text)[0]).toBe(whole.text);
    const [, stream] = await answerOf(target(), "/generate", { text: PROMPT, stream: true, ...params });
    expect(streamText(stream)).toBe(whole.text);
    expect(stream).toEndWith("data: [DONE]\n\n");
  });

  test("Anthropic's messages, whole and streamed, with a system prompt and stop sequences", async () => {
    const anthropic = new Anthropic({ baseURL: target().gateway.url, apiKey: "x", maxRetries: 0 });
    const ask = {
      model: target().model,
      max_tokens: 40,
      system: "You are terse.",
      messages: [{ role: "user" as const, content: PROMPT }],
    };
    if (target().refused.includes("/v1/messages")) {
      const refusal: unknown = await anthropic.messages.create(ask).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ status: 501 });
      return;
    }
    const whole = await anthropic.messages.create(ask);
    const streamed = await anthropic.messages.stream(ask).finalMessage();
    const texts = [whole, streamed].map(({ content }) =>
      content.map((block) => (block.type === "text" ? block.text : "")),
    );
    expect(texts[0]?.join("").length).toBeGreaterThan(10);
    expect(texts[1]).toEqual(texts[0] ?? []);
    expect([streamed.stop_reason, streamed.usage.output_tokens]).toEqual([
      whole.stop_reason,
      whole.usage.output_tokens,
    ]);
    const short = await anthropic.messages.create({ ...ask, max_tokens: 2 });
    expect([short.stop_reason, short.usage.output_tokens]).toEqual(["max_tokens", 2]);
    const text = texts[0]?.join("") ?? "";
    const stop = text.slice(5, 9);
    const cut = await anthropic.messages.create({ ...ask, stop_sequences: [stop] });
    expect(cut.content).toMatchObject([{ text: text.slice(0, text.indexOf(stop)) }]);
    if (target().tiny) expect([cut.stop_reason, cut.stop_sequence]).toEqual(["stop_sequence", stop]);
  });

  test("OpenAI's responses, whole and streamed", async () => {
    const { client, model } = target();
    const ask = { model, input: PROMPT, instructions: "You are terse." };
    if (target().refused.includes("/v1/responses")) {
      const refusal: unknown = await client.responses.create(ask).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ status: 501, code: "not_implemented" });
      return;
    }
    const whole = await client.responses.create(ask);
    expect([whole.status, whole.output_text.length > 10]).toEqual(["completed", true]);
    let text = "";
    const types: string[] = [];
    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    expect(text).toBe(whole.output_text);
    expect([types[0], types.at(-1)]).toEqual(["response.created", "response.completed"]);
  });

  test("embeddings, as numbers and as base64, where the workers can", async () => {
    const { client, model } = target();
    const ask = { model, input: ["one", "two"], encoding_format: "float" as const };
    if (target().refused.includes("/v1/embeddings")) {
      const refusal: unknown = await client.embeddings.create(ask).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ status: 501, code: "not_implemented" });
      return;
    }
    const { data, usage } = await client.embeddings.create(ask);
    expect(data.map(({ index }) => index)).toEqual([0, 1]);
    expect(data[0]?.embedding).not.toEqual(data[1]?.embedding ?? []);
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    if (!target().tiny) return;
    const packed = (await client.embeddings.create({ model, input: ["one", "two"] })).data;
    expect(packed.map(({ embedding }) => [...embedding])).toEqual(
      data.map(({ embedding }) => [...embedding].map(Math.fround)),
    );
  });

  test("tokens are counted", async () => {
    const body = { messages: [{ role: "user", content: PROMPT }], max_tokens: 1 };
    const [status, text] = await answerOf(target(), "/v1/messages/count_tokens", body);
    expect([status, JSON.parse(text)]).toEqual([200, { input_tokens: expect.any(Number) }]);
    if (!target().tiny) return;
    const { usage } = await target().client.chat.completions.create({
      model: target().model,
      messages: [{ role: "user", content: PROMPT }],
    });
    expect(JSON.parse(text)).toEqual({ input_tokens: usage?.prompt_tokens });
  });

  test("tokens of a response are counted as the response counts them, or the route is told to be missing", async () => {
    const { client, model, tiny } = target();
    const ask = {
      model,
      instructions: "Be brief.",
      input: PROMPT,
      tools: [{ type: "function" as const, name: "f", parameters: { type: "object" }, strict: false }],
    };
    if (!tiny) {
      const [status] = await answerOf(target(), "/v1/responses/input_tokens", ask);
      expect(status).toBe(501);
      return;
    }
    const { usage } = await client.responses.create({ ...ask, max_output_tokens: 1 });
    expect(await client.responses.inputTokens.count(ask)).toEqual({
      object: "response.input_tokens",
      input_tokens: usage?.input_tokens ?? 0,
    });
  });
});

overTargets(
  (target) => {
    test("text becomes the tokens that engines get, and text again", async () => {
      const { tiny } = target();
      const ids = tiny?.tokenizer.encode("the stop 🚂") ?? [];
      const [, text] = await answerOf(target(), "/tokenize", { prompt: "the stop 🚂", return_token_strs: true });
      expect(JSON.parse(text)).toEqual({
        count: ids.length,
        max_model_len: 4096,
        tokens: ids,
        token_strs: expect.arrayContaining(["the", "stop"]),
      });
      expect(await answerOf(target(), "/detokenize", { tokens: ids })).toEqual([200, '{"prompt":"the stop 🚂"}']);
      const asked = await answerOf(target(), "/tokenize", { messages: [{ role: "user", content: "hi" }] });
      expect(JSON.parse(asked[1])).toMatchObject({
        tokens: tiny?.tokenizer.encode("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"),
      });
    });

    test("log-probabilities of a completion, and of its prompt where it is echoed", async () => {
      const answer = await completion(target(), "the stop", { logprobs: 2, max_tokens: 3 });
      const {
        tokens,
        token_logprobs: own,
        top_logprobs: top,
        text_offset: offsets,
      } = answer.choices[0]?.logprobs ?? {};
      expect([tokens?.length, own?.length, top?.length, offsets?.[0]]).toEqual([3, 3, 3, 0]);
      const echoed = (await completion(target(), "the stop", { logprobs: 2, max_tokens: 3, echo: true })).choices[0];
      expect(echoed?.logprobs?.tokens?.slice(0, 3)).toEqual(["the", " ", "stop"]);
      expect(echoed?.logprobs?.token_logprobs?.[0]).toBeNull();
      expect(echoed?.logprobs?.tokens?.slice(3)).toEqual(tokens ?? []);
    });

    test("log-probabilities of /generate, of the prompt too", async () => {
      const ids = target().tiny?.tokenizer.encode("the stop") ?? [];
      const [, text] = await answerOf(target(), "/generate", {
        input_ids: ids,
        sampling_params: { max_new_tokens: 2 },
        return_logprob: true,
        logprob_start_len: 0,
        top_logprobs_num: 2,
      });
      const { meta_info: meta, output_ids: out } = JSON.parse(text) as Native;
      expect(meta["input_token_logprobs"]).toMatchObject([
        [null, ids[0], null],
        [expect.any(Number), ids[1], null],
        [expect.any(Number), ids[2], null],
      ]);
      expect(meta["output_token_logprobs"]).toMatchObject(out.map((id) => [expect.any(Number), id, null]));
    });

    test("reasoning is told apart in each API", async () => {
      const ask = "SAY:<think>perhaps</think>yes";
      const [, messages] = await answerOf(target(), "/v1/messages", {
        max_tokens: 50,
        messages: [{ role: "user", content: ask }],
        thinking: { type: "enabled", budget_tokens: 1024 },
      });
      expect(JSON.parse(messages)).toMatchObject({
        content: [
          { type: "thinking", thinking: "perhaps" },
          { type: "text", text: "yes" },
        ],
      });
      const [, responses] = await answerOf(target(), "/v1/responses", { input: ask });
      expect(JSON.parse(responses)).toMatchObject({
        output: [{ type: "reasoning" }, { type: "message", content: [{ text: "yes" }] }],
      });
      // A prompt that is no chat is answered with what was said.
      const [, plain] = await answerOf(target(), "/v1/completions", { prompt: ask, max_tokens: 50 });
      expect(JSON.parse(plain)).toMatchObject({ choices: [{ text: "<think>perhaps</think>yes" }] });
    });
  },
  ["grpc", "grpc_pd"],
);
