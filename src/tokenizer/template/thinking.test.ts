import { expect, test } from "bun:test";
import { endsInReasoning, isWithinReasoning } from "./thinking.ts";

test("a prompt ends in reasoning where it ends with the opening of one, with white space behind it or without", () => {
  for (const start of ["<think>", "<seed:think>", "[THINK]", "<|START_THINKING|>"]) {
    expect([start, endsInReasoning(`assistant\n${start}`), endsInReasoning(`assistant\n${start}\n\n`)]).toEqual([
      start,
      true,
      true,
    ]);
  }
  expect(endsInReasoning("<think>\n\n</think>\n\n")).toBe(false);
  expect(endsInReasoning("<think> hm")).toBe(false);
  expect(endsInReasoning("")).toBe(false);
});

test("a text is within reasoning where the last opening has no end behind it", () => {
  expect(isWithinReasoning("<think> hm")).toBe(true);
  expect(isWithinReasoning("<think> hm </think> so <think> well")).toBe(true);
  expect(isWithinReasoning("<think> hm </think> so")).toBe(false);
  expect(isWithinReasoning("no marks at all")).toBe(false);
});

test("the end of another family's reasoning ends none", () => {
  expect(isWithinReasoning("<think> hm [/THINK]")).toBe(true);
});
