import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chunk, deltaChunk, jsonAnswer, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { startFlood } from "./flood.ts";
import { eventually, expectSameProcessServes, observe, openaiError, quantile, rssRise } from "./observe.ts";
import { chat, type FaultGateway, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost, openWire, type Wire } from "./wire.ts";

const CHAT = "/v1/chat/completions";
const PLACES = 8;
const MB = 1024 * 1024;

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(
    [
      ["--max-concurrent-requests", String(PLACES)],
      ["--queue-size", "2000"],
      ["--first-byte-timeout-secs", "15"],
      ["--idle-timeout-secs", "15"],
      ["--request-timeout-secs", "15"],
      ["--cb-failure-threshold", "2"],
    ].flat(),
  );
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** Every place and every count is as it is when nothing goes on. */
async function expectAllFree(): Promise<void> {
  for (const gauge of ["pointsman_admitted_requests", "pointsman_queue_depth", "pointsman_requests_in_flight"]) {
    await eventually(async () => (await gateway.metric(gauge)) === 0, `${gauge} is 0`);
  }
}

/** What is said of a request whose client left: one line, 499, and nothing that would wake somebody. */
async function expectQuietly499(requestId: string): Promise<void> {
  expect(await gateway.accessLine(requestId)).toMatchObject({ status: 499, error: "client_closed" });
  const lines = gateway.lines().filter((line) => line["request_id"] === requestId);
  expect(lines.map((line) => line["msg"])).toEqual(["request"]);
  expect(gateway.lines().filter((line) => Number(line["level"]) >= 50)).toEqual([]);
}

describe("a client that leaves", () => {
  const phases: readonly [name: string, answer: string, isStream: boolean][] = [
    ["before the head of a stream", "", true],
    ["before the head of a whole answer", "", false],
    ["within a stream", STREAM_HEAD + deltaChunk("a"), true],
    ["within an event", `${STREAM_HEAD + deltaChunk("a")}40\r\ndata: {"cho`, true],
    [
      "within a whole answer",
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":',
      false,
    ],
  ];
  for (const [index, [name, answer, isStream]] of phases.entries()) {
    test(`row 79: ${name}: the worker is free within 100 ms, the breaker hears nothing, the line says 499`, async () => {
      const model = `m79-${index}`;
      let slowest = 0;
      // More often than the breaker would need.
      for (let round = 0; round < 5; round += 1) {
        const { promise: asked, resolve } = Promise.withResolvers<void>();
        await using worker = await startRawEngine(({ write }) => {
          if (answer !== "") write(answer);
          resolve();
        });
        await using served = await gateway.serve(model, [worker.url]);
        const id = `row-79-${index}-${round}`;
        using wire = await openWire(
          gateway.url,
          jsonPost(CHAT, chat(model, { stream: isStream }), [`x-request-id: ${id}`]),
        );
        await asked;
        if (answer.includes("data: ")) await wire.until('"a"');
        const from = performance.now();
        wire.hangUp();
        await worker.sawClose;
        const ms = performance.now() - from;
        expect(ms).toBeLessThan(100);
        slowest = Math.max(slowest, ms);
        await expectQuietly499(id);
        const shown = await (await fetch(`${gateway.url}/workers/${served.ids[0]}`)).json();
        expect(shown).toMatchObject({ breaker: "closed", load: 0, status: "ready" });
        expect(worker.generations).toBe(1);
      }
      await expectAllFree();
      observe(79, `${name}: worker free after ${slowest.toFixed(1)} ms, 499`);
    });
  }

  test("row 79: during the upload: no worker hears of it", async () => {
    await using engine = await startEngine({ model: "m79u" });
    await using _served = await gateway.serve("m79u", [engine.url]);
    const fields = ["content-type: application/json", "x-request-id: row-79-upload"];
    using sized = await openWire(
      gateway.url,
      `${head(`POST ${CHAT}`, [...fields, "content-length: 1000"])}{"model":"m79u"`,
    );
    const unsizedFields = [
      "content-type: application/json",
      "x-request-id: row-79-chunks",
      "transfer-encoding: chunked",
    ];
    using unsized = await openWire(gateway.url, `${head(`POST ${CHAT}`, unsizedFields)}5\r\n{"mod\r\n`);
    await eventually(async () => (await gateway.metric("pointsman_admitted_requests")) === 2, "both are admitted");
    sized.hangUp();
    unsized.hangUp();
    await expectQuietly499("row-79-upload");
    await expectQuietly499("row-79-chunks");
    await expectAllFree();
    expect(engine.requests.length).toBe(0);
  });

  test("row 79: of a paced engine's stream: it stops generating", async () => {
    await using engine = await startEngine({ model: "m79p", instant: false, timing: { decodeMs: 20 } });
    await using _served = await gateway.serve("m79p", [engine.url]);
    const request = chat("m79p", { stream: true, max_tokens: 5000, ignore_eos: true });
    using wire = await openWire(gateway.url, jsonPost(CHAT, request));
    await wire.until('"content":"');
    wire.hangUp();
    await eventually(() => engine.stats.aborted === 1, "the engine's generation is aborted");
    await expectAllFree();
  });
});

