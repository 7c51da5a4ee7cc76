import { expect, test } from "bun:test";
import type { Worker } from "../../src/worker/worker.ts";
import { DEFAULT_SPEC } from "../../src/worker/worker-spec.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";

/** Adds a worker, and waits for the first answer to its probe. */
async function addWorker({ context }: TestGateway, url: string): Promise<Worker> {
  const { routerManager, healthChecker, workerRegistry } = context;
  const { worker } = routerManager.addWorker({ ...DEFAULT_SPEC, url, modelId: "any" });
  const { promise: changed, resolve } = Promise.withResolvers<void>();
  const unfollow = workerRegistry.onChange((_before, after) => {
    if (after?.id === worker.id && (after.lastError || after.status === "ready")) resolve();
  });
  healthChecker.probeSoon(worker.id);
  await changed;
  unfollow();
  return workerRegistry.get(worker.id) ?? worker;
}

test("a gateway does not become its own worker, and says why", async () => {
  await using gateway = await startGateway();
  const worker = await addWorker(gateway, gateway.url);
  expect([worker.status, worker.lastError?.code]).toEqual(["pending", "request_loop"]);
  expect(worker.lastError?.message).toContain("came back to this gateway");
  // As a ready worker of this model it would get the request, and pass it to itself.
  expect((await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, model: "any" })).status).toBe(503);
});

test("two gateways that are each other's workers pass a request on once", async () => {
  await using one = await startGateway();
  await using other = await startGateway();
  expect((await addWorker(one, other.url)).status).toBe("ready");
  expect((await addWorker(other, one.url)).status).toBe("ready");
  const headers = { via: "1.1 edge.example" };
  const answer = await post(`${one.url}/v1/chat/completions`, { ...HELLO, model: "any" }, headers);
  expect([answer.status, one.lines.length, other.lines.length]).toEqual([500, 1, 1]);
  // The other one's worker has refused it; what it said is in the other one's log.
  expect(other.lines[0]).toMatchObject({ status: 500, attempts: 1 });
});
