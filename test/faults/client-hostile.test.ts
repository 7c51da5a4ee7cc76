import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { freePort } from "./free-port.ts";
import { readFileSync } from "node:fs";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { eventually, expectSameProcessServes, observe, openaiError, quantile, rssRise, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire, type Wire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const MB = 1_048_576;

let gateway: FaultGateway;
let engine: SimulatedEngine;
let served: Served;
beforeAll(async () => {
  gateway = await startFaultGateway(["--max-payload-size", String(4 * MB), "--client-idle-timeout-secs", "2"]);
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

describe("connections that send thousands of requests behind each other", () => {
  const kinds: Record<string, string> = {
    "GET /health": head("GET /health", []),
    "chats with models that nobody serves": jsonPost(CHAT, chat("nobody")),
  };
  for (const [name, request] of Object.entries(kinds)) {
    for (const connections of [1, 20]) {
      test(`row 145: ${connections} with ${name} do not hold others up`, async () => {
        const bytes = Buffer.from(request.repeat(Math.ceil((4 * MB) / request.length)));
        const wires = await Promise.all(Array.from({ length: connections }, () => openWire(gateway.url)));
        const over = new AbortController();
        const flood = wires.map(async (wire) => {
          while (!over.signal.aborted && !wire.isClosed) {
            await wire.write(bytes);
            wire.forget();
          }
        });
        await Bun.sleep(300);
        const times: number[] = [];
        for (let count = 0; count < 10; count += 1) {
          const from = performance.now();
          const response = await post(gateway.url + CHAT, chat("m"));
          await response.text();
          times.push(performance.now() - from);
          expect(response.status).toBe(200);
          await Bun.sleep(50);
        }
        over.abort();
        for (const wire of wires) wire.hangUp();
        await Promise.all(flood);
        observe(145, `${connections} with ${name}: 10 × 200, half of them in ${quantile(times, 0.5).toFixed(0)} ms`);
        expect(quantile(times, 0.5)).toBeLessThan(250);
      }, 30_000);
    }
  }
});

describe("bodies of which nearly all is no data", () => {
  const start = head(`POST ${CHAT}`, ["content-type: application/json", "transfer-encoding: chunked"]);

  test("row 146: chunk extensions: 400 beyond 16 KiB of them", async () => {
    const line = `1;${"a".repeat(250)}\r\n \r\n`;
    const flood = async (): Promise<void> => {
      using wire = await openWire(gateway.url, start);
      let sent = 0;
      for (; sent < 100 * MB && !wire.isClosed && wire.received === ""; sent += line.length * 1000) {
        await wire.write(line.repeat(1000));
      }
      const [answer] = await wire.answers(1);
      expect([answer?.status, openaiError(answer?.body ?? "{}").code]).toEqual([400, "malformed_request"]);
      expect(sent).toBeLessThan(16 * MB);
    };
    // What the tests before have left is collected meanwhile.
    for (let round = 0; round < 20; round += 1) await flood();
    const rise = await rssRise(gateway, async () => {
      for (let round = 0; round < 5; round += 1) await flood();
    });
    observe(146, `extensions: 400, resident memory ${rise.toFixed(1)} MB more`);
    expect(rise).toBeLessThanOrEqual(32);
  });

  test("row 146: chunks of a byte are taken, and hold no more than their data", async () => {
    const body = JSON.stringify(chat("m", { user: "x".repeat(2 * MB) }));
    const chunks = Buffer.from(body.replaceAll(/[^]/g, "1\r\n$&\r\n"));
    const rise = await rssRise(gateway, async () => {
      using wire = await openWire(gateway.url, start);
      await wire.write(chunks);
      await wire.write("0\r\n\r\n");
      expect((await wire.answers(1, 10_000))[0]?.status).toBe(200);
    });
    expect(engine.requests.at(-1)?.body.length).toBe(body.length);
    observe(146, `2 MB in chunks of a byte: 200, resident memory ${rise.toFixed(1)} MB more`);
    expect(rise).toBeLessThanOrEqual(48);
  });

  test("row 146: and what waits for the rest of such a body is counted as it is held", async () => {
    await using strict = await startFaultGateway(["--max-request-bytes-in-flight", String(2 * MB)]);
    const worker = await startEngine({ model: "m251" });
    await using _served = await strict.serve("m251", [worker.url]);
    const piece = "1;a\r\n \r\n".repeat(2000);
    const wires: Wire[] = [];
    const rise = await rssRise(strict, async () => {
      for (let count = 0; count < 40; count += 1) {
        const wire = await openWire(strict.url, start);
        wires.push(wire);
        for (let sent = 0; sent < 100; sent += 1) await wire.write(piece);
      }
    });
    // Who sends on and on after the answer is cut off and may not have read it: what was answered is in the log.
    const isRefused = (line: Record<string, unknown>): boolean => line["error"] === "memory_full";
    await eventually(() => strict.lines().filter(isRefused).length >= 30, "all but ten are refused");
    const refused = strict.lines().filter(isRefused).length;
    for (const wire of wires) wire.hangUp();
    observe(
      146,
      `40 bodies of 200 kB in 1.6 MB each, of which 2 MiB may be held: ${refused} refused, ${rise.toFixed(0)} MB more`,
    );
    expect(rise).toBeLessThanOrEqual(64);
    await eventually(async () => (await post(strict.url + CHAT, chat("m251"))).status === 200, "all is free");
    await worker.stop();
  }, 30_000);
});

describe("clients that announce large bodies and do not send them", () => {
  for (const threads of [1, 2]) {
    test(`row 147: hold neither room nor places: others are served, with ${threads} of threads`, async () => {
      await using strict = await startFaultGateway([
        ...["--max-concurrent-requests", "4"],
        ...["--max-request-bytes-in-flight", String(8 * MB)],
        ...["--body-stall-timeout-secs", "1"],
        ...["--threads", String(threads)],
      ]);
      const worker = await startEngine({ model: "m252" });
      await using _served = await strict.serve("m252", [worker.url]);
      const start = head(`POST ${CHAT}`, ["content-type: application/json", `content-length: ${64 * MB}`]);
      const wires = await Promise.all(Array.from({ length: 64 }, () => openWire(strict.url, `${start}{"model":"`)));
      const statuses: number[] = [];
      for (let count = 0; count < 20; count += 1) {
        for (const wire of wires) void wire.write("x");
        statuses.push((await post(strict.url + CHAT, chat("m252"))).status);
        await Bun.sleep(20);
      }
      expect([...new Set(statuses)]).toEqual([200]);
      observe(147, `64 of 64 MiB announced, 4 places and 8 MiB, threads ${threads}: 20 × 200`);
      const dripping = setInterval(() => {
        for (const wire of wires) void wire.write("x");
      }, 100);
      const answers = await Promise.all(wires.map((wire) => wire.answers(1, 5000)));
      clearInterval(dripping);
      expect([...new Set(answers.map(([answer]) => answer?.status))]).toEqual([408]);
      observe(147, `ten bytes a second, stall bound 1 s, threads ${threads}: 64 × 408`);
      await worker.stop();
    }, 30_000);
  }
});

describe("millions of outermost members", () => {
  for (const route of [CHAT, "/v1/messages"]) {
    test(`row 148: 400 at ${route}, and others are not held up`, async () => {
      const members = Array.from({ length: 300_000 }, (_, index) => `"${index}":0`).join(",");
      const body = `{"model":"m","messages":[],${members}}`;
      const times: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        const from = performance.now();
        const [[answer], health] = await unseenBy(engine, () =>
          Promise.all([exchange(gateway.url, jsonPost(route, body)), fetch(`${gateway.url}/health`)]),
        );
        times.push(performance.now() - from);
        expect([answer?.status, health.status]).toEqual([400, 200]);
        expect(answer?.body).toContain("more than 4096 members");
      }
      observe(148, `${(body.length / 1e6).toFixed(1)} MB at ${route}: 400 in ${Math.min(...times).toFixed(0)} ms`);
      expect(Math.min(...times)).toBeLessThan(100);
    });
  }
});

describe("empty lines", () => {
  test("row 149: beyond a handful are no request", async () => {
    for (const lines of [9, 1_000_000]) {
      using wire = await openWire(gateway.url);
      await wire.write("\r\n".repeat(lines));
      const [answer] = await wire.answers(1);
      expect([answer?.status, openaiError(answer?.body ?? "{}").code]).toEqual([400, "malformed_request"]);
    }
    observe(149, "nine, and a million: 400");
  });

  test("row 149: whose halves come by turns keep no connection", async () => {
    using wire = await openWire(gateway.url);
    const from = performance.now();
    for (let half = 0; !wire.isClosed && performance.now() - from < 10_000; half += 1) {
      await wire.write(half % 2 === 0 ? "\r" : "\n");
      await Promise.race([wire.closed, Bun.sleep(500)]);
    }
    const secs = (performance.now() - from) / 1000;
    expect([wire.isClosed, wire.received]).toEqual([true, ""]);
    observe(149, `by halves: closed after ${secs.toFixed(1)} s, idle bound 2 s`);
    expect(secs).toBeLessThan(5);
  }, 15_000);
});

test("row 150: idle clients at the ports of metrics and administration leave the main port what it needs", async () => {
  for (const kind of ["metrics", "administration"]) {
    const port = freePort();
    const flags = kind === "metrics" ? ["--prometheus-port", String(port)] : ["--admin-port", String(port)];
    await using worker = await startEngine({ model: "sim-1" });
    await using scarce = await startFaultGateway([...flags, "--worker", worker.url]);
    await eventually(async () => (await fetch(`${scarce.url}/readiness`)).ok, "it is ready");
    const limited = Bun.spawnSync(["prlimit", "--pid", String(scarce.pid), "--nofile=200:200"]);
    expect(limited.exitCode).toBe(0);
    // It looks at its limit now and then while there are connections.
    await Bun.sleep(1200);
    const side = `http://127.0.0.1:${port}`;
    const wires: Wire[] = [];
    for (let count = 0; count < 500; count += 1) wires.push(await openWire(side));
    const before = cpuTicks(scarce.pid);
    await Bun.sleep(500);
    const spent = cpuTicks(scarce.pid) - before;
    const times: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      const from = performance.now();
      const [answer] = await exchange(scarce.url, jsonPost(CHAT, chat("sim-1"), ["connection: close"]));
      expect(answer?.status).toBe(200);
      times.push(performance.now() - from);
    }
    expect(scarce.descriptors()).toBeLessThan(100);
    const open = wires.filter((wire) => !wire.isClosed).length;
    expect(open).toBeLessThanOrEqual(64);
    expect(spent).toBeLessThan(20);
    observe(150, `500 at the port of ${kind}: ${open} stay, 5 × 200 at the main port, ${spent * 2} % of a core`);
    for (const wire of wires) wire.hangUp();
    await eventually(async () => {
      const path = kind === "metrics" ? "/metrics" : "/liveness";
      const [answer] = await exchange(side, head(`GET ${path}`, ["connection: close"]));
      return answer?.status === 200;
    }, "the port serves again");
  }
}, 30_000);

function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ");
  return fields.slice(13, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}
