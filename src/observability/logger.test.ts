import { expect, test } from "bun:test";
import { createLogger } from "./logger.ts";

test("a line is one JSON object with level, time, the fields and the message", async () => {
  let text = "";
  const logger = createLogger("info", "json", { write: (line) => (text += line).length, flush: () => 0 });
  logger.debug({ hidden: true }, "not at this level");
  logger.info({ request_id: 'a"b\n', missing: undefined, count: 3 }, "request");
  logger.warn({}, "alone");
  logger.error({ only: "fields" });
  await logger[Symbol.asyncDispose]();
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.map(({ time: _time, ...rest }) => rest)).toEqual([
    { level: 30, request_id: 'a"b\n', count: 3, msg: "request" },
    { level: 40, msg: "alone" },
    { level: 50, only: "fields" },
  ]);
  for (const { time } of lines) expect(new Date(String(time)).toISOString()).toBe(String(time));
});

test("a line without fields and without a message is JSON too", async () => {
  let text = "";
  const logger = createLogger("info", "json", { write: (line) => (text += line).length, flush: () => 0 });
  logger.info({});
  logger.info({}, "one");
  logger.info({ field: 1 }, "one");
  await logger[Symbol.asyncDispose]();
  const lines = text.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { level: 30, time: expect.any(String) },
    { level: 30, time: expect.any(String), msg: "one" },
    { level: 30, time: expect.any(String), field: 1, msg: "one" },
  ]);
});

test("a line whose fields are text already is as any other, and the text is made only where the line is written", async () => {
  const asked: string[] = [];
  const members = (name: string): string => {
    asked.push(name);
    return `"name":"${name}"`;
  };
  let text = "";
  const output = { write: (line: string): number => (text += line).length, flush: (): number => 0 };
  const logger = createLogger("info", "json", output);
  logger.infoMembers?.(members, "a", "request");
  logger.info({ name: "a" }, "request");
  logger.setLevel("warn");
  logger.infoMembers?.(members, "b", "request");
  await logger[Symbol.asyncDispose]();
  const [one, other, ...more] = text.trimEnd().split("\n");
  expect([one?.replace(/"time":"[^"]*"/, ""), asked, more]).toEqual([other?.replace(/"time":"[^"]*"/, ""), ["a"], []]);
  expect(createLogger("info", "text", output).infoMembers).toBeUndefined();
});
