import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { BIN, ELSEWHERE, startProcess } from "../support/process.ts";
import { freePort } from "./free-port.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { tally } from "./ask.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";

const CHAT = "/v1/chat/completions";

/** Shares a worker with the one that is killed, and is none the wiser. */
let neighbour: FaultGateway;
beforeAll(async () => {
  neighbour = await startFaultGateway();
});
afterAll(async () => {
  await expectSameProcessServes(neighbour);
  await neighbour[Symbol.asyncDispose]();
});

test("row 99: killed under load and started again: back within three seconds, with all its workers", async () => {
  await using engine = await startEngine({ model: "m99" });
  await using paced = await startEngine({ model: "slow99", instant: false, timing: { decodeMs: 50 } });
  await using _neighbour = await neighbour.serve("m99", [engine.url]);
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const flags = [
    ["--port", String(port)],
    ["--worker", engine.url],
    ["--worker", paced.url],
    ["--enable-igw"],
    ["--worker-startup-check-interval", "0.05"],
  ].flat();
  const ask = async (): Promise<number> => {
    try {
      return (await post(url + CHAT, chat("m99"))).status;
    } catch {
      // Nobody listens, or the connection broke: both are what a kill looks like.
      return 0;
    }
  };
  const over = new AbortController();
  const statuses: { readonly at: number; readonly status: number }[] = [];
  await using first = await startProcess(flags);
  await eventually(async () => (await ask()) === 200, "it serves");
  const load = (async (): Promise<void> => {
    const asked: Promise<void>[] = [];
    while (!over.signal.aborted) {
      const at = performance.now();
      asked.push(ask().then((status) => void statuses.push({ at, status })));
      await Bun.sleep(20);
    }
    await Promise.all(asked);
  })();
  const stream = post(url + CHAT, chat("slow99", { stream: true, max_tokens: 500, ignore_eos: true }));
  await (await stream).body?.getReader().read();
  await Bun.sleep(300);
  const killedAt = performance.now();
  first.signal("SIGKILL");
  await first.exited;
  await using second = await startProcess(flags);
  await eventually(async () => (await ask()) === 200, "it serves again");
  const backMs = performance.now() - killedAt;
  await Bun.sleep(300);
  over.abort();
  await load;
  expect([second.pid === first.pid, backMs < 3000]).toEqual([false, true]);
  const before = statuses.filter(({ at }) => at < killedAt - 50);
  const after = statuses.filter(({ at }) => at > killedAt + backMs);
  expect([before.length > 5, after.length > 5]).toEqual([true, true]);
  for (const { status } of [...before, ...after]) expect(status).toBe(200);
  expect((await post(neighbour.url + CHAT, chat("m99"))).status).toBe(200);
  // What the first had begun nobody waits for any more, and the engine has noticed.
  expect(paced.stats).toEqual({ started: 1, finished: 0, aborted: 1 });
  observe(
    99,
    `back after ${backMs.toFixed(0)} ms; ${before.length} requests before and ${after.length} after: all 200`,
  );
});