/** Takes every place with requests that the worker does not answer until `release`. */
async function occupy(model: string): Promise<AsyncDisposable & { release(): void; readonly asked: number }> {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const engine = await startEngine({
    model,
    respond: async () => {
      await released;
      return Response.json({ object: "chat.completion", choices: [] });
    },
  });
  const served = await gateway.serve(model, [engine.url]);
  const holders = Array.from({ length: PLACES }, () => post(gateway.url + CHAT, chat(model)));
  await eventually(() => engine.requests.length === PLACES, "every place is taken");
  return {
    release,
    get asked() {
      return engine.requests.length;
    },
    async [Symbol.asyncDispose]() {
      release();
      await Promise.all(holders);
      await served[Symbol.asyncDispose]();
      await engine.stop();
    },
  };
}

describe("a client that leaves the line", () => {
  test("row 79: in the queue: its place in the line is free at once", async () => {
    await using busy = await occupy("m79q");
    using wire = await openWire(gateway.url, jsonPost(CHAT, chat("m79q"), ["x-request-id: row-79-queue"]));
    await eventually(async () => (await gateway.metric("pointsman_queue_depth")) === 1, "it waits");
    wire.hangUp();
    await expectQuietly499("row-79-queue");
    expect(await gateway.metric("pointsman_queue_depth")).toBe(0);
    busy.release();
    await expectAllFree();
    expect(busy.asked).toBe(PLACES);
  });

  test("row 79: in the queue, by FIN behind a body of a megabyte: its place in the line is free as well", async () => {
    await using busy = await occupy("m79f");
    const large = chat("m79f", { user: "x".repeat(MB) });
    const wires: Wire[] = [];
    for (let count = 0; count < 3; count += 1) {
      wires.push(await openWire(gateway.url, jsonPost(CHAT, large, [`x-request-id: row-79-fin-${count}`])));
    }
    await eventually(async () => (await gateway.metric("pointsman_queue_depth")) === 3, "they wait");
    const from = performance.now();
    for (const wire of wires) wire[Symbol.dispose]();
    for (let count = 0; count < 3; count += 1) await expectQuietly499(`row-79-fin-${count}`);
    observe(79, `three with 1 MB in the queue, by FIN: out of it after ${(performance.now() - from).toFixed(0)} ms`);
    expect(await gateway.metric("pointsman_queue_depth")).toBe(0);
    busy.release();
    await expectAllFree();
    expect(busy.asked).toBe(PLACES);
  });

  test("row 79: by FIN behind 100 kB of other requests: the worker does not go on to the end", async () => {
    await using worker = await startEngine({
      model: "m79p",
      instant: false,
      timing: { decodeMs: 20, decodeMsPerRunning: 0 },
    });
    await using _served = await gateway.serve("m79p", [worker.url]);
    const request = jsonPost(CHAT, chat("m79p", { max_tokens: 2000, ignore_eos: true }), [
      "x-request-id: row-79-ahead",
    ]);
    const wire = await openWire(gateway.url, request + head("GET /health", []).repeat(3000));
    await eventually(() => worker.requests.length === 1, "the worker has it");
    const from = performance.now();
    wire[Symbol.dispose]();
    await eventually(() => worker.stats.aborted === 1, "the generation is aborted");
    observe(79, `100 kB behind it, by FIN: the generation ends after ${(performance.now() - from).toFixed(0)} ms`);
    await expectQuietly499("row-79-ahead");
    await expectAllFree();
  });

  test("row 91: a thousand of them are skipped, and the next that lives is served within 50 ms", async () => {
    await using busy = await occupy("m91");
    const wires = await Promise.all(
      Array.from({ length: 1000 }, () => openWire(gateway.url, jsonPost(CHAT, chat("m91")))),
    );
    await eventually(async () => (await gateway.metric("pointsman_queue_depth")) === 1000, "a thousand wait");
    const alive = post(gateway.url + CHAT, chat("m91"));
    await eventually(async () => (await gateway.metric("pointsman_queue_depth")) === 1001, "one more waits");
    for (const wire of wires) wire.hangUp();
    await eventually(async () => (await gateway.metric("pointsman_queue_depth")) === 1, "the dead have left the line");
    const from = performance.now();
    busy.release();
    expect((await alive).status).toBe(200);
    const ms = performance.now() - from;
    expect(ms).toBeLessThan(50);
    observe(91, `served ${ms.toFixed(1)} ms after a place was free; no request of the 1,000 dead at the worker`);
    await expectAllFree();
    expect(busy.asked).toBe(PLACES + 1);
  });

  test("row 91: also where they leave in the moment in which a place is free", async () => {
    await using busy = await occupy("m91b");
    const wires = await Promise.all(
      Array.from({ length: 200 }, () => openWire(gateway.url, jsonPost(CHAT, chat("m91b")))),
    );
    await eventually(async () => (await gateway.metric("pointsman_queue_depth")) === 200, "all wait");
    busy.release();
    for (const wire of wires) wire.hangUp();
    await expectAllFree();
    expect((await post(gateway.url + CHAT, chat("m91b"))).status).toBe(200);
  });
});

