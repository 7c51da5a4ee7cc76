import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startEngine, startRawEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway();
});
afterAll(async () => {
  expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
  await gateway[Symbol.asyncDispose]();
});

describe("a worker that breaks the connection before it answers", () => {
  test("row 4: reset after the request was read: one more try elsewhere, and two generations at most", async () => {
    await using broken = await startRawEngine(({ reset }) => reset());
    await using engine = await startEngine({ model: "m4" });
    await using _served = await gateway.serve("m4", [broken.url, engine.url]);
    const statuses = await Promise.all(
      Array.from({ length: 4 }, async () => (await post(`${gateway.url}/v1/chat/completions`, chat("m4"))).status),
    );
    expect(statuses).toEqual([200, 200, 200, 200]);
    expect(broken.generations).toBeLessThanOrEqual(4);
    expect(engine.stats.started).toBe(4);
  });
});