describe("another process takes the port over", () => {
  const REPLACEMENTS = 10;
  const PER_SEC = 200;
  const migrates = readFileSync("/proc/sys/net/ipv4/tcp_migrate_req", "utf8").trim();
  const codeOf = (error: unknown): string =>
    error instanceof Error && "code" in error ? String(error.code) : String(error);
  const flagsOn = (port: number, worker: string): readonly string[] =>
    [
      ["--port", String(port)],
      ["--reuse-port"],
      ["--worker", worker],
      ["--worker-startup-check-interval", "0.05"],
      ["--shutdown-delay-secs", "0.3"],
      ["--shutdown-grace-period-secs", "10"],
    ].flat();

  test("row 100: ten times under 200 requests a second: what is accepted is answered, and each stream ends whole", async () => {
    await using engine = await startEngine({ model: "m100" });
    await using paced = await startEngine({ model: "m100s", instant: false, timing: { decodeMs: 20 } });
    await using _neighbour = await neighbour.serve("m100", [engine.url]);
    const port = freePort();
    const url = `http://127.0.0.1:${port}`;
    const flags = [...flagsOn(port, engine.url), "--worker", paced.url];
    const isOver = new AbortController();
    const kept: Promise<string>[] = [];
    const fresh: Promise<string>[] = [];
    const send = (headers: Record<string, string> = {}): Promise<string> =>
      post(url + CHAT, chat("m100"), headers).then(
        async (response) => `${response.status} ${(await response.text()).length > 0}`,
        codeOf,
      );
    /** A stream of a second, begun again and again. */
    const stream = async (): Promise<string> => {
      const request = chat("m100s", { stream: true, max_tokens: 50, ignore_eos: true });
      const response = await post(url + CHAT, request).catch(codeOf);
      if (typeof response === "string") return response;
      const text = await response.text().catch((error: unknown) => `cut: ${String(error)}`);
      return text.endsWith("data: [DONE]\n\n") ? "whole" : text.slice(-200);
    };
    let current = await startProcess(flags);
    const load = (async (): Promise<void> => {
      for (const from = performance.now(); !isOver.signal.aborted; await Bun.sleep(4)) {
        // Half of them on a connection of their own.
        for (const due = ((performance.now() - from) / 1000) * (PER_SEC / 2); kept.length < due;) {
          kept.push(send());
          fresh.push(send({ connection: "close" }));
        }
      }
    })();
    const streams = Promise.all(
      [0, 1, 2, 3].map(async () => {
        const ends: string[] = [];
        while (!isOver.signal.aborted) ends.push(await stream());
        return ends;
      }),
    );
    const codes: number[] = [];
    for (let count = 0; count < REPLACEMENTS; count += 1) {
      const next = await startProcess(flags);
      current.signal("SIGTERM");
      // The old one goes on with its streams while the next one is started.
      const old = current;
      current = next;
      codes.push(await old.exited);
    }
    isOver.abort();
    await load;
    const answers = tally(await Promise.all([...kept, ...fresh]));
    const ends = tally((await streams).flat());
    await current[Symbol.asyncDispose]();
    expect(codes).toEqual(Array.from({ length: REPLACEMENTS }, () => 0));
    const resets = { requests: answers["ECONNRESET"] ?? 0, streams: ends["ECONNRESET"] ?? 0 };
    observe(
      100,
      `${REPLACEMENTS} replacements, \`tcp_migrate_req\` ${migrates}: ${kept.length + fresh.length} requests, ${resets.requests} reset unanswered, all others 200; ${ends["whole"] ?? 0} streams of a second whole, ${resets.streams} reset unanswered, none cut`,
    );
    delete answers["ECONNRESET"];
    delete ends["ECONNRESET"];
    expect(answers).toEqual({ "200 true": kept.length + fresh.length - resets.requests });
    expect(ends).toEqual({ whole: expect.any(Number) });
    // What waits in the line of a listener that closes is reset by the kernel, and a request on a kept connection
    // crosses its end where the answer before it had begun before the signal.
    expect(resets.requests + resets.streams).toBeLessThanOrEqual(REPLACEMENTS);
  }, 60_000);
});

