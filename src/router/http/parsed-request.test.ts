import { describe, expect, test } from "bun:test";
import { requestWith } from "../../../test/support/candidates.ts";
import { bodyOf } from "../../../test/support/answers.ts";
import { RequestRecord } from "../../observability/request-record.ts";
import type { OutputParserOptions } from "../../parser/create-output-parser.ts";
import { endpointAt } from "../../../test/support/endpoints.ts";
import type { InferenceRequest } from "../router.ts";
import { type ParsedOutputSettings, type ParsedRequest, withParser } from "./parsed-request.ts";
import { ManualClock } from "../../../test/support/manual-clock.ts";

const ALL: ParsedOutputSettings = { parsesOutput: () => true, toolCallParser: undefined, reasoningParser: undefined };
const PARAMETERS = { type: "object", properties: { x: { type: "integer" } } };
const TOOLS = [{ type: "function", function: { name: "add", parameters: PARAMETERS } }];

function requestOf(body: object, model: string, path: string): InferenceRequest {
  const endpoint = endpointAt(path);
  const record = new RequestRecord("r", endpoint.name, { settle: () => undefined }, new ManualClock());
  record.model = model;
  const { signal } = new AbortController();
  const features = requestWith({ model });
  return { endpoint, model, isStream: false, body: bodyOf(body), headers: new Headers(), features, record, signal };
}

function prepared(
  body: object,
  { model = "qwen3-8b", settings = ALL, path = "/v1/chat/completions" } = {},
): Promise<ParsedRequest> {
  return withParser(requestOf(body, model, path), settings);
}

async function parserOf(...given: Parameters<typeof prepared>): Promise<OutputParserOptions | undefined> {
  return (await prepared(...given)).parser;
}

describe("the parsers of an answer", () => {
  test("are those of the model's name, calls only where there are tools that may be called", async () => {
    const add = { name: "add", parameters: PARAMETERS };
    expect(await parserOf({ tools: TOOLS })).toMatchObject({ toolCalls: "qwen", reasoning: "qwen3", tools: [add] });
    const without = { toolCalls: undefined, reasoning: "qwen3", tools: [] } as const;
    expect(await parserOf({})).toMatchObject(without);
    expect(await parserOf({ tools: TOOLS, tool_choice: "none" })).toMatchObject(without);
    expect(await parserOf({ tools: [7, {}, { function: { name: 7 } }] })).toMatchObject(without);
    expect(await parserOf({ tools: "all" })).toMatchObject(without);
  });

  test("are those that the configuration names, or none", async () => {
    const settings = { ...ALL, toolCallParser: "hermes", reasoningParser: "none" } as const;
    const parser = await parserOf({ tools: TOOLS }, { model: "somebody's", settings });
    expect([parser?.toolCalls, parser?.reasoning]).toEqual(["hermes", undefined]);
    expect(await parserOf({}, { settings })).toBeUndefined();
  });

  test("reasoning stays in the text where the client wants it there", async () => {
    for (const body of [{ separate_reasoning: false }, { include_reasoning: false }]) {
      expect(await parserOf(body)).toBeUndefined();
    }
  });

  test("there are none for other models, other routes, and models that nobody knows", async () => {
    const settings = { ...ALL, parsesOutput: (model: string) => model === "other" };
    expect(await parserOf({ tools: TOOLS }, { settings })).toBeUndefined();
    expect(await parserOf({ tools: TOOLS }, { path: "/v1/completions" })).toBeUndefined();
    expect(await parserOf({ tools: TOOLS }, { model: "nobody" })).toBeUndefined();
  });

  test("an answer that was begun does not begin in reasoning, unless its beginning opens it", async () => {
    const model = "deepseek-r1";
    const begun = (content: string): object => ({
      messages: [{ role: "assistant", content }],
      continue_final_message: true,
    });
    expect((await parserOf({}, { model }))?.startsInReasoning).toBeUndefined();
    expect((await parserOf(begun("So"), { model }))?.startsInReasoning).toBe(false);
    expect((await parserOf(begun("<think>\n"), { model }))?.startsInReasoning).toBe(true);
  });

  test("calls of the conversation are counted for families that number them", async () => {
    const body = { tools: TOOLS, messages: [{ role: "user" }, { tool_calls: [{}, {}] }, { tool_calls: [{}] }] };
    expect((await parserOf(body, { model: "kimi-k2" }))?.historyToolCalls).toBe(3);
    expect((await parserOf(body))?.historyToolCalls).toBe(0);
  });
});

describe("special tokens", () => {
  const asked = async (...given: Parameters<typeof prepared>): Promise<unknown> =>
    (await prepared(...given)).body.value("skip_special_tokens");

  test("are asked for where the parser reads them, unless the client has said", async () => {
    const model = "mistral-small";
    expect(await asked({ tools: TOOLS }, { model })).toBe(false);
    expect(await asked({ tools: TOOLS, skip_special_tokens: null }, { model })).toBe(false);
    expect(await asked({ tools: TOOLS, skip_special_tokens: true }, { model })).toBe(true);
    expect(await asked({}, { model })).toBeUndefined();
  });

  test("otherwise the engine gets the client's bytes", async () => {
    const request = requestOf({ tools: TOOLS }, "qwen3-8b", "/v1/chat/completions");
    expect((await withParser(request, ALL)).body).toBe(request.body);
  });
});
