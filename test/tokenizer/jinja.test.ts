import { describe, expect, test } from "bun:test";
import { ChatTemplate } from "../../src/tokenizer/chat-template.ts";
import answers from "./fixtures/jinja-answers.json" with { type: "json" };

interface Answer {
  readonly template: string;
  /** Not there where Python refuses. */
  readonly text?: string;
}

function render(template: string): string {
  return ChatTemplate.compile(template).render({ messages: [], addGenerationPrompt: false }).text;
}

describe("a template gives what Jinja2 gives in Python, and is refused where it is there", () => {
  const all: readonly Answer[] = answers;
  for (const { template, text } of all) {
    // Every template has messages here, and Python had none.
    if (/\bmessages\b/.test(template)) continue;
    test(template, () => {
      if (text === undefined) expect(() => render(template)).toThrow();
      else expect(render(template)).toBe(text);
    });
  }
});
