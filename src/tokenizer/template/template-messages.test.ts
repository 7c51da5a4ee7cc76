import { describe, expect, test } from "bun:test";
import { OWN_FORM, type TextForm } from "../../protocol/chat-form.ts";
import { GatewayError } from "../../errors/errors.ts";
import type { AnyRecord } from "../../util/objects.ts";
import { type MessageTraits, prepareMessages } from "./template-messages.ts";

/** A template that takes strings, objects as arguments, and no developer. */
const PLAIN: MessageTraits = {
  emptyContent: () => "",
  loopsOverContent: false,
  takesDeveloper: () => false,
  wantsArgumentText: () => false,
  contentOf: () => ({ takesParts: false, takesStrings: true }),
};

function prepared(message: AnyRecord, traits: Partial<MessageTraits> = {}, form: Partial<TextForm> = {}): AnyRecord {
  return prepareMessages([message], { ...PLAIN, ...traits }, { ...OWN_FORM.text, ...form })[0] ?? {};
}

function callWith(args: unknown): AnyRecord {
  return { role: "assistant", content: "", tool_calls: [{ id: "1", function: { name: "f", arguments: args } }] };
}

function argumentsOf(message: AnyRecord): unknown {
  const calls = message["tool_calls"] as { function: { arguments: unknown } }[];
  return calls[0]?.function.arguments;
}

describe("content", () => {
  const parts = [{ type: "input_text", text: "a" }, "b"];

  test("in parts stays in parts for a template that takes them, under the names that templates know", () => {
    const traits = { contentOf: () => ({ takesParts: true, takesStrings: true }) };
    const image = { type: "image_url", image_url: { url: "u" } };
    expect(prepared({ role: "user", content: [...parts, image] }, traits)["content"]).toEqual([
      { type: "text", text: "a" },
      { type: "text", text: "b" },
      { type: "image", image_url: { url: "u" } },
    ]);
  });

  test("in parts is joined by line feeds for a template that takes strings", () => {
    expect(prepared({ role: "user", content: parts })["content"]).toBe("a\nb");
  });

  test("that is no text is refused with its place where a template takes text only", () => {
    const messages = [
      { role: "user", content: "x" },
      { role: "user", content: [{ type: "image_url" }] },
    ];
    expect(() => prepareMessages(messages, PLAIN, OWN_FORM.text)).toThrow(GatewayError);
    expect(() => prepareMessages(messages, PLAIN, OWN_FORM.text)).toThrow("this model takes text only");
  });

  test("as a string becomes a part for a template that goes through parts and prints no string", () => {
    const traits = { loopsOverContent: true, contentOf: () => ({ takesParts: true, takesStrings: false }) };
    expect(prepared({ role: "user", content: "a" }, traits)["content"]).toEqual([{ type: "text", text: "a" }]);
    expect(prepared({ role: "user", content: "a" })["content"]).toBe("a");
  });

  test("that an assistant's message leaves out is what the template takes for none", () => {
    for (const message of [{ role: "assistant" }, { role: "assistant", content: null }])
      expect([prepared(message)["content"], prepared(message, { emptyContent: () => null })["content"]]).toEqual([
        "",
        null,
      ]);
    expect("content" in prepared({ role: "user" })).toBe(false);
  });
});

describe("arguments of calls", () => {
  test("are the Python dictionary that their string is, and what is no object stays a string", () => {
    expect(argumentsOf(prepared(callWith('{"a":[1]}')))).toEqual(new Map([["a", [1]]]));
    expect(argumentsOf(prepared(callWith("not json")))).toBe("not json");
    expect([argumentsOf(prepared(callWith(" "))), argumentsOf(prepared(callWith(undefined)))]).toEqual([{}, {}]);
  });

  test("are a string for a template that wants one", () => {
    const text = { wantsArgumentText: () => true };
    expect(argumentsOf(prepared(callWith('{"a":1.0}'), text))).toBe('{"a":1.0}');
    expect(argumentsOf(prepared(callWith({ a: 1 }), text))).toBe('{"a":1}');
    expect([argumentsOf(prepared(callWith(""), text)), argumentsOf(prepared(callWith(undefined), text))]).toEqual([
      "{}",
      "{}",
    ]);
  });

  test("of what is no call are left alone", () => {
    const calls = ["x", { id: "1" }, null];
    expect(prepared({ role: "assistant", content: "", tool_calls: calls })["tool_calls"]).toEqual(calls);
  });
});

