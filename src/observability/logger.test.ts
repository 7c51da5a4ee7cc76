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