describe("a client that does not read", () => {
  /** One place is left for the others. */
  const STREAMS = PLACES - 1;

  test("row 81: its worker is stopped and hardly any memory taken, while other streams go on", async () => {
    await using flood = startFlood(100 * MB);
    await using engine = await startEngine({ model: "m81b" });
    await using _flood = await gateway.serve("m81", [flood.url]);
    await using _served = await gateway.serve("m81b", [engine.url]);
    const wires: Wire[] = [];
    const streamOther = async (forMs: number): Promise<readonly number[]> => {
      const times: number[] = [];
      for (const until = performance.now() + forMs; performance.now() < until; await Bun.sleep(10)) {
        const from = performance.now();
        const response = await post(gateway.url + CHAT, chat("m81b", { stream: true }));
        expect(await response.text()).toEndWith("data: [DONE]\n\n");
        times.push(performance.now() - from);
      }
      return times;
    };
    // What these take of memory is taken before.
    await streamOther(500);
    let others: readonly number[] = [];
    let held = 0;
    const before = gateway.rssMb();
    const peak = await rssRise(gateway, async () => {
      for (let count = 0; count < STREAMS; count += 1) {
        const wire = await openWire(gateway.url);
        wire.pause();
        wires.push(wire);
        await wire.write(jsonPost(CHAT, chat("m81", { stream: true })));
      }
      others = await streamOther(2000);
      held = gateway.rssMb() - before;
    });
    expect(flood.sent).toBeLessThanOrEqual(STREAMS * 20 * MB);
    expect(held).toBeLessThanOrEqual(STREAMS * 8);
    // While they fill, the collector is behind by a moment.
    expect(peak).toBeLessThanOrEqual(STREAMS * 16);
    expect(quantile(others, 0.99)).toBeLessThan(100);
    observe(
      81,
      `${STREAMS} such streams: resident memory ${(held / STREAMS).toFixed(1)} MB more each, ${(flood.sent / STREAMS / MB).toFixed(1)} MB of 100 taken of each worker; other streams p99 ${quantile(others, 0.99).toFixed(0)} ms`,
    );
    for (const wire of wires) wire.hangUp();
    await flood.cut;
    await expectAllFree();
  });

  test("row 81: a reader that is slow gets every byte", async () => {
    await using flood = startFlood(8 * MB);
    await using _flood = await gateway.serve("m81s", [flood.url]);
    const response = await post(gateway.url + CHAT, chat("m81s", { stream: true }));
    let bytes = 0;
    let last = "";
    for await (const piece of response.body ?? []) {
      bytes += piece.length;
      last = Buffer.from(piece).toString("latin1");
      if (bytes < 2 * MB) await Bun.sleep(2);
    }
    expect([bytes, last.endsWith("data: [DONE]\n\n")]).toEqual([flood.textBytes, true]);
  });

  test("row 81: who takes nothing for too long is cut off, and worker and place are free", async () => {
    await using strict = await startFaultGateway(["--client-stall-timeout-secs", "1"]);
    await using flood = startFlood(100 * MB);
    await using _flood = await strict.serve("m81w", [flood.url]);
    using wire = await openWire(strict.url);
    wire.pause();
    await wire.write(jsonPost(CHAT, chat("m81w", { stream: true }), ["x-request-id: row-81-stall"]));
    const isCut = await Promise.race([flood.cut.then(() => true), Bun.sleep(5000)]);
    expect(isCut).toBe(true);
    observe(81, "bound 1 s: cut off, place free");
    await eventually(async () => (await strict.metric("pointsman_admitted_requests")) === 0, "its place is free");
    expect(await strict.accessLine("row-81-stall")).toMatchObject({ attempts: 1 });
  });
});

