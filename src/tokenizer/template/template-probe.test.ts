import { describe, expect, test } from "bun:test";
import type { AnyRecord } from "../../util/objects.ts";
import { emptyContent, probeContent, showsDeveloper, wantsArgumentText } from "./template-probe.ts";

type Render = (messages: readonly AnyRecord[], tools: readonly AnyRecord[]) => string;

/** Prints strings as they are. */
const strings: Render = (messages) =>
  messages.map(({ content }) => (typeof content === "string" ? content : "")).join("");
/** Prints the texts of parts and nothing of a string. */
const parts: Render = (messages) =>
  messages
    .flatMap(({ content }) => (Array.isArray(content) ? content : []))
    .map((part: { text: string }) => part.text)
    .join("");
/** Prints whatever there is as Python prints a list. */
const printed: Render = (messages) => messages.map(({ content }) => JSON.stringify(content)).join("");
const refuses: Render = () => {
  throw new Error("no");
};
const callOf = (messages: readonly AnyRecord[]): unknown => {
  const calls = messages.find((message) => message["tool_calls"])?.["tool_calls"] as
    | { function: { arguments: unknown } }[]
    | undefined;
  return calls?.[0]?.function.arguments;
};

describe("the content of a role", () => {
  for (const role of ["user", "system", "assistant", "tool"]) {
    test(`${role}: a template that prints both takes both`, () => {
      const both: Render = (messages, tools) => strings(messages, tools) + parts(messages, tools);
      expect(probeContent(both, role, true)).toEqual({ takesParts: true, takesStrings: true });
    });
  }

  test("is parts only, for a template that prints no string", () => {
    expect(probeContent(parts, "user", true)).toEqual({ takesParts: true, takesStrings: false });
  });

  test("is a string, for a template that prints no parts and does not go through them", () => {
    expect(probeContent(strings, "user", false)).toEqual({ takesParts: false, takesStrings: true });
  });

  test("is a string, for a template that prints a list as it stands", () => {
    expect(probeContent(printed, "user", false).takesParts).toBe(false);
  });

  test("is a string, for a template that prints the first part only", () => {
    const first: Render = (messages, tools) => parts(messages, tools).replace("SecondProbe", "");
    expect(probeContent(first, "user", true).takesParts).toBe(false);
  });

  test("of a template that refuses every chat is what its source says", () => {
    expect(probeContent(refuses, "user", true).takesParts).toBe(true);
    expect(probeContent(refuses, "user", false).takesParts).toBe(false);
  });
});

test("a template shows a developer where it prints what the developer says", () => {
  expect([showsDeveloper(strings), showsDeveloper(refuses)]).toEqual([true, false]);
  expect(
    showsDeveloper((messages) =>
      strings(
        messages.filter(({ role }) => role !== "developer"),
        [],
      ),
    ),
  ).toBe(false);
});

describe("a call without text", () => {
  test("has none as its content where the template prints nothing for it", () => {
    expect(emptyContent(strings)).toBeNull();
  });

  test("has an empty content where the template would print none, or refuses it", () => {
    expect(emptyContent((messages) => messages.map(({ content }) => (content === null ? "None" : "")).join())).toBe("");
    const fussy: Render = (messages) => {
      if (messages.some(({ content }) => content === null)) throw new Error("none");
      return "";
    };
    expect(emptyContent(fussy)).toBe("");
  });

  test("has none where the template refuses both", () => {
    expect(emptyContent(refuses)).toBeNull();
  });
});

describe("arguments of a call", () => {
  test("are wanted as an object by a template that writes it as JSON", () => {
    expect(wantsArgumentText((messages) => JSON.stringify(callOf(messages)), "")).toBe(false);
  });

  test("are wanted as text by a template that prints an object as Python does, or fails on it, and prints text", () => {
    const python: Render = (messages) => {
      const args = callOf(messages);
      return typeof args === "string" ? args : "{'probe': 'value'}";
    };
    const fails: Render = (messages) => {
      const args = callOf(messages);
      if (typeof args !== "string") throw new Error("concatenation");
      return args;
    };
    expect([wantsArgumentText(python, ""), wantsArgumentText(fails, "")]).toEqual([true, true]);
  });

  test("are not wanted as text by a template that prints neither", () => {
    expect([wantsArgumentText(refuses, ""), wantsArgumentText(() => "", "")]).toEqual([false, false]);
  });
});
