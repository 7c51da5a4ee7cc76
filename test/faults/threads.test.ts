import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { ELSEWHERE } from "../support/process.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const PLACES = 4;
/** While this file is there the policy's code cannot be loaded; while the other is, its loading never ends. */
const BROKEN = join(ELSEWHERE, "module-is-broken");

/** Dies, or loops for ever, where the prompt says so. */
const MODULE = `
  import { existsSync } from "node:fs";
  if (existsSync(${JSON.stringify(BROKEN)})) throw new Error("the module is broken");
  export default { name: "operators", create: () => ({ name: "operators", select(candidates, request) {
    const prompt = Buffer.from(request.promptBytes()).toString();
    if (prompt.includes("please die")) setTimeout(() => { throw new Error("dead"); }, 0);
    if (prompt.includes("please loop")) for (;;) Math.random();
    return 0;
  } }) };`;

let gateway: FaultGateway;
beforeAll(async () => {
  const module = join(ELSEWHERE, "operators.ts");
  writeFileSync(module, MODULE);
  gateway = await startFaultGateway(
    [
      ["--threads", "2"],
      ["--policy-module", module],
      ["--policy", "operators"],
      ["--max-concurrent-requests", String(PLACES)],
      ["--queue-size", "200"],
      ["--queue-timeout-secs", "2"],
      ["--idle-timeout-secs", "60"],
      ["--request-timeout-secs", "60"],
    ].flat(),
  );
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** A connection of its own for each request, so that the kernel spreads them over the threads. */
function ask(model: string, content = "Hello", extra: object = {}): Promise<Response> {
  const body = { model, messages: [{ role: "user", content }], ...extra };
  return post(gateway.url + CHAT, body, { connection: "close" });
}

async function statuses(count: number, model: string): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: count }, () => ask(model)));
  await Promise.all(answers.map((answer) => answer.text()));
  return [...new Set(answers.map(({ status }) => status))];
}

interface DeathLine {
  readonly reason: string;
  readonly doing: string | undefined;
  readonly restartMs: number;
}

/** Lines of threads that died, so far. Nobody is asked, who might die of it. */
function deaths(): DeathLine[] {
  return gateway
    .lines()
    .filter(({ msg }) => msg === "a thread died and is started anew")
    .map((line) => ({
      reason: String(line["reason"]),
      doing: typeof line["doing"] === "string" ? line["doing"] : undefined,
      restartMs: Number(line["restart_ms"]),
    }));
}

async function expectAllFree(): Promise<void> {
  for (const gauge of ["pointsman_admitted_requests", "pointsman_queue_depth", "pointsman_requests_in_flight"]) {
    await eventually(async () => (await gateway.metric(gauge)) === 0, `${gauge} is 0`);
  }
}

describe("threads", () => {
  test("row 151: clients that leave between the grant of their place and its reading: all places are free again", async () => {
    await using engine = await startEngine({ model: "m260" });
    await using _served = await gateway.serve("m260", [engine.url]);
    const request = jsonPost(CHAT, chat("m260"));
    let leavers = 0;
    for (let round = 0; round < 40; round += 1) {
      const wires = await Promise.all(Array.from({ length: 30 }, () => openWire(gateway.url, request)));
      // At all times of their way, from before the request is read to after its answer.
      if (round % 4 > 0) await Bun.sleep(round % 4);
      for (const wire of wires) wire.hangUp();
      leavers += wires.length;
    }
    await expectAllFree();
    expect(await statuses(PLACES * 10, "m260")).toEqual([200]);
    await expectAllFree();
    observe(151, `${leavers} clients left ${PLACES} places; then all of ${PLACES * 10} requests were answered`);
  });

  test("row 152: a thread dies and cannot be started at first: the administration answers, the other serves, and it comes back", async () => {
    await using engine = await startEngine({ model: "m261" });
    await using _served = await gateway.serve("m261", [engine.url]);
    writeFileSync(BROKEN, "");
    try {
      await ask("m261", "please die").catch(() => undefined);
      await eventually(() => deaths().length >= 4, "it was tried again");
      const from = performance.now();
      await using other = await startEngine({ model: "m261-other" });
      await using _other = await gateway.serve("m261-other", [other.url]);
      const ms = performance.now() - from;
      expect(ms).toBeLessThan(2000);
      expect(await statuses(10, "m261")).toEqual([200]);
      observe(
        152,
        `${deaths().length - 1} failed restarts, each with its line; a worker was added in ${ms.toFixed(0)} ms`,
      );
    } finally {
      rmSync(BROKEN);
    }
    expect(deaths().some(({ reason }) => reason.includes("the module is broken"))).toBe(true);
    const known = deaths().length;
    // It rests at most twice as long as the last time.
    await Bun.sleep(1500 + 2 * Math.max(...deaths().map(({ restartMs }) => restartMs)));
    expect(deaths().length).toBeLessThanOrEqual(known + 1);
    expect(await statuses(20, "m261")).toEqual([200]);
    await expectAllFree();
  }, 30_000);

  test("row 153: a policy module loops for ever in one thread: the other goes on, and the thread is ended and started anew", async () => {
    await using engine = await startEngine({ model: "m262" });
    await using _served = await gateway.serve("m262", [engine.url]);
    const before = deaths().length;
    const from = performance.now();
    const lost = ask("m262", "please loop").then(
      () => "answered",
      () => "connection lost",
    );
    // The kernel gives some of these to the thread that hangs: they end with it.
    let answered = 0;
    while (deaths().length === before && performance.now() - from < 20_000) {
      const signal = AbortSignal.timeout(1000);
      const headers = { "content-type": "application/json", connection: "close" };
      const body = JSON.stringify(chat("m262", { max_tokens: 1 }));
      const got = await fetch(gateway.url + CHAT, { method: "POST", headers, body, signal }).catch(() => undefined);
      if (got?.status === 200) answered += 1;
    }
    const seconds = (performance.now() - from) / 1000;
    expect(seconds).toBeLessThan(16);
    expect(answered).toBeGreaterThan(0);
    expect(await lost).toBe("connection lost");
    const line = deaths().at(-1);
    expect(line).toMatchObject({ reason: "it did not answer for 10 s", doing: "select() of the policy module" });
    await Bun.sleep(1500);
    expect(await statuses(20, "m262")).toEqual([200]);
    await expectAllFree();
    observe(153, `ended after ${seconds.toFixed(1)} s, with "${line?.doing}" in the log; all places are free`);
  }, 40_000);

  test("row 154: bodies on routes that take none or need a key are not read", async () => {
    const before = gateway.rssMb();
    const announced = head("GET /health", ["content-length: 16000000"]);
    const wires = await Promise.all(Array.from({ length: 40 }, () => openWire(gateway.url, announced)));
    // Answered without the body, of which not a byte has come.
    const answers = await Promise.all(wires.map((wire) => wire.until("OK")));
    expect(answers.every((text) => text.includes("200 OK"))).toBe(true);
    const piece = Buffer.alloc(1_000_000, 32);
    for (let sent = 0; sent < 15; sent += 1) for (const wire of wires) void wire.write(piece);
    await Bun.sleep(500);
    const rise = gateway.rssMb() - before;
    expect(rise).toBeLessThan(150);
    for (const wire of wires) wire.hangUp();
    observe(154, `40 announced bodies of 16 MB: answered at once, ${Math.max(0, rise).toFixed(0)} MB more memory`);
  });
});