describe("connections with a bound of a second on idleness", () => {
  /** Longer than the bound and the four seconds to within which Bun keeps it. */
  const SILENCE_MS = 9000;
  let strict: FaultGateway;
  beforeAll(async () => {
    strict = await startFaultGateway(
      [
        ["--client-idle-timeout-secs", "1"],
        ["--stream-keep-alive-secs", "0"],
        ["--idle-timeout-secs", "15"],
        ["--first-byte-timeout-secs", "15"],
        ["--request-timeout-secs", "20"],
      ].flat(),
    );
  });
  afterAll(() => strict[Symbol.asyncDispose]());

  test("row 78: an idle one is closed, one with a silent request or stream only after it", async () => {
    await using engine = await startRawEngine(async ({ body, write }) => {
      if (!body.includes('"stream"')) {
        await Bun.sleep(SILENCE_MS);
        return write(jsonAnswer('{"object":"chat.completion","choices":[]}'));
      }
      write(STREAM_HEAD + deltaChunk("a"));
      await Bun.sleep(SILENCE_MS);
      return write(`${deltaChunk("b")}${chunk("data: [DONE]\n\n")}0\r\n\r\n`);
    });
    await using _served = await strict.serve("m78-silent", [engine.url]);
    const idleAfter = async (bytes: string, isWhole: (text: string) => boolean): Promise<number> => {
      using wire = await openWire(strict.url, bytes);
      while (!isWhole(wire.received) && !wire.isClosed) await wire.more();
      expect(isWhole(wire.received)).toBe(true);
      const from = performance.now();
      await wire.closed;
      return performance.now() - from;
    };
    const idleMs = await Promise.all([
      idleAfter(head("GET /health", []), (text) => text.includes("\r\n\r\n")),
      idleAfter(jsonPost(CHAT, chat("m78-silent")), (text) => text.includes('"choices":[]')),
      idleAfter(jsonPost(CHAT, chat("m78-silent", { stream: true })), (text) => text.includes("[DONE]")),
    ]);
    for (const ms of idleMs) expect(ms).toBeLessThan(SILENCE_MS);
    observe(
      78,
      `bound 1 s: closed after ${idleMs.map((ms) => (ms / 1000).toFixed(1)).join(", ")} s; silent for ${SILENCE_MS / 1000} s, a request and a stream went on to their end`,
    );
  }, 25_000);

  test("row 81: who takes nothing of a whole answer, or of the gateway's own pages, is cut off", async () => {
    await using engine = await startEngine({
      model: "m81-whole",
      respond: () => Response.json({ object: "chat.completion", choices: [], filler: "x".repeat(16 * MB) }),
    });
    await using _served = await strict.serve("m81-whole", [engine.url]);
    const before = strict.descriptors();
    const wires: Wire[] = [];
    for (const bytes of [jsonPost(CHAT, chat("m81-whole")), head("GET /metrics", []).repeat(1000)]) {
      const wire = await openWire(strict.url);
      wire.pause();
      await wire.write(bytes);
      wires.push(wire);
    }
    await Bun.sleep(500);
    const open = strict.descriptors() - before;
    const from = performance.now();
    while (strict.descriptors() > before && performance.now() < from + SILENCE_MS) await Bun.sleep(50);
    const ms = performance.now() - from;
    for (const wire of wires) wire.hangUp();
    // Besides these two the engine's connection may still be kept.
    expect([open >= 2, ms < SILENCE_MS]).toEqual([true, true]);
    observe(81, `a whole answer and a page that nobody reads, bound 1 s: cut off after ${(ms / 1000).toFixed(1)} s`);
  }, 20_000);
});

