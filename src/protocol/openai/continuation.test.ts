import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../../test/support/answers.ts";
import type { JsonObject } from "../json/json.ts";
import { type Continuation, continueChat, continueCompletion } from "./continuation.ts";

const MESSAGES = [{ role: "user", content: "Count." }];

/** The continuation of a chat, or of a completion where the body has a prompt. */
function begun(body: JsonObject): Continuation {
  const continuation = "prompt" in body ? continueCompletion(bodyOf(body)) : continueChat(bodyOf(body));
  if (!continuation) throw new Error("this body cannot be continued");
  return continuation;
}

function chunk(content: string, more: JsonObject = {}): JsonObject {
  return { id: "a", model: "m", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more };
}

function text(content: string): JsonObject {
  return { id: "a", choices: [{ index: 0, text: content, finish_reason: null }] };
}

function next(continuation: Continuation): unknown {
  const body = continuation.nextBody();
  return body && JSON.parse(Buffer.from(body).toString());
}

describe("a chat whose worker was lost", () => {
  test("is asked for again with the text so far as the beginning of the answer", () => {
    const continuation = begun({ messages: MESSAGES, temperature: 0 });
    for (const content of ["One, ", "two,"]) continuation.observe(chunk(content));
    expect(next(continuation)).toEqual({
      messages: [...MESSAGES, { role: "assistant", content: "One, two," }],
      temperature: 0,
      continue_final_message: true,
      add_generation_prompt: false,
    });
    expect(continuation.isContinuing).toBe(true);
  });

  test("is asked for anew where the client has no text yet", () => {
    const continuation = begun({ messages: MESSAGES });
    continuation.observe(chunk(""));
    expect(next(continuation)).toEqual({ messages: MESSAGES });
  });

  test("shows white space once that the template trims and the next worker writes again", () => {
    const continuation = begun({ messages: MESSAGES });
    continuation.observe(chunk("One, \n"));
    expect(next(continuation)).toMatchObject({ messages: [{}, { content: "One," }] });
    expect(continuation.rewrite(chunk(" "))).toBeUndefined();
    expect(continuation.rewrite(chunk("\ntwo"))).toMatchObject({ choices: [{ delta: { content: "two" } }] });
    expect(continuation.rewrite(chunk(" \nthree"))).toMatchObject({ choices: [{ delta: { content: " \nthree" } }] });
  });

  test("keeps the id and the model that its first events had", () => {
    const continuation = begun({ messages: MESSAGES });
    continuation.observe(chunk("One", { created: 7 }));
    continuation.nextBody();
    expect(continuation.rewrite(chunk(", two", { id: "b", model: "other", created: 9 }))).toMatchObject({
      id: "a",
      model: "m",
      created: 7,
    });
  });

  test("may have as many tokens more as are left of its limits", () => {
    const limits = { max_tokens: 10, max_completion_tokens: 12, min_tokens: 4 };
    const continuation = begun({ messages: MESSAGES, ...limits });
    for (const content of ["a", "b", "c"]) continuation.observe(chunk(content));
    expect(next(continuation)).toMatchObject({ max_tokens: 7, max_completion_tokens: 9, min_tokens: 1 });
  });

  test("gets only its end where it was as long as it may be", () => {
    const continuation = begun({ messages: MESSAGES, max_tokens: 2 });
    for (const content of ["a", "b"]) continuation.observe(chunk(content));
    expect(next(continuation)).toMatchObject({ max_tokens: 1 });
    expect(continuation.rewrite(chunk("c"))).toBeUndefined();
    const end = { id: "b", choices: [{ index: 0, delta: { content: "d" }, finish_reason: "length" }] };
    expect(continuation.rewrite(end)).toMatchObject({ choices: [{ delta: {}, finish_reason: "length" }] });
  });

  test("has the counts of all its workers together", () => {
    const continuation = begun({ messages: MESSAGES });
    continuation.observe(chunk("One", { usage: { prompt_tokens: 5, completion_tokens: 1 } }));
    continuation.nextBody();
    const last = chunk(", two", { usage: { prompt_tokens: 6, completion_tokens: 3, total_tokens: 9, extra: true } });
    expect(continuation.rewrite(last)).toMatchObject({
      usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9, extra: true },
    });
    expect(continuation.usage).toMatchObject({ promptTokens: 5, completionTokens: 4 });
  });

  test("cannot be continued once it had more than text", () => {
    for (const delta of [{ tool_calls: [{}] }, { reasoning_content: "hm" }, { refusal: "no" }]) {
      const continuation = begun({ messages: MESSAGES });
      continuation.observe({ id: "a", choices: [{ index: 0, delta }] });
      expect(continuation.nextBody()).toBeUndefined();
    }
  });
});

describe("a completion whose worker was lost", () => {
  test("is asked for again with the text behind its prompt, white space included", () => {
    const continuation = begun({ prompt: 'Say "a', max_tokens: 5 });
    continuation.observe(text('b"\n '));
    expect(next(continuation)).toEqual({ prompt: 'Say "ab"\n ', max_tokens: 4 });
    expect(continuation.rewrite(text(" c"))).toMatchObject({ choices: [{ text: " c" }] });
  });
});

describe("a body", () => {
  test("is continued where it asks for one answer of plain text", () => {
    for (const more of [{}, { n: 1 }, { logprobs: false }, { response_format: { type: "text" } }, { echo: null }]) {
      expect([more, continueChat(bodyOf({ messages: MESSAGES, ...more })) !== undefined]).toEqual([more, true]);
    }
  });

  test("is not continued where text alone does not say how far the answer was", () => {
    const refused = [
      { n: 2 },
      { logprobs: true },
      { logprobs: 5 },
      { regex: "a+" },
      { response_format: { type: "json_object" } },
    ];
    for (const more of refused) expect(continueChat(bodyOf({ messages: MESSAGES, ...more }))).toBeUndefined();
    for (const prompt of [
      ["a", "b"],
      [1, 2],
    ])
      expect(continueCompletion(bodyOf({ prompt }))).toBeUndefined();
    expect(continueCompletion(bodyOf({}))).toBeUndefined();
  });
});
