import { expect, test } from "bun:test";
import { configSchema } from "../config/schema.ts";
import { Secret } from "../util/secret.ts";
import { anyStart } from "../../test/support/start-message.ts";

test("the message crosses to another thread, and its configuration is the one that it was made of", () => {
  const start = anyStart({ apiKey: new Secret("a-key"), maxConcurrentRequests: 7, continueStreams: ["m*"] });
  const config = configSchema.parse(structuredClone(start).config);
  expect([config.apiKey?.reveal(), config.maxConcurrentRequests, config.continueStreams, config.threads]).toEqual([
    "a-key",
    7,
    ["m*"],
    2,
  ]);
});

test("memory is shared, not copied", () => {
  const start = anyStart();
  new Int32Array(start.ledger)[0] = 41;
  expect(new Int32Array(structuredClone(start).ledger)[0]).toBe(41);
});
