import { EventEmitter } from "node:events";
import { expect, test } from "bun:test";
import { endWithoutOutput } from "./output-errors.ts";

function ended(error: Error): readonly [err: string, codes: readonly number[]] {
  const stdout = new EventEmitter();
  let err = "";
  const codes: number[] = [];
  endWithoutOutput(stdout, { err: (text) => (err += text), exit: (code) => void codes.push(code) });
  stdout.emit("error", error);
  return [err, codes];
}

test("a program whose reader has left ends without a word", () => {
  expect(ended(Object.assign(new Error("broken pipe"), { code: "EPIPE" }))).toEqual(["", [0]]);
});

test("a program that cannot write its output says why in one line, and fails", () => {
  const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  expect(ended(full)).toEqual(["pointsman: standard output cannot be written (ENOSPC)\n", [1]]);
});
