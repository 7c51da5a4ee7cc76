import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { ELSEWHERE, type GatewayProcess, startProcess } from "../support/process.ts";

/** What holds for routing and for the registries holds with one thread and with several. */

/** A connection of its own for each request, so that the kernel spreads them over the threads. */
function chat(gateway: GatewayProcess, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return post(`${gateway.url}/v1/chat/completions`, body, { connection: "close", ...headers });
}

async function addWorker(gateway: GatewayProcess, spec: object): Promise<string> {
  const response = await post(`${gateway.url}/workers?wait=true`, spec, { connection: "close" });
  return ((await response.json()) as { id: string }).id;
}

function statuses(count: number, send: (index: number) => Promise<Response>): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, async (_, index) => (await send(index)).status));
}

for (const threads of [1, 3]) {
  const start = (...args: string[]): Promise<GatewayProcess> =>
    startProcess(["--threads", String(threads), "--worker-startup-check-interval", "0.05", ...args]);

  describe(`with ${threads} threads`, () => {
    test("requests go round, and are counted together", async () => {
      await using one = await startEngine();
      await using two = await startEngine();
      await using gateway = await start("--policy", "round_robin");
      await addWorker(gateway, { url: one.url });
      await addWorker(gateway, { url: two.url });
      expect(new Set(await statuses(40, () => chat(gateway, HELLO)))).toEqual(new Set([200]));
      expect([one.stats.started, two.stats.started]).toEqual([20, 20]);
      expect(await gateway.metric("pointsman_requests_total", { status: "200" })).toBe(40);
      expect(await gateway.metric("pointsman_requests_in_flight")).toBe(0);
    });

    test("each model has its own workers and policy; a hint comes before the default", async () => {
      await using a = await startEngine({ model: "a" });
      await using b = await startEngine({ model: "b" });
      await using gateway = await start("--enable-igw");
      await addWorker(gateway, { url: a.url, policy: "random" });
      await addWorker(gateway, { url: b.url });
      await statuses(10, (index) => chat(gateway, { ...HELLO, model: index < 4 ? "a" : "b" }));
      expect([a.stats.started, b.stats.started]).toEqual([4, 6]);
      expect((await chat(gateway, { ...HELLO, model: "c" })).status).toBe(404);
      expect((await chat(gateway, { messages: HELLO.messages })).status).toBe(400);
      const policies = (await (await fetch(`${gateway.url}/policies`)).json()) as { models: object[] };
      expect(policies.models).toMatchObject([
        { model: "a", policy: "random", source: "hint" },
        { model: "b", policy: "cache_aware", source: "default" },
      ]);
    });

    test("a worker that was added or removed is known everywhere with the answer", async () => {
      await using gateway = await start();
      for (let round = 0; round < 3; round += 1) {
        await using engine = await startEngine({ model: "m" });
        const id = await addWorker(gateway, { url: engine.url });
        expect(new Set(await statuses(12, () => chat(gateway, { ...HELLO, model: "m" })))).toEqual(new Set([200]));
        expect((await fetch(`${gateway.url}/workers/${id}`, { method: "DELETE" })).status).toBe(202);
        expect(new Set(await statuses(12, () => chat(gateway, { ...HELLO, model: "m" })))).toEqual(new Set([404]));
      }
    });

    test("a conversation stays where its cache is, whatever connection it comes on", async () => {
      await using one = await startEngine();
      await using two = await startEngine();
      await using gateway = await start("--policy", "cache_aware");
      await addWorker(gateway, { url: one.url });
      await addWorker(gateway, { url: two.url });
      for (let turn = 1; turn <= 12; turn += 1) {
        const messages = Array.from({ length: turn }, (_, index) => ({
          role: "user",
          content: `${index} `.repeat(200),
        }));
        expect((await chat(gateway, { ...HELLO, messages })).status).toBe(200);
      }
      expect(new Set([one.stats.started, two.stats.started])).toEqual(new Set([0, 12]));
    });

    test("limits hold over all threads, in their order", async () => {
      const waiting: (() => void)[] = [];
      await using engine = await startEngine({
        respond: async () => {
          await new Promise<void>((resolve) => waiting.push(resolve));
          return Response.json({ choices: [] });
        },
      });
      await using gateway = await start("--max-concurrent-requests", "3", "--queue-size", "4");
      await addWorker(gateway, { url: engine.url });
      const refused: number[] = [];
      const all = Array.from({ length: 12 }, async () => {
        const { status } = await chat(gateway, HELLO);
        if (status !== 200) refused.push(status);
        return status;
      });
      while (refused.length < 5 || waiting.length < 3) await Bun.sleep(2);
      expect([refused, waiting.length]).toEqual([[503, 503, 503, 503, 503], 3]);
      for (let served = 0; served < 7; served += 1) {
        while (waiting.length === 0) await Bun.sleep(2);
        waiting.shift()?.();
      }
      const got = await Promise.all(all);
      expect([got.filter((status) => status === 200).length, got.filter((status) => status === 503).length]).toEqual([
        7, 5,
      ]);
    });

    test("those that wait in line are not counted as admitted", async () => {
      const waiting: (() => void)[] = [];
      await using engine = await startEngine({
        respond: async () => {
          await new Promise<void>((resolve) => waiting.push(resolve));
          return Response.json({ choices: [] });
        },
      });
      await using gateway = await start("--max-concurrent-requests", "1", "--queue-size", "4");
      await addWorker(gateway, { url: engine.url });
      const all = Promise.all(Array.from({ length: 3 }, () => chat(gateway, HELLO)));
      while (waiting.length < 1 || (await gateway.metric("pointsman_queue_depth")) < 2) await Bun.sleep(5);
      expect(await gateway.metric("pointsman_admitted_requests")).toBe(1);
      for (let served = 0; served < 3; served += 1) {
        while (waiting.length === 0) await Bun.sleep(2);
        waiting.shift()?.();
      }
      expect((await all).map(({ status }) => status)).toEqual([200, 200, 200]);
      expect(await gateway.metric("pointsman_admitted_requests")).toBe(0);
    });

    test("one that fails is left out by all, and one probe proves it again", async () => {
      let isBroken = true;
      await using flaky = await startEngine({
        respond: () => (isBroken ? new Response("", { status: 502 }) : undefined),
      });
      await using good = await startEngine();
      const breaker = [
        "--cb-failure-threshold",
        "4",
        "--cb-success-threshold",
        "1",
        "--cb-timeout-duration-secs",
        "0.3",
      ];
      await using gateway = await start("--policy", "round_robin", ...breaker);
      const id = await addWorker(gateway, { url: flaky.url });
      await addWorker(gateway, { url: good.url });
      for (let seed = 0; seed < 30; seed += 1) expect((await chat(gateway, { ...HELLO, seed })).status).toBe(200);
      const state = async (): Promise<unknown> =>
        ((await (await fetch(`${gateway.url}/workers/${id}`)).json()) as { breaker: string }).breaker;
      expect(flaky.requests.length).toBeLessThanOrEqual(6);
      isBroken = false;
      while ((await state()) !== "half_open") await Bun.sleep(10);
      while ((await state()) !== "closed") await chat(gateway, HELLO);
    });

    test("SIGTERM: what runs finishes, and the process ends", async () => {
      await using engine = await startEngine({ instant: false, timing: { decodeMs: 20 } });
      await using gateway = await start("--shutdown-delay-secs", "0.2");
      await addWorker(gateway, { url: engine.url });
      const long = { ...HELLO, stream: true, max_tokens: 40, ignore_eos: true };
      const streams = await Promise.all(Array.from({ length: 6 }, () => chat(gateway, long)));
      gateway.signal("SIGTERM");
      const texts = await Promise.all(streams.map((stream) => stream.text()));
      expect(texts.every((text) => text.endsWith("data: [DONE]\n\n"))).toBe(true);
      expect(await gateway.exited).toBe(0);
    });
  });
}

