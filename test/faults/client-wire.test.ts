import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ErrorCode, errorRow } from "../../src/errors/errors.ts";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { eventually, expectSameProcessServes, observe, openaiError, unseenBy } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire, type Wire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const SLOW_BOUND_MS = 30_000;

let gateway: FaultGateway;
let engine: SimulatedEngine;
let served: Served;
/** Begun with the file, so that nobody waits for them: one header a second, and a request line with nothing behind it. */
let slow: readonly SlowHead[];
beforeAll(async () => {
  gateway = await startFaultGateway();
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
  slow = [await slowHead("x-slow: 1\r\n"), await slowHead("")];
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

describe("paths that mean another one to some readers", () => {
  const paths = [
    "//workers",
    "///workers",
    "/./workers",
    "/v1/../workers",
    "/v1/models/../../workers",
    "/%2e%2e/workers",
    "/v1/%2e%2e/workers",
    "/v1/..%2fworkers",
    "/v1/..;/workers",
    "/v1/..\\workers",
    "\\workers",
    "/%77orkers",
    "/workers%00",
    "/workers%20",
    "/workers;x",
    "/workers/",
    "/WORKERS",
    "/Workers",
    "/workers%3fx",
    "/workers%2f",
    "/v1/chat/completions/",
    "/V1/chat/completions",
    "/v1//chat/completions",
    `/${"a".repeat(12_000)}`,
  ];
  /** What follows /v1/models/ is the id of a model, dots and all; a target that does not begin with a slash is none. */
  const wantedCode = (path: string, bytes: string): ErrorCode => {
    if (path.startsWith("\\")) return "malformed_request";
    if (!path.startsWith("/v1/models/")) return "unknown_url";
    return bytes.startsWith("GET") ? "model_not_found" : "method_not_allowed";
  };
  test("row 69: each is no route, and nothing behind it is called", async () => {
    const before = await (await fetch(`${gateway.url}/workers`)).json();
    for (const path of paths) {
      for (const bytes of [
        head(`GET ${path}`, []),
        jsonPost(path, { url: "http://127.0.0.1:9", ...chat("m") }),
        head(`DELETE ${path.replace(/\/$/, "//")}/${served.ids[0]}`, []),
      ]) {
        const [answer] = await unseenBy(engine, () => exchange(gateway.url, bytes));
        const code = wantedCode(path, bytes);
        expect([bytes.slice(0, 40), answer?.status, openaiError(answer?.body ?? "").code]).toEqual([
          bytes.slice(0, 40),
          errorRow(code).http,
          code,
        ]);
      }
    }
    expect(await (await fetch(`${gateway.url}/workers`)).json()).toEqual(before);
    observe(69, `${paths.length} paths, 3 methods: 404 as JSON, workers unchanged`);
  });

  test("row 69: a path of 64 kB is refused", async () => {
    const [answer] = await exchange(gateway.url, head(`GET /${"a".repeat(65_536)}`, []));
    expect(answer?.status).toBeOneOf([404, 414, 431]);
    observe(69, `64 kB: ${answer?.status}`);
  });
});

test("row 77: a body that stops is given up with 408, and clients are told not to send it again", async () => {
  await using patient = await startFaultGateway(["--body-stall-timeout-secs", "0.5"]);
  const begun = head(`POST ${CHAT}`, ["content-type: application/json", "content-length: 1000"]);
  const from = performance.now();
  using still = await openWire(patient.url, `${begun}{"model":`);
  using unsized = await openWire(
    patient.url,
    `${head(`POST ${CHAT}`, ["content-type: application/json", "transfer-encoding: chunked"])}5\r\n{"mod\r\n`,
  );
  using anthropic = await openWire(patient.url, begun.replace(CHAT, "/v1/messages"));
  using dripping = await openWire(patient.url, begun);
  const drip = setInterval(() => void dripping.write(" "), 100);
  const ends = await Promise.all(
    [still, unsized, anthropic, dripping].map(async (wire) => {
      const [answer] = await wire.answers(1);
      return { answer, ms: performance.now() - from };
    }),
  );
  clearInterval(drip);
  const tells = ends.map(({ answer }) => [answer?.status, answer?.headers.get("x-should-retry")]);
  expect(tells).toEqual(Array.from(ends, () => [408, "false"]));
  expect(ends[0]?.answer?.body).toContain('"type":"invalid_request_error"');
  expect(ends[2]?.answer?.body).toContain('{"type":"error"');
  // A byte now and then is no more than silence.
  for (const { ms } of ends) expect(ms).toBeWithin(400, 1500);
  observe(
    77,
    `bound 500 ms: 408 after ${Math.max(...ends.map(({ ms }) => ms)).toFixed(0)} ms, \`x-should-retry: false\``,
  );
  await Promise.all([still, unsized, anthropic, dripping].map(({ closed }) => closed));
});

describe("a client that has said all it will say", () => {
  for (const [name, extra] of [
    ["a whole answer", {}],
    ["a stream", { stream: true }],
  ] as const) {
    test(`row 80: ${name} reaches a client that has closed its own half`, async () => {
      using wire = await openWire(gateway.url, jsonPost(CHAT, chat("m", extra)));
      wire.finish();
      const answers = await wire.answers(1);
      // A client that is gone is told from it by what the kernel says of an informational answer.
      const answer = answers.find(({ status }) => status >= 200);
      observe(80, `${name}: ${answer ? answer.status : "closed without an answer"}`);
      expect([answer?.status, engine.requests.length > 0]).toEqual([200, true]);
      if ("stream" in extra) expect(answer?.body.endsWith("data: [DONE]\n\n")).toBe(true);
      else expect(answer?.body).toContain('"finish_reason"');
    });
  }
});

describe("requests behind each other on one connection", () => {
  const canary = (name: string): Record<string, unknown> =>
    chat("m82", { messages: [{ role: "user", content: `canary-${name}` }] });
  /** Answers with the canary that it was asked with; the first takes the longest. */
  const startEcho = (): Promise<SimulatedEngine> =>
    startEngine({
      model: "m82",
      respond: async ({ body }) => {
        const name = /canary-(\w+)/.exec(body)?.[1] ?? "";
        await Bun.sleep(name.endsWith("first") ? 60 : 5);
        return Response.json({ object: "chat.completion", choices: [], canary: name });
      },
    });

  test("row 82: of three in one write each that is answered has its own answer, in their order", async () => {
    await using echo = await startEcho();
    await using _echo = await gateway.serve("m82", [echo.url]);
    const names = ["first", "second", "third"];
    const rounds = Array.from({ length: 20 }, async (_, round) => {
      using wire = await openWire(
        gateway.url,
        names.map((name) => jsonPost(CHAT, canary(`${round}x${name}`))).join(""),
      );
      const answers = await wire.answers(3);
      const got = answers.map(({ body }) => (JSON.parse(body) as { canary: string }).canary);
      expect(got).toEqual(names.map((name) => `${round}x${name}`).slice(0, got.length));
      // Where not all are, the connection says so by its end.
      expect(got.length === 3 || wire.isClosed).toBe(true);
    });
    await Promise.all(rounds);
    observe(82, "60 requests, three in a write: each answer its own");
  });

  test("row 82: those behind each other that need no worker are all answered", async () => {
    const bytes = [head("GET /health", []), head("GET /nope", []), head("GET /liveness", [])].join("");
    const answers = await exchange(gateway.url, bytes, 3);
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 200]);
  });

  test("row 82: a client that leaves behind them takes nobody else's answer along", async () => {
    await using echo = await startEcho();
    await using _echo = await gateway.serve("m82", [echo.url]);
    for (let round = 0; round < 20; round += 1) {
      using leaver = await openWire(
        gateway.url,
        ["first", "second", "third"].map((name) => jsonPost(CHAT, canary(`gone${name}`))).join(""),
      );
      leaver.hangUp();
      const response = await post(gateway.url + CHAT, canary(`stayed${round}`));
      expect(await response.json()).toMatchObject({ canary: `stayed${round}` });
    }
    await eventually(async () => (await gateway.metric("pointsman_admitted_requests")) === 0, "all places are free");
    observe(82, "20 × gone behind three: 20 others have their own 200");
  });
});

