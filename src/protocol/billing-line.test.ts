import { describe, expect, test } from "bun:test";
import fc from "fast-check";
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
    const line = billingLineIn(bytes, 0, bytes.length);
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

  test("the line is found behind whatever looks like its beginning", () => {
    const piece = fc.constantFrom(
      '"',
      "x",
      '"x-',
      '"x-anthropic-',
      "billing-heade",
      ":",
      "header:",
      '"x-anthropic-billing-heade',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const before = pieces.join("");
        const bytes = Buffer.from(`${before}"${LINE}"`);
        expect(billingLineIn(bytes, 0, bytes.length)?.start).toBe(before.length + 1);
        expect(billingLineIn(Buffer.from(before), 0, before.length)).toBeUndefined();
      }),
    );
  });

  test("what stands beside the member is not looked at", () => {
    const bytes = Buffer.from(`"${LINE}" "${LINE}"`);
    expect(billingLineIn(bytes, 2, LINE.length + 4)).toBeUndefined();
    expect(billingLineIn(bytes, 0, bytes.length)).toEqual({ start: 1, end: LINE.length + 1 });
  });

  test("a line that does not end within some thousand bytes is none", () => {
    const long = JSON.stringify(LINE + "x".repeat(5000));
    expect(without(long)).toBe(long);
  });
});
