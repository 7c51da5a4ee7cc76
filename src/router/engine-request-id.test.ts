import { expect, test } from "bun:test";
import { engineRequestId } from "./engine-request-id.ts";

test("no two requests have one id at an engine, and each begins with the client's", () => {
  const ids = Array.from({ length: 1000 }, () => engineRequestId({ requestId: "session-1" }));
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^session-1-[0-9a-f]{8}[0-9a-z]+$/);
});
