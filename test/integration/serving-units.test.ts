import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { BIN, ELSEWHERE, type GatewayProcess, startProcess } from "../support/process.ts";

/**
 * The contract of both kinds of serving unit: the one on the only thread, and those on threads of their own. What holds for one
 * holds for the other. 0 stands for one thread for each core.
 */
const THREADS = [0, 1, 2, 8] as const;
/** A machine that does much else loads the code of eight threads in seconds. */
const PATIENCE_MS = 60_000;

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

for (const threads of THREADS) {
  const start = (...args: string[]): Promise<GatewayProcess> =>
    startProcess(["--threads", String(threads), "--worker-startup-check-interval", "0.05", ...args]);

  /** What a start that fails prints; it must end by itself. */
  const failure = async (...args: string[]): Promise<string> => {
    const child = Bun.spawn([BIN, "--port", "0", "--threads", String(threads), "--prometheus-port", "0", ...args], {
      stderr: "pipe",
      stdout: "ignore",
    });
    const text = await child.stderr.text();
    expect(await child.exited).toBe(2);
    return text;
  };

  describe(`with ${threads} threads`, () => {
    setDefaultTimeout(PATIENCE_MS);

    test("an alias leads to its model on whichever thread it is asked", async () => {
      await using engine = await startEngine();
      await using gateway = await start("--model-alias", "gpt-4=sim-1");
      await addWorker(gateway, { url: engine.url });
      const names = await Promise.all(
        Array.from({ length: 12 }, async () => {
          const response = await chat(gateway, { ...HELLO, model: "gpt-4" });
          const { model } = (await response.json()) as { model: string };
          return [model, response.headers.get("x-pointsman-model")];
        }),
      );
      expect(names).toEqual(Array.from({ length: 12 }, () => ["gpt-4", "sim-1"]));
      const { data } = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] };
      expect(data.map(({ id }) => id)).toEqual(["gpt-4", "sim-1"]);
    });

    test("answers and streams come whole, whichever connection they are asked on", async () => {
      await using engine = await startEngine();
      await using gateway = await start();
      await addWorker(gateway, { url: engine.url });
      const answers = await Promise.all(
        Array.from({ length: 24 }, async (_, index) => {
          const stream = index % 2 === 0;
          const response = await chat(gateway, { ...HELLO, stream });
          const text = await response.text();
          return [response.status, stream ? text.endsWith("data: [DONE]\n\n") : text.includes('"choices"')];
        }),
      );
      expect(answers).toEqual(Array.from({ length: 24 }, () => [200, true]));
    });

    test("what is under way is counted, and no more once it is over", async () => {
      const waiting: (() => void)[] = [];
      await using engine = await startEngine({
        respond: async () => {
          await new Promise<void>((resolve) => waiting.push(resolve));
          return Response.json({ choices: [] });
        },
      });
      await using gateway = await start();
      await addWorker(gateway, { url: engine.url });
      const all = statuses(9, () => chat(gateway, HELLO));
      while (waiting.length < 9) await Bun.sleep(2);
      const gauges = ["pointsman_admitted_requests", "pointsman_requests_in_flight", "pointsman_upstream_sockets"];
      const counts = (): Promise<number[]> => Promise.all(gauges.map((gauge) => gateway.metric(gauge)));
      expect(await counts()).toEqual([9, 9, 9]);
      expect(await gateway.metric("pointsman_client_connections")).toBeGreaterThanOrEqual(9);
      for (const release of waiting) release();
      expect(await all).toEqual(Array.from({ length: 9 }, () => 200));
      expect((await counts()).slice(0, 2)).toEqual([0, 0]);
    });

    test("keys are asked for on every connection, for requests and for the administration", async () => {
      await using engine = await startEngine();
      await using gateway = await start("--api-key", "right", "--admin-api-key", "admin");
      const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}`, connection: "close" });
      const added = await post(`${gateway.url}/workers?wait=true`, { url: engine.url }, bearer("admin"));
      expect(added.status).toBe(201);
      for (const [key, status] of Object.entries({ right: 200, wrong: 401 })) {
        expect(new Set(await statuses(12, () => chat(gateway, HELLO, bearer(key))))).toEqual(new Set([status]));
      }
      for (const [key, status] of Object.entries({ admin: 200, right: 403, wrong: 401 })) {
        const ask = (): Promise<Response> => fetch(`${gateway.url}/workers`, { headers: bearer(key) });
        expect(new Set(await statuses(12, ask))).toEqual(new Set([status]));
      }
    });

    test("the administration answers on every connection, its refusals too", async () => {
      await using engine = await startEngine({ model: "m" });
      await using gateway = await start();
      const id = await addWorker(gateway, { url: engine.url });
      const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
        fetch(gateway.url + path, { ...init, headers: { "content-type": "application/json", connection: "close" } });
      const everywhere = async (path: string, init?: RequestInit): Promise<unknown[]> => {
        const answers = await Promise.all(
          Array.from({ length: 8 }, async () => {
            const answer = await ask(path, init);
            return `${answer.status} ${await answer.text()}`;
          }),
        );
        return [...new Set(answers)];
      };
      expect(await everywhere(`/workers/${id}`)).toEqual([expect.stringMatching(/^200 .*"status":"ready"/)]);
      expect(await everywhere("/v1/models")).toEqual([expect.stringMatching(/^200 .*"m"/)]);
      expect(await everywhere("/workers/none")).toEqual([expect.stringMatching(/^404 .*worker_not_found/)]);
      expect(await everywhere("/workers", { method: "POST", body: "{" })).toEqual([
        expect.stringMatching(/^400 .*invalid_json/),
      ]);
      expect(await everywhere("/workers", { method: "PUT", body: "{}" })).toEqual([
        expect.stringMatching(/^405 .*method_not_allowed/),
      ]);
      expect(await everywhere("/nowhere")).toEqual([expect.stringMatching(/^404 .*unknown_url/)]);
      expect((await ask(`/workers/${id}`, { method: "PATCH", body: '{"labels":{"a":"b"}}' })).status).toBe(202);
      expect(await everywhere(`/workers/${id}`)).toEqual([expect.stringMatching(/"a":"b"/)]);
    });

    test("a start that fails says why, and leaves nothing that runs or listens", async () => {
      await using first = await start();
      const { port } = new URL(first.url);
      expect(await failure("--port", port)).toBe(`pointsman: --port: 127.0.0.1:${port} is in use (EADDRINUSE)\n`);
      const module = join(ELSEWHERE, "broken.ts");
      writeFileSync(module, "throw new Error('broken')");
      expect(await failure("--policy-module", module)).toContain("broken.ts cannot be loaded: broken");
    });

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
        { model: "b", policy: "least_ttft", source: "default" },
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
      await using gateway = await start();
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

/** While this file is there the policy's code cannot be loaded. */
const BROKEN = join(ELSEWHERE, "module-cannot-be-loaded");

/** Ends its thread where the prompt says so, and how. */
const DEADLY = `
  import { existsSync } from "node:fs";
  if (existsSync(${JSON.stringify(BROKEN)})) throw new Error("the module is broken");
  export default { name: "deadly", create: () => ({ name: "deadly", select(_candidates, request) {
    const prompt = Buffer.from(request.promptBytes()).toString();
    if (prompt.includes("please throw")) setTimeout(() => { throw new Error("deadly"); }, 50);
    if (prompt.includes("please exit")) setTimeout(() => process.exit(3), 50);
    if (prompt.includes("please hang")) for (;;) Math.random();
    return 0;
  } }) };`;

async function startDeadly(threads: number): Promise<GatewayProcess> {
  const module = join(ELSEWHERE, "deadly.ts");
  writeFileSync(module, DEADLY);
  return startProcess([
    "--threads",
    String(threads),
    "--worker-startup-check-interval",
    "0.05",
    "--policy-module",
    module,
    "--policy",
    "deadly",
  ]);
}

/** Asks for the end of the thread that the request comes to. */
async function endOneThread(gateway: GatewayProcess, how: "throw" | "exit" | "hang"): Promise<void> {
  const messages = [{ role: "user", content: `please ${how}` }];
  await chat(gateway, { ...HELLO, messages, max_tokens: 100, ignore_eos: true }).catch(() => undefined);
}

function deaths(gateway: GatewayProcess): readonly unknown[] {
  return gateway.lines().filter(({ msg }) => msg === "a thread died and is started anew");
}

/** All threads serve again: for a while every connection is answered, and nothing is left of what the dead held. */
async function expectHealed(gateway: GatewayProcess): Promise<void> {
  const ask = (): Promise<number[]> =>
    Promise.all(
      Array.from({ length: 20 }, async () => {
        try {
          return (await chat(gateway, { ...HELLO, max_tokens: 2 })).status;
        } catch {
          // Its connection came to a thread that was about to end.
          return 0;
        }
      }),
    );
  while ((await ask()).some((status) => status !== 200)) await Bun.sleep(50);
  expect(new Set(await ask())).toEqual(new Set([200]));
  while ((await gateway.metric("pointsman_requests_in_flight")) !== 0) await Bun.sleep(20);
  expect(await gateway.metric("pointsman_admitted_requests")).toBe(0);
}

for (const threads of THREADS.filter((count) => count > 1)) {
  describe(`of ${threads} threads`, () => {
    setDefaultTimeout(PATIENCE_MS);

    for (const [how, reason] of Object.entries({ throw: "deadly", exit: "the thread ended" } as const)) {
      test(`one that ${how}s is started anew, what it held is given back, and the others go on`, async () => {
        await using engine = await startEngine({ instant: false, timing: { decodeMs: 20 } });
        await using gateway = await startDeadly(threads);
        await addWorker(gateway, { url: engine.url });
        const long = { ...HELLO, stream: true, max_tokens: 60, ignore_eos: true };
        const streams = await Promise.all(Array.from({ length: 12 }, () => chat(gateway, long)));
        const ends = Promise.all(streams.map(async (stream) => stream.text().catch(() => "cut")));
        await endOneThread(gateway, how === "throw" ? "throw" : "exit");
        while (deaths(gateway).length === 0) await Bun.sleep(10);
        expect(deaths(gateway)).toMatchObject([{ reason: expect.stringContaining(reason) }]);
        const whole = (await ends).filter((text) => text.endsWith("data: [DONE]\n\n"));
        expect(whole.length).toBeGreaterThan(0);
        await expectHealed(gateway);
        expect(await gateway.metric("pointsman_thread_restarts_total")).toBe(1);
      });
    }

    test("one that hangs is ended and started anew, and changes do not wait for it once it is", async () => {
      await using engine = await startEngine();
      await using gateway = await startDeadly(threads);
      await addWorker(gateway, { url: engine.url });
      void endOneThread(gateway, "hang");
      while (deaths(gateway).length === 0) await Bun.sleep(50);
      expect(deaths(gateway)).toMatchObject([{ doing: "select() of the policy module" }]);
      await expectHealed(gateway);
      expect(await gateway.metric("pointsman_thread_restarts_total")).toBe(1);
    });

    test("one whose restart fails is waited for by no change, and serves again when it can", async () => {
      await using engine = await startEngine();
      await using gateway = await startDeadly(threads);
      await addWorker(gateway, { url: engine.url });
      writeFileSync(BROKEN, "");
      try {
        await endOneThread(gateway, "throw");
        while (deaths(gateway).length < 3) await Bun.sleep(10);
        await using other = await startEngine({ model: "other" });
        const from = performance.now();
        const id = await addWorker(gateway, { url: other.url });
        expect(performance.now() - from).toBeLessThan(4000);
        expect((await fetch(`${gateway.url}/workers/${id}`, { method: "DELETE" })).status).toBe(202);
        expect((await chat(gateway, { ...HELLO, max_tokens: 2 })).status).toBe(200);
      } finally {
        rmSync(BROKEN);
      }
      const known = deaths(gateway).length;
      await expectHealed(gateway);
      expect(deaths(gateway).length).toBeLessThanOrEqual(known + 1);
    });
  });
}
