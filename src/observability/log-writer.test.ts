import { expect, test } from "bun:test";
import { jsonLine } from "./log-line.ts";
import { type LogOutput, LogWriter } from "./log-writer.ts";

/** An output whose reader can hang. */
function output(): LogOutput & { readonly text: string; hang(): void; resume(): void } {
  let text = "";
  let hanging: PromiseWithResolvers<number> | undefined;
  return {
    get text() {
      return text;
    },
    write(line) {
      text += line;
      return line.length;
    },
    flush: () => hanging?.promise ?? 0,
    hang() {
      hanging = Promise.withResolvers<number>();
    },
    resume() {
      hanging?.resolve(0);
      hanging = undefined;
    },
  };
}

test("lines go out in order", async () => {
  const out = output();
  const writer = new LogWriter(out, jsonLine);
  writer.write("one\n");
  writer.write("two\n");
  await writer.flush();
  expect(out.text).toBe("one\ntwo\n");
});

test("a reader that hangs costs a bounded amount of memory, and is told what it missed", async () => {
  const out = output();
  const writer = new LogWriter(out, jsonLine);
  out.hang();
  const flushing = writer.flush();
  const line = `${"x".repeat(999)}\n`;
  for (let count = 0; count < 5000; count += 1) writer.write(line);
  expect(out.text.length).toBeLessThan(1_100_000);
  expect(writer.dropped).toBeGreaterThan(3900);
  const { dropped } = writer;
  out.resume();
  await flushing;
  await writer.flush();
  writer.write("again\n");
  await writer.flush();
  expect(out.text).toContain(`"dropped":${dropped}`);
  expect(out.text.endsWith("again\n")).toBe(true);
});

test("an output that fails does not stop who writes", async () => {
  const writer = new LogWriter(
    {
      write: () => {
        throw new Error("EPIPE");
      },
      flush: () => Promise.reject(new Error("EPIPE")),
    },
    jsonLine,
  );
  writer.write("one\n");
  await writer.flush();
});
