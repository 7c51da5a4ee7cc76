import Anthropic from "@anthropic-ai/sdk";
import { expect, test } from "bun:test";
import type OpenAI from "openai";
import { overTargets, type Target } from "./targets.ts";

const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
    },
  },
  { type: "function", function: { name: "look_up", parameters: { type: "object", properties: {} } } },
];
const PLACE = { place: "Crewe Junction" };
const CALL = `<tool_call>\n{"name": "get_weather", "arguments": ${JSON.stringify(PLACE)}}\n</tool_call>`;

type Body = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>;

function ask({ client, model }: Target, text: string, body: Body = {}): Promise<OpenAI.ChatCompletion> {
  return client.chat.completions.create({
    model,
    messages: [{ role: "user", content: `SAY:${text}` }],
    tools,
    ...body,
    stream: false,
  });
}

/** As the SDK puts a stream together. */
function stream({ client, model }: Target, text: string, body: Body = {}): Promise<OpenAI.ChatCompletion> {
  return client.chat.completions
    .stream({ model, messages: [{ role: "user", content: `SAY:${text}` }], tools, ...body, stream: true })
    .finalChatCompletion();
}

function callsOf(answer: OpenAI.ChatCompletion): unknown[] {
  const [choice] = answer.choices;
  const calls = choice?.message.tool_calls ?? [];
  return [
    choice?.finish_reason,
    ...calls.map((call) => (call.type === "function" ? [call.function.name, JSON.parse(call.function.arguments)] : [])),
  ];
}

overTargets((target) => {
  const WEATHER = ["tool_calls", ["get_weather", PLACE]];

  for (const [how, send] of [
    ["whole", ask],
    ["streamed", stream],
  ] as const) {
    test(`a call that the model makes by itself: ${how}`, async () => {
      const answer = await send(target(), CALL);
      expect(callsOf(answer)).toEqual(WEATHER);
      expect(answer.choices[0]?.message.content ?? "").toBe("");
    });

    test(`a call that must be made: ${how}`, async () => {
      const forced = JSON.stringify([{ name: "get_weather", parameters: PLACE }]);
      expect(callsOf(await send(target(), forced, { tool_choice: "required" }))).toEqual(WEATHER);
    });

    test(`a call of the tool that is named: ${how}`, async () => {
      const answer = await send(target(), JSON.stringify(PLACE), {
        tool_choice: { type: "function", function: { name: "get_weather" } },
      });
      const [finish, ...calls] = callsOf(answer);
      // OpenAI says "stop" of a call that it was told to make, engines say both.
      expect(finish).toBeOneOf(["stop", "tool_calls"]);
      expect(calls).toEqual([["get_weather", PLACE]]);
    });

    test(`no call where none may be made: ${how}`, async () => {
      const answer = await send(target(), CALL, { tool_choice: "none" });
      expect(callsOf(answer)).toEqual(["stop"]);
      if (target().tiny) expect(answer.choices[0]?.message.content).toBe(CALL);
    });
  }

  test("a call is a tool use in Anthropic's shape", async () => {
    if (target().refused.includes("/v1/messages")) return;
    const anthropic = new Anthropic({ baseURL: target().gateway.url, apiKey: "x", maxRetries: 0 });
    const body: Anthropic.MessageCreateParamsNonStreaming = {
      model: target().model,
      max_tokens: 200,
      messages: [{ role: "user", content: `SAY:${CALL}` }],
      tools: [{ name: "get_weather", input_schema: { type: "object", properties: { place: { type: "string" } } } }],
    };
    const answer = await anthropic.messages.create(body);
    expect([answer.stop_reason, answer.content]).toMatchObject(["tool_use", [{ name: "get_weather", input: PLACE }]]);
    const final = await anthropic.messages.stream(body).finalMessage();
    expect([final.stop_reason, final.content]).toMatchObject(["tool_use", [{ name: "get_weather", input: PLACE }]]);
  });
});

overTargets(
  (target) => {
    test("arguments come in pieces, as they are written", async () => {
      const { client, model } = target();
      const pieces: string[] = [];
      for await (const { choices } of await client.chat.completions.create({
        model,
        messages: [{ role: "user", content: `SAY:${CALL}` }],
        tools,
        stream: true,
      })) {
        const [call] = choices[0]?.delta.tool_calls ?? [];
        if (call?.function?.arguments) pieces.push(call.function.arguments);
      }
      expect(pieces.length).toBeGreaterThan(3);
      expect(JSON.parse(pieces.join(""))).toEqual(PLACE);
    });

    test("two calls, and what is said before them", async () => {
      for (const send of [ask, stream]) {
        const answer = await send(target(), `Let me see.\n${CALL}\n${CALL.replaceAll("Crewe", "Didcot")}`);
        expect(callsOf(answer)).toEqual([
          "tool_calls",
          ["get_weather", PLACE],
          ["get_weather", { place: "Didcot Junction" }],
        ]);
        expect(answer.choices[0]?.message.content?.trimEnd()).toBe("Let me see.");
      }
    });

    test("what looks like a call and is none comes out as it was said", async () => {
      for (const nonsense of ["<tool_call>\nnot JSON at all\n</tool_call>", "<tool_call>", '{"name": 7}', "</think>"]) {
        for (const send of [ask, stream]) {
          const answer = await send(target(), nonsense);
          expect([nonsense, answer.choices[0]?.finish_reason]).toEqual([nonsense, "stop"]);
          expect(answer.choices[0]?.message.tool_calls ?? []).toEqual([]);
        }
      }
      expect((await ask(target(), "<tool_call>\nnot JSON at all\n</tool_call>")).choices[0]?.message.content).toContain(
        "not JSON at all",
      );
    });

    test("the tools stand in the prompt, and calls and their results do", async () => {
      const { client, model, prompt } = target();
      await client.chat.completions.create({
        model,
        tools,
        messages: [
          { role: "user", content: "What is the weather?" },
          {
            role: "assistant",
            tool_calls: [{ id: "c1", type: "function", function: { name: "get_weather", arguments: '{"place":"X"}' } }],
          },
          { role: "tool", tool_call_id: "c1", content: "rain, says the tool" },
        ],
      });
      expect(prompt()).toContain('"name": "look_up"');
      expect(prompt()).toContain("<tool_call>");
      expect(prompt()).toContain("rain, says the tool");
    });

    test("a forced call is a constraint that the engine gets", async () => {
      await ask(target(), JSON.stringify([{ name: "look_up", parameters: {} }]), { tool_choice: "required" });
      expect(JSON.stringify(target().asked().schema)).toContain("get_weather");
      await ask(target(), "{}", { tool_choice: { type: "function", function: { name: "look_up" } } });
      expect(target().asked().schema).toEqual({ type: "object", properties: {} });
    });
  },
  ["grpc", "grpc_pd"],
);
