import { describe, expect, test } from "bun:test";
import { GatewayError } from "../../errors/errors.ts";
import { REASONING_PARSERS } from "../../parser/reasoning-parsers.ts";
import { TOOL_CALL_PARSERS } from "../../parser/tool-call-parsers.ts";
import { endpointAt } from "../../../test/support/endpoints.ts";
import { readJsonBody } from "../../protocol/json/json-body.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import { Parsing } from "./parse.ts";

/** The answer of a route to a body; for an error its code, param and message. */
async function ask(path: string, body: unknown): Promise<unknown> {
  try {
    return await new Parsing().parse(await asked(path, body));
  } catch (error) {
    if (error instanceof GatewayError) return [error.code, error.details.param, error.message];
    throw error;
  }
}

async function asked(
  path: string,
  body: unknown,
): Promise<Parameters<Parsing["parse"]>[0] & { signal: LeaveController }> {
  const endpoint = endpointAt(path);
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  return { endpoint, body: await readJsonBody(bytes), signal: new LeaveController() };
}

const TOOLS = [
  {
    type: "function",
    function: { name: "add", parameters: { type: "object", properties: { x: { type: "integer" } } } },
  },
];

describe("/parse/function_call", () => {
  const CALLS = "/parse/function_call";

  test("gives calls as a chat answer has them, and the text around them", async () => {
    const text = 'I add.<tool_call>{"name":"add","arguments":{"x":1}}</tool_call>';
    expect(await ask(CALLS, { text, tool_call_parser: "hermes", tools: TOOLS })).toEqual({
      remaining_text: "I add.",
      tool_calls: [
        {
          id: expect.stringMatching(/^call_[0-9a-f]{24}$/),
          type: "function",
          function: { name: "add", arguments: '{"x":1}' },
        },
      ],
      success: true,
    });
  });

  test("reads arguments by the schema of the tool, given in a chat request's form or alone", async () => {
    const text = "<tool_call><function=add><parameter=x>2</parameter></function></tool_call>";
    for (const tools of [TOOLS, TOOLS.map((tool) => tool.function)]) {
      expect(await ask(CALLS, { text, tool_call_parser: "qwen_xml", tools })).toMatchObject({
        tool_calls: [{ function: { name: "add", arguments: '{"x":2}' } }],
      });
    }
  });

  test("text without a call is what remains", async () => {
    const body = { text: "add(1) is 2", tool_call_parser: "pythonic" };
    expect(await ask(CALLS, body)).toEqual({ remaining_text: body.text, tool_calls: [], success: true });
    expect(await ask(CALLS, { ...body, text: "", tools: null })).toMatchObject({ remaining_text: "" });
  });

  test("an unknown parser is answered with the names that there are", async () => {
    const names = Object.keys(TOOL_CALL_PARSERS).join(", ");
    const refusal = ["invalid_request", "tool_call_parser", `tool_call_parser must be one of ${names}`];
    for (const name of ["gpt", "", "toString", undefined]) {
      expect(await ask(CALLS, { text: "a", tool_call_parser: name, tools: [] })).toEqual(refusal);
    }
  });

  test("a wrong body is told what is wrong with it", async () => {
    const body = { text: "a", tool_call_parser: "hermes", tools: [] };
    const wrong = async (change: object): Promise<unknown> => ask(CALLS, { ...body, ...change });
    expect(await wrong({ text: undefined })).toEqual(["invalid_request", "text", "text must be a string"]);
    expect(await wrong({ text: 7 })).toEqual(["invalid_request", "text", "text must be a string"]);
    expect(await wrong({ tools: {} })).toEqual(["invalid_request", "tools", "tools must be a list"]);
    expect(await wrong({ tools: ["add"] })).toEqual(["invalid_request", "tools[0]", "tools[0] must be an object"]);
    expect(await wrong({ tools: [{ function: {} }] })).toEqual([
      "invalid_request",
      "tools[0].function.name",
      "tools[0].function.name must be a non-empty string",
    ]);
    expect(await ask(CALLS, "{")).toContain("invalid_json");
    expect(await ask(CALLS, [])).toContain("invalid_body");
    expect(await wrong({ text: "a".repeat(1024 * 1024) })).toContain("request_too_large");
  });
});

describe("/parse/reasoning", () => {
  const REASONING = "/parse/reasoning";

  test("tells reasoning from the rest", async () => {
    expect(await ask(REASONING, { text: "<think>hm</think>Yes.", reasoning_parser: "qwen3" })).toEqual({
      normal_text: "Yes.",
      reasoning_text: "hm",
      success: true,
    });
    expect(await ask(REASONING, { text: "hm</think>Yes.", reasoning_parser: "deepseek_r1" })).toMatchObject({
      normal_text: "Yes.",
      reasoning_text: "hm",
    });
  });

  test("an unknown parser is answered with the names that there are", async () => {
    const names = Object.keys(REASONING_PARSERS).join(", ");
    expect(await ask(REASONING, { text: "a", reasoning_parser: "hermes" })).toEqual([
      "invalid_request",
      "reasoning_parser",
      `reasoning_parser must be one of ${names}`,
    ]);
    expect(await ask(REASONING, { text: "a", reasoning_parser: 7 })).toContain("invalid_request");
  });
});

describe("texts that are parsed", () => {
  const REASONING = "/parse/reasoning";
  const body = { text: `<think>${"a ".repeat(200_000)}</think>b`, reasoning_parser: "deepseek_r1" };

  test("are so one at a time, with turns of the loop between the steps", async () => {
    const parsing = new Parsing();
    const order: number[] = [];
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (order.length < 3) setImmediate(count);
    };
    setImmediate(count);
    const all = [0, 1, 2].map(async (index) => {
      const answer = await parsing.parse(await asked(REASONING, body));
      order.push(index);
      return answer;
    });
    expect(new Set((await Promise.all(all)).map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(order).toEqual([0, 1, 2]);
    // 400,000 characters in steps of 16,384, three times.
    expect(turns).toBeGreaterThan(60);
  });

  test("are left where they are when the client leaves, and the next goes on", async () => {
    const parsing = new Parsing();
    const left = await asked(REASONING, body);
    const first = parsing.parse(left).catch((error: unknown) => error);
    const next = parsing.parse(await asked(REASONING, { ...body, text: "<think>c</think>d" }));
    left.signal.leave("gone");
    expect(await first).toMatchObject({ code: "client_closed" });
    expect(await next).toMatchObject({ reasoning_text: "c", normal_text: "d" });
  });
});