test("a thread that dies is started anew, what it held is given back, and the others go on", async () => {
  const module = join(ELSEWHERE, "deadly.ts");
  writeFileSync(
    module,
    `export default { name: "deadly", create: () => ({ name: "deadly", select(_candidates, request) {
       if (Buffer.from(request.promptBytes()).includes("die")) setTimeout(() => { throw new Error("deadly"); }, 50);
       return 0;
     } }) };`,
  );
  await using engine = await startEngine({ instant: false, timing: { decodeMs: 20 } });
  await using gateway = await startProcess(["--threads", "2", "--policy-module", module, "--policy", "deadly"]);
  await addWorker(gateway, { url: engine.url });
  const long = { ...HELLO, stream: true, max_tokens: 60, ignore_eos: true };
  const streams = await Promise.all(Array.from({ length: 12 }, () => chat(gateway, long)));
  const ends = Promise.all(streams.map(async (stream) => stream.text().catch(() => "cut")));
  await chat(gateway, {
    ...HELLO,
    messages: [{ role: "user", content: "die" }],
    max_tokens: 100,
    ignore_eos: true,
  }).catch(() => undefined);
  while (!gateway.output.includes("a thread died and is started anew")) await Bun.sleep(10);
  const whole = (await ends).filter((text) => text.endsWith("data: [DONE]\n\n"));
  expect(whole.length).toBeGreaterThan(0);
  while ((await gateway.metric("pointsman_requests_in_flight")) !== 0) await Bun.sleep(20);
  expect(await gateway.metric("pointsman_thread_restarts_total")).toBe(1);
  await Bun.sleep(600);
  expect(new Set(await statuses(20, () => chat(gateway, { ...HELLO, max_tokens: 2 })))).toEqual(new Set([200]));
  expect(await gateway.metric("pointsman_requests_in_flight")).toBe(0);
});

test("0 threads are one for each core", async () => {
  await using engine = await startEngine();
  await using gateway = await startProcess(["--threads", "0"]);
  await addWorker(gateway, { url: engine.url });
  expect(new Set(await statuses(10, () => chat(gateway, HELLO)))).toEqual(new Set([200]));
});

test("a port that is taken is told by threads as it is without them", async () => {
  await using first = await startProcess(["--threads", "2"]);
  const { port } = new URL(first.url);
  const { BIN } = await import("../support/process.ts");
  const second = Bun.spawn([BIN, "--port", port, "--threads", "2", "--prometheus-port", "0"], {
    stderr: "pipe",
    stdout: "ignore",
  });
  expect(await second.stderr.text()).toBe(`pointsman: --port: 127.0.0.1:${port} is in use (EADDRINUSE)\n`);
  expect(await second.exited).toBe(2);
});