for (const threads of [1, 2]) {
  describe(`with ${threads} threads`, () => {
    test(`row 155: ${threads} threads: a flood of /health_generate asks a worker once a second`, async () => {
      await using own = await startFaultGateway(["--threads", String(threads)]);
      let asked = 0;
      const worker = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: ({ url }) => {
          if (new URL(url).pathname === "/health_generate") asked += 1;
          return new Response("OK");
        },
      });
      await using _worker = { [Symbol.asyncDispose]: () => worker.stop(true) };
      await using _served = await own.serve("m264", [`http://127.0.0.1:${worker.port}`]);
      const from = performance.now();
      const answers = await Promise.all(
        Array.from({ length: 300 }, () => exchange(own.url, head("GET /health_generate", []))),
      );
      const secs = (performance.now() - from) / 1000;
      expect(new Set(answers.map(([answer]) => answer?.status))).toEqual(new Set([200]));
      expect(asked).toBeLessThanOrEqual(1 + Math.ceil(secs));
      observe(155, `${threads} threads: of 300 in ${secs.toFixed(1)} s ${asked} reached a worker`);
    });

    test(`row 156: ${threads} threads: a client that gives up on POST /workers?wait=true is no defect`, async () => {
      await using own = await startFaultGateway(["--threads", String(threads)]);
      const silent = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Promise<Response>(() => undefined) });
      await using _silent = { [Symbol.asyncDispose]: () => silent.stop(true) };
      const request = jsonPost("/workers?wait=true", { url: `http://127.0.0.1:${silent.port}` });
      // The administration is open to this machine's own name only.
      const wire = await openWire(own.url, request.replace("host: gateway", "host: 127.0.0.1"));
      await eventually(
        async () => (await (await fetch(`${own.url}/workers`)).text()).includes('"pending"'),
        "it is probed",
      );
      wire.hangUp();
      await Bun.sleep(300);
      expect(own.lines().filter((line) => Number(line["level"]) >= 50)).toEqual([]);
      observe(156, `${threads} threads: nothing in the log`);
    });

    test(`row 159: ${threads} threads: texts to be parsed pass the gate, have a line in the log, and hold no chat up`, async () => {
      await using own = await startFaultGateway([
        "--threads",
        String(threads),
        "--max-concurrent-requests",
        "8",
        "--queue-size",
        "4",
      ]);
      await using engine = await startEngine({ model: "m268" });
      await using _served = await own.serve("m268", [engine.url]);
      const text = `<tool_call>${"<tool_call>{".repeat(80_000)}`;
      const body = { text, tool_call_parser: "hermes", tools: [] };
      const parse = (index: number): Promise<Response> =>
        post(`${own.url}/parse/function_call`, body, { "x-request-id": `row-268-${index}`, connection: "close" });
      const parsed = Promise.all(Array.from({ length: 7 }, (_, index) => parse(index)));
      let slowest = 0;
      for (let asked = 0; asked < 20; asked += 1) {
        const from = performance.now();
        const answer = await post(own.url + CHAT, chat("m268"), { connection: "close" });
        expect([200, 503]).toContain(answer.status);
        slowest = Math.max(slowest, performance.now() - from);
      }
      expect(slowest).toBeLessThan(1000);
      expect((await parsed).map(({ status }) => status)).toEqual(Array.from({ length: 7 }, () => 200));
      expect(await own.accessLine("row-268-0")).toMatchObject({ endpoint: "parse_function_call", status: 200 });
      // With all places taken there is none for a text either.
      const flood = await Promise.all(Array.from({ length: 30 }, (_, index) => parse(index + 10)));
      expect(new Set(flood.map(({ status }) => status))).toEqual(new Set([200, 503]));
      observe(159, `${threads} threads: with 7 texts of 1 MB the slowest of 20 chats took ${slowest.toFixed(0)} ms`);
    }, 60_000);
  });
}
