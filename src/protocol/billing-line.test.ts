import { describe, expect, test } from "bun:test";
import { billingLineIn, withoutBillingLine } from "./billing-line.ts";

const LINE = "x-anthropic-billing-header: cc_version=2.1.177; cch=36ee5;";

test("a system prompt loses the line at its beginning, and nowhere else", () => {
  expect(withoutBillingLine(`${LINE}\nYou are kind.`)).toBe("You are kind.");
  expect(withoutBillingLine(LINE)).toBe("");
  expect(withoutBillingLine(`Hi\n${LINE}\n`)).toBe(`Hi\n${LINE}\n`);
});

describe("within the bytes of a member", () => {
  /** The member without the line. */
  function without(member: string): string {
    const bytes = Buffer.from(member);
    const line = billingLineIn(bytes);
    return line ? bytes.toString("utf8", 0, line.start) + bytes.toString("utf8", line.end) : member;
  }

  test("the line ends with its line feed, or with its string", () => {
    expect(without(JSON.stringify(`${LINE}\nYou are kind.`))).toBe('"You are kind."');
    expect(without(JSON.stringify([{ type: "text", text: LINE }, { text: "b" }]))).toBe(
      '[{"type":"text","text":""},{"text":"b"}]',
    );
  });

  test("escapes are part of the line", () => {
    expect(without(JSON.stringify(`${LINE} "\\ ü\nrest`))).toBe('"rest"');
  });

  test("a member that has the line elsewhere in a string, or far behind its beginning, stays", () => {
    for (const text of [`a ${LINE}\n`, "no line"]) expect(without(JSON.stringify(text))).toBe(JSON.stringify(text));
    const far = JSON.stringify(["x".repeat(600), LINE]);
    expect(without(far)).toBe(far);
  });

  test("a line that does not end within some thousand bytes is none", () => {
    const long = JSON.stringify(LINE + "x".repeat(5000));
    expect(without(long)).toBe(long);
  });
});