test("row 100: the ports of metrics and of the administration are taken over as well", async () => {
  await using engine = await startEngine({ model: "m100p" });
  for (const option of ["--prometheus-port", "--admin-port"]) {
    const side = String(freePort());
    const port = String(freePort());
    const flags = [
      "--port",
      port,
      option,
      side,
      "--reuse-port",
      "--worker",
      engine.url,
      "--shutdown-delay-secs",
      "0.2",
    ];
    const attemptsShown = async (): Promise<string | undefined> => {
      const page = await (await fetch(`http://127.0.0.1:${side}/metrics`, { headers: { connection: "close" } })).text();
      return /^pointsman_worker_attempts_total\{.*\} (\d+)$/m.exec(page)?.[1];
    };
    await using first = await startProcess(flags);
    expect((await post(first.url + CHAT, chat("m100p"))).status).toBe(200);
    expect(await attemptsShown()).toBe("1");
    await using second = await startProcess(flags);
    expect([first.url, second.url]).toEqual([`http://127.0.0.1:${port}`, `http://127.0.0.1:${port}`]);
    first.signal("SIGTERM");
    expect(await first.exited).toBe(0);
    // The second has counted nothing yet, so it is the second that answers.
    expect(await attemptsShown()).toBeUndefined();
    expect((await post(second.url + CHAT, chat("m100p"))).status).toBe(200);
    expect(await attemptsShown()).toBe("1");
  }
  observe(100, "with a metrics port, and with an admin port: both taken over");
}, 30_000);

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly ms: number;
  readonly rssMb: number;
}

async function run(args: readonly string[]): Promise<Ended> {
  const from = performance.now();
  const child = Bun.spawn([BIN, ...args], { cwd: ELSEWHERE, stdout: "pipe", stderr: "pipe" });
  const deadline = setTimeout(() => child.kill("SIGKILL"), 10_000);
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  clearTimeout(deadline);
  return { code, out, err, ms: performance.now() - from, rssMb: (child.resourceUsage()?.maxRSS ?? 0) / 1024 / 1024 };
}

function file(name: string, text: string): string {
  const path = join(ELSEWHERE, name);
  writeFileSync(path, text);
  return path;
}

describe("a configuration that cannot be taken", () => {
  const cases: readonly [name: string, args: readonly string[], told: readonly string[]][] = [
    ["an unknown key", ["--config", file("r101-a.yaml", "port: 0\nprot: 2\n")], ["r101-a.yaml:2:1", "prot", "port"]],
    ["a wrong type", ["--config", file("r101-b.yaml", "port: many\n")], ["r101-b.yaml:1:7", "port", "number"]],
    ["a value out of bounds", ["--config", file("r101-c.yaml", "port: 70000\n")], ["r101-c.yaml:1:7", "port", "65535"]],
    [
      "an unknown key of a worker",
      ["--config", file("r101-d.yaml", "initial_workers:\n  - url: http://127.0.0.1:1\n    prority: 1\n")],
      ["r101-d.yaml:3:5", "prority", "priority"],
    ],
    ["YAML that is none", ["--config", file("r101-e.yaml", "port: [1\n")], ["r101-e.yaml"]],
    ["a file that is not there", ["--config", "r101-none.yaml"], ["r101-none.yaml"]],
    ["a file that cannot be read", ["--config", ELSEWHERE], [ELSEWHERE]],
    ["an unknown flag", ["--prot", "1"], ["--prot"]],
    ["a wrong flag", ["--port", "many"], ["--port", "number"]],
    ["an unknown policy", ["--policy", "round_robbin"], ["--policy", "round_robin"]],
    ["a worker's URL with a path", ["--worker", "http://127.0.0.1:1/x"], ["--worker", "address", "path"]],
  ];
  for (const [name, args, told] of cases) {
    test(`row 101: ${name}: one line that says where and what, and the end within two seconds`, async () => {
      const metricsPort = freePort();
      const { code, out, err, ms } = await run(["--prometheus-port", String(metricsPort), ...args]);
      // What was meant may stand on a line of its own.
      const lines = err.split("\n").filter((line) => line !== "" && !line.startsWith("(Did you mean"));
      expect([code === 0, out, lines.length]).toEqual([false, "", 1]);
      for (const part of told) expect(err).toContain(part);
      expect(ms).toBeLessThan(2000);
      observe(101, `${cases.length} forms: one line, exit ${code}`);
    });
  }

  test("row 101: a port that is taken: nothing is left listening, and the line names it", async () => {
    const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    const free = freePort();
    const pairs = [
      { flags: ["--port", String(taken.port), "--prometheus-port", String(free)], named: "--port" },
      { flags: ["--port", String(free), "--prometheus-port", String(taken.port)], named: "--prometheus-port" },
    ];
    for (const { flags, named } of pairs) {
      const { code, out, err, ms } = await run(["--host", "127.0.0.1", "--prometheus-host", "127.0.0.1", ...flags]);
      expect([code === 0, out, ms < 2000]).toEqual([false, "", true]);
      expect(err).toContain(`${named}: 127.0.0.1:${taken.port}`);
      expect(await fetch(`http://127.0.0.1:${free}/metrics`).catch(() => "refused")).toBe("refused");
      observe(101, `a port that is taken (${named}): exit ${code}, nothing listens`);
    }
    taken.stop(true);
  });
});

