import { describe, expect, test } from "bun:test";
import type OpenAI from "openai";
import { eventually } from "../faults/observe.ts";
import { overTargets, type Target, TARGETS } from "./targets.ts";

const messages = [{ role: "user" as const, content: "Where does the train go?" }];

type Body = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "model" | "messages" | "stream"> & {
  readonly messages?: OpenAI.ChatCompletionMessageParam[];
  readonly [extra: string]: unknown;
};

function whole({ client, model }: Target, body: Body = {}): Promise<OpenAI.ChatCompletion> {
  return client.chat.completions.create({ model, messages, ...body });
}

interface Streamed {
  readonly texts: readonly string[];
  readonly finishes: readonly (string | undefined)[];
  readonly usage: OpenAI.CompletionUsage | undefined;
  readonly tokens: readonly OpenAI.ChatCompletionTokenLogprob[];
}

async function streamed({ client, model }: Target, body: Body = {}): Promise<Streamed> {
  const texts: string[] = [];
  const finishes: (string | undefined)[] = [];
  const tokens: OpenAI.ChatCompletionTokenLogprob[] = [];
  let usage: OpenAI.CompletionUsage | undefined;
  for await (const chunk of await client.chat.completions.create({ model, messages, ...body, stream: true })) {
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason: finish, logprobs } of chunk.choices) {
      texts[index] = (texts[index] ?? "") + (delta.content ?? "");
      finishes[index] = finish ?? finishes[index];
      tokens.push(...(logprobs?.content ?? []));
    }
  }
  return { texts, finishes, usage, tokens };
}

function textOf(answer: OpenAI.ChatCompletion, index = 0): string {
  return answer.choices[index]?.message.content ?? "";
}

overTargets((target) => {
  test("a stream says what the whole answer says, and counts the same", async () => {
    const answer = await whole(target());
    const { texts, finishes, usage } = await streamed(target(), { stream_options: { include_usage: true } });
    expect(textOf(answer).length).toBeGreaterThan(10);
    expect(texts).toEqual([textOf(answer)]);
    expect([answer.choices[0]?.finish_reason, finishes]).toEqual(["stop", ["stop"]]);
    const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = answer.usage ?? {};
    expect(total).toBe((prompt ?? 0) + (completion ?? 0));
    expect([usage?.prompt_tokens, usage?.completion_tokens]).toEqual([prompt, completion]);
  });

  test("a stream brings no usage where it was not asked for", async () => {
    expect((await streamed(target())).usage).toBeUndefined();
  });

  test("several answers are each their own, whole and streamed", async () => {
    const { choices } = await whole(target(), { n: 3 });
    const texts = choices.map(({ message }) => message.content ?? "");
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(texts).size).toBe(3);
    expect((await streamed(target(), { n: 3 })).texts).toEqual(texts);
  });

  test("log-probabilities are of the tokens of the answer, whole and streamed", async () => {
    const answer = await whole(target(), { logprobs: true, ...(target().tiny ? { top_logprobs: 2 } : {}) });
    const tokens = answer.choices[0]?.logprobs?.content ?? [];
    const bytes = Buffer.from(tokens.flatMap((token) => token.bytes ?? []));
    expect(bytes.toString()).toStartWith(textOf(answer));
    expect(tokens.every(({ logprob }) => logprob < 0)).toBe(true);
    if (target().tiny) expect(tokens.every(({ top_logprobs: top }) => top.length === 2)).toBe(true);
    const again = await streamed(target(), { logprobs: true, ...(target().tiny ? { top_logprobs: 2 } : {}) });
    expect(again.tokens.map(({ token, logprob }) => [token, logprob])).toEqual(
      tokens.map(({ token, logprob }) => [token, logprob]),
    );
  });

  test("a stop string that begins and ends within tokens cuts the answer there", async () => {
    const text = textOf(await whole(target()));
    // From the middle of a word to the middle of the next but one.
    const from = text.indexOf(" ", 4) - 2;
    const stop = text.slice(from, text.indexOf(" ", from + 4) + 2);
    const wanted = text.slice(0, text.indexOf(stop));
    const answer = await whole(target(), { stop: [stop, "nobody says this"] });
    expect([textOf(answer), answer.choices[0]?.finish_reason]).toEqual([wanted, "stop"]);
    const { texts, finishes } = await streamed(target(), { stop: ["nobody says this", stop] });
    expect([texts, finishes]).toEqual([[wanted], ["stop"]]);
  });

  test("an answer of as many tokens as may be ends for its length", async () => {
    const answer = await whole(target(), { max_tokens: 3 });
    expect([answer.choices[0]?.finish_reason, answer.usage?.completion_tokens]).toEqual(["length", 3]);
    expect(target().asked().maxTokens).toBe(3);
    expect((await streamed(target(), { max_tokens: 3 })).finishes).toEqual(["length"]);
  });

  test("what shapes the answer reaches the engine", async () => {
    const schema = { type: "object", properties: { place: { type: "string" } }, required: ["place"] };
    await whole(target(), {
      temperature: 0.25,
      seed: 7,
      stop_token_ids: [11],
      response_format: { type: "json_schema", json_schema: { name: "place", schema } },
    });
    const { temperature, seed, schema: got, stopTokenIds } = target().asked();
    expect([temperature, got]).toEqual([0.25, schema]);
    expect(stopTokenIds).toContain(11);
    expect(seed).toBe(target().takesSeed ? 7 : undefined);
  });

  test("an answer that was begun is gone on with", async () => {
    const asked: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "SAY:the train goes to the station" }];
    const text = textOf(await whole(target(), { messages: asked }));
    const begun = text.slice(0, text.indexOf(" ", 8));
    const rest = await whole(target(), {
      messages: [...asked, { role: "assistant", content: begun }],
      continue_final_message: true,
      add_generation_prompt: false,
    });
    expect(begun + textOf(rest)).toBe(text);
  });
});

