import { expect, test } from "bun:test";
import { freePort } from "../faults/free-port.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";

test("a gateway that joins a shared port knows the workers that are well, and does not wait for one that cannot be reached", async () => {
  await using engine = await startEngine();
  const since = performance.now();
  await using gateway = await startProcess([
    "--reuse-port",
    "--worker",
    engine.url,
    "--worker",
    `http://127.0.0.1:${freePort()}`,
  ]);
  // It would give up after 10 s.
  expect(performance.now() - since).toBeLessThan(8000);
  const answer = await post(`${gateway.url}/v1/chat/completions`, HELLO);
  expect([answer.status, (await answer.text()) !== ""]).toEqual([200, true]);
}, 30_000);