test("row 78: no more connections from one address than it may have", async () => {
  await using strict = await startFaultGateway(["--max-connections-per-client", "5"]);
  const wires = await Promise.all(Array.from({ length: 5 }, () => openWire(strict.url)));
  // One more is told so before it asks anything, and closed.
  using more = await openWire(strict.url);
  const [answer] = await more.answers(1);
  await more.closed;
  expect([answer?.status, openaiError(answer?.body ?? "").code]).toEqual([429, "too_many_connections"]);
  expect(answer?.headers.get("retry-after")).toBe("1");
  // The others go on, and one that leaves makes room.
  await wires[0]?.write(head("GET /health", []));
  expect((await wires[0]?.answers(1))?.[0]?.status).toBe(200);
  wires[1]?.hangUp();
  await eventually(async () => (await exchange(strict.url, head("GET /health", [])))[0]?.status === 200, "room again");
  for (const wire of wires) wire.hangUp();
  observe(78, "bound 5: the sixth is 429 `too_many_connections` and closed");
});

test("row 78: ten thousand idle connections cost little memory and no time", async () => {
  const CONNECTIONS = 10_000;
  // What the tests before have left of memory would hide what these take.
  await using roomy = await startFaultGateway();
  await using engine = await startEngine({ model: "m78" });
  await using _served = await roomy.serve("m78", [engine.url]);
  const measure = async (): Promise<readonly number[]> => {
    const times: number[] = [];
    for (let count = 0; count < 500; count += 1) {
      const from = performance.now();
      await (await post(roomy.url + CHAT, chat("m78"))).text();
      times.push(performance.now() - from);
    }
    return times;
  };
  await measure();
  const before = await measure();
  const descriptors = roomy.descriptors();
  const wires: Wire[] = [];
  const rise = await rssRise(gateway, async () => {
    while (wires.length < CONNECTIONS) {
      // Half of them have sent a request, and are idle after it.
      const bytes = wires.length % 2 === 0 ? "" : head("GET /health", []);
      wires.push(...(await Promise.all(Array.from({ length: 250 }, () => openWire(roomy.url, bytes)))));
    }
    // Some that were open before have been closed meanwhile.
    await eventually(() => roomy.descriptors() - descriptors >= CONNECTIONS - 200, "all are accepted");
  });
  const after = await measure();
  for (const wire of wires) wire.hangUp();
  expect(rise).toBeLessThanOrEqual(120);
  // A fifth more; and half a millisecond, as a shared machine has more to do than this.
  expect(quantile(after, 0.5)).toBeLessThanOrEqual(quantile(before, 0.5) * 1.2 + 0.5);
  expect(quantile(after, 0.99)).toBeLessThanOrEqual(quantile(before, 0.99) * 1.2 + 5);
  const p99 = [before, after].map((times) => quantile(times, 0.99).toFixed(1));
  observe(78, `resident memory ${rise.toFixed(0)} MB more; p99 ${p99[0]} ms before, ${p99[1]} ms with them`);
  await eventually(() => roomy.descriptors() - descriptors < 50, "all are closed");
});