/** What engines over HTTP do for themselves, the gateway does for those that speak tokens. */
overTargets(
  (target) => {
    const say = (text: string): OpenAI.ChatCompletionMessageParam[] => [{ role: "user", content: `SAY:${text}` }];

    test("a stop string is a part of the answer where that is asked for", async () => {
      const body = { messages: say("one, two and three"), stop: ["two an"], include_stop_str_in_output: true };
      expect(textOf(await whole(target(), body))).toBe("one, two an");
      expect((await streamed(target(), body)).texts).toEqual(["one, two an"]);
    });

    test("the first of several stop strings counts, wherever tokens are cut", async () => {
      const body = { messages: say("the engine and the stop"), stop: ["stop", "d the", "gine and"] };
      expect(textOf(await whole(target(), body))).toBe("the en");
      expect((await streamed(target(), body)).texts).toEqual(["the en"]);
    });

    test("a stop token ends the answer and is no text", async () => {
      const [comma = -1] = target().tiny?.tokenizer.encode(",") ?? [];
      const answer = await whole(target(), { messages: say("one, two"), stop_token_ids: [comma] });
      expect([textOf(answer), answer.choices[0]?.finish_reason]).toEqual(["one", "stop"]);
    });

    test("characters whose bytes are tokens come whole, and as they were said", async () => {
      const text = "駅 🚂👨‍👩‍👧 größer \u{10FFFF} é";
      expect(textOf(await whole(target(), { messages: say(text) }))).toBe(text);
      const stream = await target().client.chat.completions.create({
        model: target().model,
        messages: say(text),
        stream: true,
      });
      let got = "";
      for await (const { choices } of stream) {
        const piece = choices[0]?.delta.content ?? "";
        expect(piece).not.toContain("\uFFFD");
        expect(piece.isWellFormed()).toBe(true);
        got += piece;
      }
      expect(got).toBe(text);
    });

    test("half a character at the end is told as such", async () => {
      const { texts } = await streamed(target(), { messages: say("ab🚂"), max_tokens: 4 });
      expect(texts).toEqual(["ab\uFFFD"]);
    });

    test("reasoning is told apart, whole and streamed", async () => {
      const body = { messages: say("<think>\nperhaps\n</think>\n\nyes") };
      const { message } = (await whole(target(), body)).choices[0] ?? {};
      expect(message).toMatchObject({ content: "\n\nyes", reasoning_content: "\nperhaps\n" });
      const { texts } = await streamed(target(), body);
      expect(texts).toEqual(["\n\nyes"]);
      const joined = await whole(target(), { ...body, separate_reasoning: false });
      expect(textOf(joined)).toBe("<think>\nperhaps\n</think>\n\nyes");
    });

    test("what was begun stands before the answer where the client wants the whole", async () => {
      const begun = [...say("one and two"), { role: "assistant" as const, content: "one a" }];
      const body = { messages: begun, continue_final_message: true, add_generation_prompt: false };
      expect(textOf(await whole(target(), body))).toBe("nd two");
      expect(textOf(await whole(target(), { ...body, echo: true }))).toBe("one and two");
    });
  },
  ["grpc", "grpc_pd"],
);

describe("a stop string that the engine knows nothing of", () => {
  for (const [name, start] of Object.entries(TARGETS)) {
    if (!name.includes("gRPC")) continue;
    test(`stops the engine where it has come: ${name}`, async () => {
      await using target = await start(true);
      const content = `SAY:one, two, ${"and so on, ".repeat(40)}`;
      const asked = { messages: [{ role: "user" as const, content }], stop: "wo" };
      expect(textOf(await whole(target, asked))).toBe("one, t");
      expect((await streamed(target, asked)).texts).toEqual(["one, t"]);
      await eventually(() => target.givenUp() === 2, "both generations are given up");
    });
  }
});

describe("a client that leaves", () => {
  for (const [name, start] of Object.entries(TARGETS)) {
    test(`frees the engine: ${name}`, async () => {
      await using target = await start(true);
      const line = target.gateway.nextLine();
      const stream = await target.client.chat.completions.create({ model: target.model, messages, stream: true });
      for await (const { choices } of stream) if ((choices[0]?.delta.content ?? "") !== "") break;
      expect((await line)["status"]).toBe(499);
      await eventually(() => target.givenUp() > 0, "the engine gives up");
      for (const worker of target.gateway.context.workerRegistry.all()) {
        expect([worker.url, worker.inFlight]).toEqual([worker.url, 0]);
      }
    });
  }
});