describe("YAML that is made to do harm", () => {
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (let level = 1; level < 9; level += 1) {
    const [name, inner] = [String.fromCodePoint(97 + level), String.fromCodePoint(96 + level)];
    bomb.push(`${name}: &${name} [${Array<string>(9).fill(`*${inner}`).join(",")}]`);
  }
  const cases: readonly [name: string, path: () => string][] = [
    ["a bomb of aliases", () => file("r103-bomb.yaml", `${bomb.join("\n")}\n`)],
    ["a bomb of aliases among labels", () => file("r103-labels.yaml", `${bomb.join("\n")}\ninitial_workers: *i\n`)],
    ["an alias of itself", () => file("r103-self.yaml", "initial_workers: &a [*a]\n")],
    [
      "a JavaScript function",
      () => file("r103-js.yaml", 'host: !!js/function "function () { return process.exit(7) }"\n'),
    ],
    ["a tag of Python", () => file("r103-py.yaml", 'host: !!python/object/apply:os.system ["true"]\n')],
    ["a key twice", () => file("r103-twice.yaml", "port: 1\nport: 2\n")],
    ["__proto__", () => file("r103-proto.yaml", "__proto__:\n  port: 1\n")],
    ["a file of 100 MB", () => hugeFile("r103-huge.yaml")],
  ];

  test("row 103: each is refused within 200 ms and 32 MiB of what a good file takes", async () => {
    const good = file("r103-good.yaml", "port: 0\n");
    const check = (path: string): Promise<Ended> => run(["check", "--config", path]);
    await check(good);
    const baselines = [await check(good), await check(good), await check(good)];
    const baselineMs = Math.min(...baselines.map(({ ms }) => ms));
    const baselineRssMb = Math.max(...baselines.map(({ rssMb }) => rssMb));
    const findings: object[] = [];
    let worst: [ms: number, mb: number] = [0, 0];
    for (const [name, make] of cases) {
      const path = make();
      let ended = await check(path);
      // What a busy machine takes is not what the file takes: the least of three counts.
      for (let tries = 1; tries < 3 && ended.ms - baselineMs > 200; tries += 1) ended = await check(path);
      const { code, out, err, ms, rssMb } = ended;
      rmSync(path);
      const [more, moreMb] = [ms - baselineMs, rssMb - baselineRssMb];
      worst = [Math.max(worst[0], more), Math.max(worst[1], moreMb)];
      const isRefused = code === 2 && out === "" && err.trimEnd().split("\n").length === 1;
      if (!isRefused || more > 200 || moreMb > 32) findings.push({ name, code, err: err.slice(0, 200), more, moreMb });
    }
    expect(findings).toEqual([]);
    observe(
      103,
      `${cases.length} files refused, at most ${worst[0].toFixed(0)} ms and ${worst[1].toFixed(0)} MB more than a good one takes`,
    );
  });

  function hugeFile(name: string): string {
    const path = join(ELSEWHERE, name);
    const block = Buffer.alloc(1_000_000, "# nothing but remarks\n");
    const descriptor = openSync(path, "w");
    for (let count = 0; count < 100; count += 1) writeSync(descriptor, block);
    closeSync(descriptor);
    return path;
  }
});