describe("ids from clients", () => {
  const bad: readonly [name: string, id: string][] = [
    ["of 5 kB", "a".repeat(5000)],
    ["of 129 characters", "a".repeat(129)],
    ["in Latin-1", "caf\u00e9"],
    ["with quotes", 'a","status":200,"b":"'],
    ["with spaces", "a b"],
    ["with a tab", "a\tb"],
    ["with a terminal's escape", "a\u001b[31m"],
    ["that is empty", ""],
  ];
  for (const [name, id] of bad) {
    test(`row 84: one ${name} is replaced, or its request refused, and each log line stays one line of JSON`, async () => {
      const [answer] = await exchange(
        gateway.url,
        jsonPost(CHAT, chat("m", { user: id, metadata: { id } }), [`x-request-id: ${id}`]),
      );
      if (answer?.status === 400) return;
      const given = answer?.headers.get("x-request-id") ?? "";
      expect([answer?.status, given]).toEqual([200, expect.stringMatching(/^[0-9a-f-]{36}$/)]);
      expect((await gateway.accessLine(given))["status"]).toBe(200);
      expect(engine.requests.at(-1)?.headers["x-request-id"]).toStartWith(`${given}-`);
      observe(84, "200 under an id of our own");
    });
  }

  test("row 84: one with a CR does not become a header", async () => {
    const [answer] = await exchange(gateway.url, jsonPost(CHAT, chat("m"), ["x-request-id: a\rx-evil: 1"]));
    expect([answer?.status, answer?.headers.get("x-evil")]).toEqual([400, null]);
  });

  test("row 84: line breaks in fields of the body stay in the body", async () => {
    const id = "row-84-body";
    const evil = 'x\r\nx-evil: 1\r\n\r\n{"level":50,"msg":"request"}\n';
    const response = await post(gateway.url + CHAT, chat("m", { user: evil, metadata: { [evil]: evil } }), {
      "x-request-id": id,
    });
    expect([response.status, response.headers.get("x-evil")]).toEqual([200, null]);
    await gateway.accessLine(id);
    expect(gateway.output.split("\n").filter((line) => line !== "" && !line.startsWith("{"))).toEqual([]);
    expect(gateway.lines().some((line) => line["level"] === 50)).toBe(false);
    expect(Object.keys(engine.requests.at(-1)?.headers ?? {})).not.toContain("x-evil");
  });

  test("row 84: a good one is kept, and the worker gets one that begins with it", async () => {
    const response = await post(gateway.url + CHAT, chat("m"), { "x-request-id": "a.B_c:1-2" });
    expect([response.headers.get("x-request-id"), engine.requests.at(-1)?.headers["x-request-id"]]).toEqual([
      "a.B_c:1-2",
      expect.stringMatching(/^a\.B_c:1-2-[0-9a-z]+$/),
    ]);
  });
});

interface SlowHead {
  readonly wire: Wire;
  readonly from: number;
  stop(): void;
}

async function slowHead(each: string): Promise<SlowHead> {
  const wire = await openWire(gateway.url, `POST ${CHAT} HTTP/1.1\r\nhost: gateway\r\n`);
  const timer = setInterval(() => void wire.write(each), 1000);
  return { wire, from: performance.now(), stop: () => clearInterval(timer) };
}

test(
  "row 76: a head that does not come to its end is given up within 30 s, however it trickles",
  async () => {
    const ends = slow.map(async ({ wire, from, stop }) => {
      await Promise.race([wire.closed, Bun.sleep(SLOW_BOUND_MS - (performance.now() - from))]);
      stop();
      return { isClosed: wire.isClosed, secs: (performance.now() - from) / 1000 };
    });
    const closed = await Promise.all(ends);
    for (const { wire } of slow) wire.hangUp();
    expect(closed.map(({ isClosed }) => isClosed)).toEqual([true, true]);
    const [header, silent] = closed.map(({ secs }) => secs.toFixed(0));
    observe(76, `a header a second: closed by ${header} s; nothing more: closed by ${silent} s`);
  },
  SLOW_BOUND_MS + 5000,
);
