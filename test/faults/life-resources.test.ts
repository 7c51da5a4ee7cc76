import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashPrompt } from "../../src/policy/prefix-blocks.ts";
import { PrefixIndex, prefixIndexBytes } from "../../src/policy/prefix-index.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { BIN, ELSEWHERE } from "../support/process.ts";
import { freePort } from "./free-port.ts";
import { eventually, expectSameProcessServes, observe, openaiError, quantile, rssDuring, rssRise } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { head, openWire, type Wire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const INDEX_BYTES = 1024 * 1024;

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--policy", "cache_aware", "--max-tree-size", String(INDEX_BYTES)]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** Does what the prompt asks it to. */
const FAULTY_POLICY = `
const text = (request) => new TextDecoder().decode(request.promptBytes());
let made = 0;
export default {
  name: "faulty",
  create() {
    made += 1;
    return {
      name: "faulty",
      select(candidates, request) {
        const prompt = text(request);
        if (prompt.includes("do-throw")) throw new Error("canary-of-the-policy");
        if (prompt.includes("do-throw-null")) throw null;
        if (prompt.includes("do-nan")) return NaN;
        if (prompt.includes("do-range")) return candidates.length + 7;
        if (prompt.includes("do-fraction")) return 0.5;
        if (prompt.includes("do-string")) return "0x";
        if (prompt.includes("do-reject")) return Promise.reject(new Error("canary-of-the-policy"));
        return 0;
      },
      forget() {
        throw new Error("canary-of-the-policy");
      },
    };
  },
};
`;

describe("a policy of the operator's that fails", () => {
  const path = join(ELSEWHERE, "faulty-policy.ts");
  writeFileSync(path, FAULTY_POLICY);
  const says = (content: string): object => chat("m105", { messages: [{ role: "user", content }] });

  const faults = ["do-throw", "do-nan", "do-range", "do-fraction", "do-string", "do-reject"];
  for (const fault of faults) {
    test.concurrent(`row 105: ${fault}: that request gets a 500 that tells nothing, it is counted, one line names the policy, and the next is served`, async () => {
      await using faulty = await startFaultGateway(["--policy-module", path, "--policy", "faulty"]);
      await using engine = await startEngine({ model: "m105" });
      await faulty.serve("m105", [engine.url]);
      const response = await post(faulty.url + CHAT, says(fault), { "x-request-id": `row-105-${fault}` });
      const text = await response.text();
      const code = "policy_failed";
      expect([response.status, text.includes("canary")]).toEqual([500, false]);
      expect(openaiError(text).code).toBe(code);
      expect(await faulty.metric("pointsman_request_errors_total", { code })).toBe(1);
      await eventually(() => faulty.output.includes("the policy module fails"), "the log names it");
      expect(faulty.output).toMatch(/"policy":"faulty","what":"select\(\) (threw|returned) /);
      expect((await post(faulty.url + CHAT, says("hello"))).status).toBe(200);
      observe(105, `${fault.slice(3)}: 500 \`${code}\`, then 200`);
      for (const gauge of ["pointsman_requests_in_flight", "pointsman_admitted_requests"]) {
        await eventually(async () => (await faulty.metric(gauge)) === 0, `${gauge} is 0`);
      }
    });
  }

  test.concurrent("row 105: one that fails when a worker leaves does not keep it, nor the process", async () => {
    await using faulty = await startFaultGateway(["--policy-module", path, "--policy", "faulty"]);
    await using one = await startEngine({ model: "m105" });
    await using two = await startEngine({ model: "m105" });
    const { ids } = await faulty.serve("m105", [one.url, two.url]);
    const removed = await fetch(`${faulty.url}/workers/${ids[0]}`, { method: "DELETE" });
    expect(removed.status).toBeOneOf([202, 500]);
    await eventually(async () => (await fetch(`${faulty.url}/workers/${ids[0]}`)).status === 404, "it has left");
    expect((await post(faulty.url + CHAT, says("hello"))).status).toBe(200);
    expect(two.requests.length).toBe(1);
  });
});

test("row 105: what nobody catches ends the process: nothing in the source swallows it", async () => {
  const root = join(import.meta.dir, "../../src");
  for await (const name of new Bun.Glob("**/*.ts").scan(root)) {
    const isSwallowed = /uncaughtException|unhandledRejection/.test(readFileSync(join(root, name), "utf8"));
    expect([name, isSwallowed]).toEqual([name, false]);
  }
});

test("row 104: nothing that waits or measures reads the wall clock", async () => {
  const root = join(import.meta.dir, "../../src");
  const readers: string[] = [];
  for await (const name of new Bun.Glob("**/*.ts").scan(root)) {
    if (name.endsWith(".test.ts") || name.startsWith("engine-sim/")) continue;
    if (/Date\.now\b|new Date\(\)/.test(readFileSync(join(root, name), "utf8"))) readers.push(name);
  }
  // What they print: the time in a log line, when a source of workers was last heard, since when a worker is as it is, when a model, a decision or an answer was made, what
  // templates ask for, and the Date of an answer; and what ends at a date: a worker's Retry-After, keys, tokens, their limits, and certificates.
  expect(readers.sort()).toEqual([
    "cli/banner.ts",
    "cli/keys.ts",
    "cli/run-gateway.ts",
    "context/certificates.ts",
    "context/state-metrics.ts",
    "context/tls-files.ts",
    "keys/key-admin.ts",
    "keys/key-desk.ts",
    "keys/key-ring.ts",
    "keys/key-table.ts",
    "keys/limits.ts",
    "keys/sqlite-key-store.ts",
    "keys/token-cache.ts",
    "keys/usage-tally.ts",
    "observability/audit-log.ts",
    "observability/log-line.ts",
    "protocol/limit-headers.ts",
    "router/decision-log.ts",
    "router/grpc/engine-calls.ts",
    "router/worker-error.ts",
    "server/api/keys.ts",
    "server/api/models.ts",
    "tokenizer/chat-template.ts",
    "transport/http1-server/answer-bytes.ts",
    "worker/breaker-board.ts",
    "worker/health-checker.ts",
    "worker/worker-factory.ts",
    "worker/worker-registry.ts",
  ]);
});

test("row 106: five hundred clients and two hundred descriptors: no crash, and all is well when they are gone", async () => {
  await using scarce = await startFaultGateway();
  await using engine = await startEngine({ model: "m106" });
  await scarce.serve("m106", [engine.url]);
  // One that is connected already.
  using early = await openWire(scarce.url, head("GET /health", []));
  await early.answers(1);
  const limited = Bun.spawnSync(["prlimit", "--pid", String(scarce.pid), "--nofile=200:200"]);
  expect(limited.exitCode).toBe(0);
  const wires: Wire[] = [];
  for (let count = 0; count < 500; count += 1) wires.push(await openWire(scarce.url, head("GET /health", [])));
  await Bun.sleep(500);
  expect(scarce.descriptors()).toBeLessThanOrEqual(200);
  early.forget();
  await early.write(head("GET /health", []));
  expect((await early.answers(1))[0]?.status).toBe(200);
  for (const wire of wires) wire.hangUp();
  await eventually(async () => {
    try {
      const response = await fetch(scarce.url + CHAT, {
        method: "POST",
        headers: { "content-type": "application/json", connection: "close" },
        body: JSON.stringify(chat("m106")),
        signal: AbortSignal.timeout(1000),
      });
      return response.status === 200;
    } catch {
      // Not accepted yet.
      return false;
    }
  }, "it serves again");
  await eventually(() => scarce.descriptors() < 100, "theirs are closed");
  observe(106, "at most 200 descriptors; the one that was connected is answered; 200 again when they are gone");
});

// Bun 1.4.5 asks without a pause for the connection that it cannot accept: there must always be a descriptor for the next.
test("row 106: nor does the process turn in circles over what it cannot accept", async () => {
  await using scarce = await startFaultGateway();
  Bun.spawnSync(["prlimit", "--pid", String(scarce.pid), "--nofile=200:200"]);
  const wires: Wire[] = [];
  for (let count = 0; count < 500; count += 1) wires.push(await openWire(scarce.url));
  const cpuTicks = (): number => {
    const fields = readFileSync(`/proc/${scarce.pid}/stat`, "utf8").split(" ");
    return fields.slice(13, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  };
  await Bun.sleep(1200);
  const before = cpuTicks();
  await Bun.sleep(500);
  const spent = cpuTicks() - before;
  for (const wire of wires) wire.hangUp();
  observe(106, `${((spent / 50) * 100).toFixed(0)} % of a core while it cannot accept`);
  expect(spent).toBeLessThan(10);
});

describe("log lines that cannot be written", () => {
  const ask = async (url: string, count: number): Promise<readonly number[]> => {
    const statuses: number[] = [];
    for (let sent = 0; sent < count; sent += 1) statuses.push((await post(url + CHAT, chat("m107"))).status);
    return statuses;
  };

  test("row 107: on a disk that is full: serving goes on", async () => {
    await using engine = await startEngine({ model: "m107" });
    const port = freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = startWith(engine.url, port, Bun.file("/dev/full"));
    try {
      await eventually(
        async () => (await fetch(`${url}/readiness`).catch(() => undefined))?.status === 200,
        "it is ready",
      );
      const statuses = await ask(url, 300);
      // Beyond the tick with which lines are written.
      await Bun.sleep(300);
      expect([...new Set([...statuses, ...(await ask(url, 10))])]).toEqual([200]);
      expect(child.exitCode).toBeNull();
      observe(107, "full disk: 310 × 200");
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test("row 107: to a reader that hangs: serving goes on, memory is bounded, and what was dropped is told", async () => {
    await using engine = await startEngine({ model: "m107" });
    const port = freePort();
    const url = `http://127.0.0.1:${port}`;
    const pipe = join(ELSEWHERE, "row-107");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    // Open for reading, so that it can be written to; and nobody reads.
    const descriptor = openSync(pipe, constants.O_RDWR);
    const child = startWith(engine.url, port, descriptor);
    try {
      await eventually(
        async () => (await fetch(`${url}/readiness`).catch(() => undefined))?.status === 200,
        "it is ready",
      );
      // The pipe and the writer before it take some 1.3 MB together; a line has 300 bytes.
      const statuses = await Promise.all(Array.from({ length: 8 }, () => ask(url, 900)));
      expect([...new Set(statuses.flat())]).toEqual([200]);
      const reader = Bun.spawn(["cat", pipe], { stdout: "pipe", stderr: "ignore" });
      let output = "";
      const reading = (async (): Promise<void> => {
        for await (const piece of reader.stdout) output += Buffer.from(piece).toString();
      })();
      try {
        await eventually(() => output.includes("log lines dropped"), "it tells what was dropped");
      } finally {
        reader.kill();
        await reading;
      }
      const told = output.split("\n").find((line) => line.includes("log lines dropped")) ?? "";
      const { dropped } = JSON.parse(told) as { dropped: number };
      expect(dropped).toBeGreaterThan(0);
      observe(107, `a reader that hangs: 7,200 × 200, ${dropped} lines dropped and told`);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
      closeSync(descriptor);
    }
  });

  /** The gateway with its lines going somewhere else than to the tests. */
  function startWith(worker: string, port: number, stdout: Bun.BunFile | number): Bun.Subprocess {
    return Bun.spawn(
      [BIN, "--host", "127.0.0.1", "--port", String(port), "--prometheus-port", "0", "--worker", worker],
      {
        cwd: ELSEWHERE,
        stdout,
        stderr: "ignore",
        env: { ...process.env, POINTSMAN_WORKER_STARTUP_CHECK_INTERVAL: "0.05" },
      },
    );
  }
});

describe("more prompts than are remembered", () => {
  test("row 108: through the gateway: no more memory than the bound, and never an error", async () => {
    await using one = await startEngine({ model: "m108" });
    await using two = await startEngine({ model: "m108" });
    await using _served = await gateway.serve("m108", [one.url, two.url]);
    const filler = "word ".repeat(400);
    let next = 0;
    const send = async (count: number): Promise<number[]> => {
      const statuses: number[] = [];
      for (let sent = 0; sent < count; sent += 1) {
        next += 1;
        // They differ in their first block, or only in the last.
        const content = next % 2 === 0 ? `${next} ${filler}` : `${filler}${next}`;
        const response = await post(
          gateway.url + CHAT,
          chat("m108", { messages: [{ role: "user", content }], max_tokens: 1 }),
        );
        statuses.push(response.status);
        await response.text();
      }
      return statuses;
    };
    const sendAll = async (count: number): Promise<number[]> =>
      (await Promise.all(Array.from({ length: 8 }, () => send(count / 8)))).flat();
    // Some thousands of kB of prompt: the index is full several times over.
    const first = await rssDuring(gateway, () => sendAll(3000));
    const statuses = await sendAll(3000);
    // What is held stays; what the garbage collector has not come to yet makes peaks, which tell nothing.
    const last = await rssDuring(gateway, async () => statuses.push(...(await sendAll(3000))));
    const rise = Math.max(0, last.least - first.peak);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(rise).toBeLessThanOrEqual(16);
    const share = one.requests.length / (one.requests.length + two.requests.length);
    expect(share).toBeWithin(0.2, 0.8);
    observe(108, `9,000 prompts, bound ${INDEX_BYTES / 1024} KiB: all 200, resident memory ${rise.toFixed(1)} MB more`);
  });

  test("row 108: a million of them in the index: it does not grow, and no insert takes 20 ms", () => {
    const index = new PrefixIndex(INDEX_BYTES, new SharedArrayBuffer(prefixIndexBytes(INDEX_BYTES)));
    const prompt = Buffer.alloc(1024, "a");
    const times: number[] = [];
    for (let count = 0; count < 1_000_000; count += 1) {
      // One token apart, in the first block or in the last.
      prompt.writeUInt32LE(count, count % 2 === 0 ? 0 : 900);
      const from = count % 16 === 0 ? performance.now() : 0;
      index.match(hashPrompt(prompt));
      index.insert(count % 4);
      if (from > 0) times.push(performance.now() - from);
    }
    expect(index.match(hashPrompt(prompt))).toBe(1024);
    // The garbage collector of the tests is not the index's pause: all but a few of them.
    expect(quantile(times, 0.9999)).toBeLessThan(20);
    observe(108, `1,000,000 inserts: p99.99 ${quantile(times, 0.9999).toFixed(2)} ms`);
  });
});

test("row 120: scrapers that ask and never read cost nothing", async () => {
  await using engine = await startEngine({ model: "m120" });
  await using _served = await gateway.serve("m120", [engine.url]);
  const measure = async (): Promise<readonly number[]> => {
    const times: number[] = [];
    for (let count = 0; count < 300; count += 1) {
      const from = performance.now();
      expect((await post(gateway.url + CHAT, chat("m120"))).status).toBe(200);
      times.push(performance.now() - from);
    }
    return times;
  };
  await measure();
  const before = await measure();
  const wires: Wire[] = [];
  const rise = await rssRise(gateway, async () => {
    for (let count = 0; count < 100; count += 1) {
      const wire = await openWire(gateway.url);
      wire.pause();
      await wire.write(head("GET /metrics", []).repeat(20));
      wires.push(wire);
    }
    await Bun.sleep(200);
  });
  const after = await measure();
  for (const wire of wires) wire.hangUp();
  expect(rise).toBeLessThanOrEqual(100);
  expect(quantile(after, 0.99)).toBeLessThanOrEqual(quantile(before, 0.99) * 1.5 + 10);
  const p99 = [before, after].map((times) => quantile(times, 0.99).toFixed(1));
  observe(
    120,
    `2,000 unread scrapes: resident memory ${rise.toFixed(0)} MB more; p99 ${p99[0]} ms before, ${p99[1]} ms with them`,
  );
});
