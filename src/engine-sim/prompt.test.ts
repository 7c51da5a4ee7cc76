import { describe, expect, test } from "bun:test";
import { batchPrompts, chatPrompt, responsesPrompt } from "./prompt.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const startsWith = (whole: Uint8Array, start: Uint8Array): boolean =>
  Buffer.from(whole).subarray(0, start.length).equals(Buffer.from(start));

describe("chat", () => {
  test("string content and the same text in parts make the same prompt", () => {
    const plain = chatPrompt({ messages: [{ role: "user", content: "hello" }] });
    const parts = chatPrompt({ messages: [{ role: "user", content: [{ type: "text", text: "hello" }] }] });
    expect(text(parts)).toBe(text(plain));
    expect(text(plain)).toContain("hello");
  });

  test("a conversation's next turn begins with the bytes of the last one", () => {
    const first = [
      { role: "system", content: "be kind" },
      { role: "user", content: "hi" },
    ];
    const next = [...first, { role: "assistant", content: "hello" }, { role: "user", content: "and?" }];
    expect(startsWith(chatPrompt({ messages: next }), chatPrompt({ messages: first }))).toBe(true);
  });

  test("other pictures, tools and roles make other prompts", () => {
    const picture = (url: string): Uint8Array =>
      chatPrompt({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }] });
    expect(text(picture("a"))).not.toBe(text(picture("b")));
    const messages = [{ role: "user", content: "x" }];
    expect(text(chatPrompt({ messages, tools: [{ type: "function" }] }))).not.toBe(text(chatPrompt({ messages })));
    expect(text(chatPrompt({ messages: [{ role: "system", content: "x" }] }))).not.toBe(text(chatPrompt({ messages })));
  });

  test("nonsense instead of messages is an empty prompt", () => {
    for (const messages of [undefined, null, 7, "x", {}, [], [7, null, "x"]]) {
      expect(chatPrompt({ messages })).toHaveLength(0);
    }
  });
});

test("completions and /generate take a string, token ids, and lists of either", () => {
  const all = (value: unknown): number[][] => batchPrompts(value).map((prompt) => [...prompt]);
  expect(batchPrompts("abc").map(text)).toEqual(["abc"]);
  expect(batchPrompts(["abc", "def"]).map(text)).toEqual(["abc", "def"]);
  expect(all([1, 258])).toEqual([[1, 0, 0, 0, 2, 1, 0, 0]]);
  expect(all([[1], [2]])).toEqual([
    [1, 0, 0, 0],
    [2, 0, 0, 0],
  ]);
  for (const nothing of [undefined, "", []]) expect(all(nothing)).toEqual([[]]);
});

test("responses have instructions, and an input of text or items", () => {
  expect(text(responsesPrompt({ instructions: "be kind", input: "hi" }))).toContain("be kind");
  expect(text(responsesPrompt({ input: [{ role: "user", content: [{ type: "input_text", text: "hi" }] }] }))).toContain(
    "hi",
  );
});