test("a developer is the system to a template that does not know the role", () => {
  expect(prepared({ role: "developer", content: "x" })["role"]).toBe("system");
  expect(prepared({ role: "developer", content: "x" }, { takesDeveloper: () => true })["role"]).toBe("developer");
});

test("the reasoning of an earlier answer has each of its names, and one that says null does not count", () => {
  const message = { role: "assistant", content: "x", reasoning_content: null, reasoning: "hm" };
  expect(prepared(message)).toMatchObject({ reasoning_content: "hm", thinking: "hm", reasoning: "hm" });
  expect(prepared({ role: "assistant", content: "x" })).toEqual({ role: "assistant", content: "x" });
});

test("the messages that come in are left as they are", () => {
  const message = Object.freeze({ role: "developer", content: Object.freeze(["a"]), reasoning: "hm" });
  prepared(message);
  expect(message).toEqual({ role: "developer", content: ["a"], reasoning: "hm" });
});

describe("in the form of a server", () => {
  const parts = [
    { type: "text", text: "a" },
    { type: "text", text: "" },
    { type: "text", text: "b" },
  ];
  const takesParts = { contentOf: () => ({ takesParts: true, takesStrings: true }) };

  test("parts are joined by its separator, with or without the empty ones", () => {
    const content = (form: Partial<TextForm>): unknown =>
      prepared({ role: "user", content: parts }, {}, form)["content"];
    expect([content({ separator: " " }), content({ keepsEmptyParts: false })]).toEqual(["a  b", "a\nb"]);
  });

  test("the result of a tool is a text, also where the template takes parts", () => {
    const result = { role: "tool", content: parts };
    expect(prepared(result, takesParts)["content"]).toEqual(parts);
    expect(prepared(result, takesParts, { joinsResults: true })["content"]).toBe("a\n\nb");
    expect(prepared({ role: "user", content: parts }, takesParts, { joinsResults: true })["content"]).toEqual(parts);
  });

  test("an assistant's message without content has an empty one, and its calls the members of the server", () => {
    const asksForNone = { emptyContent: () => null };
    const callOf: TextForm["callOf"] = ({ id }, { arguments: given, name }) => ({ id, function: { given, name } });
    const message = { ...callWith('{"x": 1}'), content: null };
    const [call] = prepared(message, asksForNone, { callOf })["tool_calls"] as unknown[];
    expect(JSON.stringify(call)).toContain('"name":"f"');
    expect(prepared(message, asksForNone)["content"]).toBeNull();
    expect(prepared(message, asksForNone, { keepsNone: false })["content"]).toBe("");
  });

  test("what a developer says becomes one system prompt with all others, if the template knows no developer", () => {
    const gathered = (messages: readonly AnyRecord[], traits: Partial<MessageTraits> = {}): AnyRecord[] =>
      prepareMessages(messages, { ...PLAIN, ...traits }, { ...OWN_FORM.text, gathersSystem: true });
    const user = { role: "user", content: "u" };
    const system = { role: "system", content: "s" };
    const developer = { role: "developer", content: parts };
    expect(gathered([system, user, developer])).toEqual([{ role: "system", content: "s\n\na\n\nb" }, user]);
    expect(gathered([user, developer])).toEqual([{ role: "system", content: "a\n\nb" }, user]);
    expect(gathered([developer, user])).toEqual([{ role: "system", content: "a\n\nb" }, user]);
    // Not touched where there is no developer, or the template takes one.
    expect(gathered([system, user, system])).toEqual([system, user, system]);
    expect(gathered([user, developer], { takesDeveloper: () => true })[1]?.["role"]).toBe("developer");
  });
});
