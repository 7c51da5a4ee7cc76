import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startBlackHole } from "../support/black-hole.ts";
import { chunk, jsonAnswer, type RawExchange, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { APIS, CHAT, expectCut, expectError, MESSAGES } from "./apis.ts";
import { ask, dig, lineOf, repeat, tally, workerView, expectOneLineEach } from "./ask.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

const FIRST_BYTE_MS = 1000;
/** Shorter than two waits for a first byte, so that the deadline of the whole request can be seen. */
const REQUEST_MS = 1600;

let gateway: FaultGateway;
const upstreamSockets = (): Promise<number> => gateway.metric("pointsman_upstream_sockets");
beforeAll(async () => {
  gateway = await startFaultGateway(["--request-timeout-secs", String(REQUEST_MS / 1000)]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

describe("a worker that cannot be reached", () => {
  test("row 1: a refused connection: another worker has the request at once", async () => {
    const gone = await startEngine({ model: "m1" });
    await using good = await startEngine({ model: "m1" });
    await using served = await gateway.serve("m1", [gone.url, good.url]);
    await gone.stop();
    const replies = await repeat(4, 1, () => ask(gateway, CHAT, "m1"));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const lines = await Promise.all(replies.map((reply) => lineOf(gateway, reply)));
    const second = lines.filter((line) => line["attempts"] === 2);
    expect(second.length).toBeGreaterThanOrEqual(1);
    expect(lines.map((line) => line["worker"])).toEqual(Array.from({ length: 4 }, () => served.ids[1]));
    for (const line of second) expect(line["duration_ms"]).toBeLessThan(100);
    const refused = { worker: gone.url, outcome: "upstream_connect_failed" };
    expect(await gateway.metric("pointsman_worker_attempts_total", refused)).toBe(second.length);
    const slowest = Math.max(...second.map((line) => Number(line["duration_ms"])));
    observe(1, `4 of 4 answered 200, ${second.length} of them in 2 attempts, the slowest in ${slowest.toFixed(1)} ms`);
    expect(good.stats.started).toBe(4);
  });

  test("row 1: with no other worker it is an error, and after three the worker counts as down", async () => {
    const gone = await startEngine({ model: "m1-alone" });
    await using served = await gateway.serve("m1-alone", [gone.url]);
    await gone.stop();
    for (const api of APIS) {
      const reply = await ask(gateway, api, "m1-alone");
      expectError(api, reply, 502, { code: "upstream_connect_failed" });
      expect((await lineOf(gateway, reply))["attempts"]).toBe(1);
    }
    const errors = { model: "m1-alone", code: "upstream_connect_failed" };
    expect(await gateway.metric("pointsman_request_errors_total", errors)).toBe(3);
    observe(1, "alone: 502 `upstream_connect_failed`, 1 attempt each; down after the third");
    const status = async (): Promise<unknown> => (await workerView(gateway, served.ids[0]))["status"];
    await eventually(async () => (await status()) === "not_ready", "the worker is down");
  });

  test.skipIf(process.platform !== "linux")(
    "row 2: a connection that is neither taken nor refused: given up after the connect timeout, then elsewhere",
    async () => {
      await using hole = await startBlackHole();
      await using good = await startEngine({ model: "m2" });
      const unasked = { health: { disable_health_check: true, timeout_secs: 0.1 } };
      await using _alone = await gateway.serve("m2-alone", [hole.url], unasked);
      const failed = await Promise.all(APIS.map((api) => ask(gateway, api, "m2-alone")));
      for (const [index, api] of APIS.entries()) {
        const reply = failed[index];
        if (!reply) throw new Error("no answer");
        expectError(api, reply, 504, { code: "upstream_connect_timeout", anthropic: "timeout_error" });
        expect(reply.ms).toBeWithin(450, 900);
      }
      await using other = await startBlackHole();
      await using _served = await gateway.serve("m2", [other.url, good.url], unasked);
      const replies = await Promise.all(Array.from({ length: 4 }, () => ask(gateway, CHAT, "m2")));
      for (const reply of replies) expect([reply.status, reply.ms < 900]).toEqual([200, true]);
      const late = { worker: other.url, outcome: "upstream_connect_timeout" };
      expect(await gateway.metric("pointsman_worker_attempts_total", late)).toBe(2);
      expect(good.stats.started).toBe(4);
      const aloneMs = Math.max(...failed.map(({ ms }) => ms));
      const elsewhereMs = Math.max(...replies.map(({ ms }) => ms));
      observe(
        2,
        `timeout 500 ms: alone 504 after ${aloneMs.toFixed(0)} ms at most, with another worker 200 after ${elsewhereMs.toFixed(0)} ms at most`,
      );
    },
  );
});

describe("a worker that breaks the connection before it answers", () => {
  test("row 3: closed in order once the request was read: an error, and two workers asked at most", async () => {
    const engines = await Promise.all([1, 2, 3].map(() => startRawEngine(({ end }) => end())));
    await using _served = await gateway.serve(
      "m3",
      engines.map(({ url }) => url),
    );
    const received = (): number => engines.reduce((sum, { generations }) => sum + generations, 0);
    for (const [index, api] of APIS.entries()) {
      expectError(api, await ask(gateway, api, "m3"), 502, { code: "upstream_closed" });
      expect(received()).toBe(2 * (index + 1));
    }
    expect(engines.every(({ generations }) => generations <= 3)).toBe(true);
    observe(
      3,
      `502 \`upstream_closed\`; ${received()} requests seen by three such workers for ${APIS.length} of clients`,
    );
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  });

  test("rows 3, 4, 5: a thousand times over: an error each, and no socket is left over", async () => {
    const breaks: Readonly<Record<string, (connection: RawExchange) => void>> = {
      "closed when it was opened": ({ end }) => end(),
      "reset when it was opened": ({ reset }) => reset(),
    };
    const before = gateway.descriptors();
    for (const [name, onOpen] of Object.entries(breaks)) {
      let isBroken = false;
      await using engine = await startRawEngine(({ end }) => end(), {
        onOpen: (connection) => isBroken && onOpen(connection),
      });
      // Probes would find it down as well, and after three of them nobody would be asked.
      await using _served = await gateway.serve(name, [engine.url], { health: { disable_health_check: true } });
      isBroken = true;
      const statuses = await repeat(
        1000,
        50,
        async (index) => (await ask(gateway, CHAT, name, { seed: index })).status,
      );
      expect([name, tally(statuses)]).toEqual([name, { 502: 1000 }]);
    }
    await using halves = await startRawEngine(({ write, reset }) => {
      write("HTTP/1.1 20");
      setTimeout(reset, 2);
    });
    await using _served = await gateway.serve("m5", [halves.url]);
    const statuses = await repeat(1000, 50, async (index) => (await ask(gateway, CHAT, "m5", { seed: index })).status);
    expect(tally(statuses)).toEqual({ 502: 1000 });
    await eventually(async () => (await upstreamSockets()) <= 4, "the sockets to workers are closed");
    // 50 are the connections of this test's own requests.
    expect(gateway.descriptors()).toBeLessThanOrEqual(before + 50 + 8);
    observe(
      5,
      `3 × 1,000 broken answers: 3,000 × 502, ${await upstreamSockets()} sockets to workers and ${gateway.descriptors() - before} descriptors more after, of which 50 are these clients'`,
    );
  });

  test("row 4: reset after the request was read: one more try elsewhere, and no generation twice", async () => {
    await using broken = await startRawEngine(({ reset }) => reset());
    await using engine = await startEngine({ model: "m4" });
    await using _served = await gateway.serve("m4", [broken.url, engine.url]);
    const replies = await Promise.all(Array.from({ length: 4 }, () => ask(gateway, CHAT, "m4")));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(broken.generations).toBeLessThanOrEqual(4);
    expect(engine.stats.started).toBe(4);
    observe(4, `4 of 4 answered 200: ${broken.generations} at the worker that resets, 4 at the other`);
  });

  test("row 4: reset by every worker: an error after two of them", async () => {
    await using one = await startRawEngine(({ reset }) => reset());
    await using two = await startRawEngine(({ reset }) => reset());
    await using three = await startRawEngine(({ reset }) => reset());
    await using _served = await gateway.serve("m4-all", [one.url, two.url, three.url]);
    expectError(MESSAGES, await ask(gateway, MESSAGES, "m4-all"), 502, { code: "upstream_closed" });
    expect(tally([one.generations, two.generations, three.generations])).toEqual({ 0: 1, 1: 2 });
    observe(4, "all three reset: 502 after 2 generations");
  });

  test("row 4: with retries switched off a worker is asked once", async () => {
    await using strict = await startFaultGateway(["--disable-retries"]);
    await using one = await startRawEngine(({ reset }) => reset());
    await using two = await startRawEngine(({ reset }) => reset());
    await using _served = await strict.serve("m4", [one.url, two.url]);
    expectError(CHAT, await ask(strict, CHAT, "m4"), 502, { code: "upstream_closed" });
    expect(one.generations + two.generations).toBe(1);
    observe(4, "retries off: 502 after 1 generation");
  });

  test("row 5: broken or ended within the head: an error, in each API", async () => {
    await using engine = await startRawEngine(({ write, reset, end }) => {
      write("HTTP/1.1 200 OK\r\ncontent-ty");
      setTimeout(engine.generations % 2 === 0 ? reset : end, 10);
    });
    await using _served = await gateway.serve("m5-head", [engine.url]);
    for (const api of [...APIS, ...APIS]) {
      const reply = await ask(gateway, api, "m5-head");
      const { error } = await lineOf(gateway, reply);
      expect(error).toBe("upstream_closed");
      expectError(api, reply, 502, { code: "upstream_closed" });
    }
  });
});

describe("an answer whose end cannot be trusted", () => {
  test("row 9: a body that is shorter than its length: nothing of it reaches the client", async () => {
    const shortAnswer = ({ write, end }: RawExchange): void => {
      write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{"secret":"half"}');
      end();
    };
    const engines = await Promise.all([1, 2, 3].map(() => startRawEngine(shortAnswer)));
    await using _served = await gateway.serve(
      "m9",
      engines.map(({ url }) => url),
    );
    for (const [index, api] of APIS.entries()) {
      const reply = await ask(gateway, api, "m9");
      expectError(api, reply, 502, { code: "upstream_truncated" });
      expect(reply.text).not.toContain("half");
      const asked = engines.reduce((sum, { generations }) => sum + generations, 0);
      expect(asked).toBeLessThanOrEqual(2 * (index + 1));
      observe(9, `502 \`upstream_truncated\`, ${asked} attempts for ${index + 1} requests`);
    }
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  });

  test("row 10: a body that is longer than its length: an error, and the rest is in no other answer", async () => {
    await using engine = await startRawEngine(({ write }) => {
      if (engine.generations === 1)
        write(
          'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{"a":"this is too long"}',
        );
      else write(jsonAnswer(CHAT.whole("its own")));
    });
    await using _served = await gateway.serve("m10", [engine.url]);
    expectError(CHAT, await ask(gateway, CHAT, "m10"), 502, { code: "invalid_upstream_response" });
    const next = await ask(gateway, CHAT, "m10");
    expect([next.status, next.text]).toEqual([200, CHAT.whole("its own")]);
    observe(10, "502 `invalid_upstream_response`; the next request has its own 200");
  });

  test("row 10: a second answer behind the first one is nobody's", async () => {
    const closed: Promise<void>[] = [];
    await using engine = await startRawEngine((exchange) => {
      const { seed } = JSON.parse(exchange.body) as { seed: number };
      closed.push(exchange.closed);
      exchange.write(jsonAnswer(CHAT.whole(`answer ${seed}`)) + jsonAnswer(CHAT.whole("smuggled")));
    });
    await using _served = await gateway.serve("m10-two", [engine.url]);
    const replies = await repeat(20, 2, (index) => ask(gateway, CHAT, "m10-two", { seed: index }));
    for (const [index, { status, text }] of replies.entries())
      expect([status, text]).toEqual([200, CHAT.whole(`answer ${index}`)]);
    await Promise.all(closed);
    observe(10, `20 answers with a second one behind each: 20 right, ${closed.length} connections closed`);
  });

  const FRAMING: Readonly<Record<string, string>> = {
    "row 11: both a length and chunks":
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "row 11: two different lengths":
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
    "row 12: a chunk size that is none":
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n{}\r\n0\r\n\r\n",
    "row 12: a chunk that is longer than its size":
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
  };
  for (const [name, answer] of Object.entries(FRAMING)) {
    test(`${name}: an error, and the connection is closed`, async () => {
      const closed: Promise<void>[] = [];
      await using engine = await startRawEngine((exchange) => {
        closed.push(exchange.closed);
        exchange.write(answer);
      });
      await using _served = await gateway.serve(name, [engine.url]);
      for (const api of APIS) expectError(api, await ask(gateway, api, name), 502, { code: "upstream_protocol_error" });
      await Promise.all(closed);
      expect(closed).toHaveLength(3);
      observe(Number(name.slice(4, 6)), "502 `upstream_protocol_error`, 3 of 3 sockets closed");
    });
  }

  test("row 12: a chunk size that is none, after the first event: told in the stream", async () => {
    for (const api of APIS) {
      const closed = Promise.withResolvers<void>();
      let spoil = (): void => undefined;
      await using engine = await startRawEngine((exchange) => {
        exchange.write(STREAM_HEAD + chunk(api.opening + api.delta("one", 0)));
        spoil = () => exchange.write("ZZZ\r\n");
        void exchange.closed.then(closed.resolve);
      });
      await using _served = await gateway.serve(`m12 ${api.name}`, [engine.url]);
      const reply = await ask(gateway, api, `m12 ${api.name}`, { stream: true }, (text) => {
        if (text.includes("one")) spoil();
        spoil = () => undefined;
      });
      expectCut(api, reply, ["one"], { code: "upstream_protocol_error" });
      await closed.promise;
    }
    observe(12, "within a stream: error event `upstream_protocol_error` in 3 APIs");
  });
});

describe.concurrent("a worker and time", () => {
  test("row 13: nothing comes: an error when the time for the first byte is over, and the worker is let go", async () => {
    const seen = await Promise.all(
      APIS.flatMap((api) => [false, true].map((stream) => ({ api, stream }))).map(async ({ api, stream }) => {
        const closed = Promise.withResolvers<number>();
        await using engine = await startRawEngine((exchange) => {
          void exchange.closed.then(() => closed.resolve(performance.now()));
        });
        const model = `m13 ${api.name} ${stream}`;
        await using _served = await gateway.serve(model, [engine.url]);
        const reply = await ask(gateway, api, model, { stream });
        const answered = performance.now();
        expectError(api, reply, 504, { code: "upstream_timeout", anthropic: "timeout_error" });
        expect(reply.ms).toBeWithin(FIRST_BYTE_MS - 250, FIRST_BYTE_MS + 250);
        const lateMs = (await closed.promise) - answered;
        expect(lateMs).toBeLessThan(100);
        expect(engine.generations).toBe(1);
        return { ms: reply.ms, lateMs };
      }),
    );
    const [longest, latest] = [Math.max(...seen.map(({ ms }) => ms)), Math.max(...seen.map(({ lateMs }) => lateMs))];
    observe(
      13,
      `bound ${FIRST_BYTE_MS} ms: 504 after ${longest.toFixed(0)} ms at most, the worker's connection closed ${Math.max(0, latest).toFixed(0)} ms later at most`,
    );
  });

  test("row 13: two silent workers: the deadline of the whole request holds over both", async () => {
    await using one = await startRawEngine(() => undefined);
    await using two = await startRawEngine(() => undefined);
    await using _served = await gateway.serve("m13-both", [one.url, two.url]);
    const reply = await ask(gateway, CHAT, "m13-both");
    expectError(CHAT, reply, 504, { code: "upstream_timeout" });
    expect(reply.ms).toBeWithin(REQUEST_MS - 250, REQUEST_MS + 250);
    expect(one.generations + two.generations).toBeLessThanOrEqual(2);
    observe(
      13,
      `two silent workers, deadline ${REQUEST_MS} ms: 504 after ${reply.ms.toFixed(0)} ms, ${one.generations + two.generations} attempts`,
    );
  });

  test("row 48: a worker that closes connections idle for a second, asked about each second: no client sees an error", async () => {
    await using engine = await startRawEngine(({ write }) => write(jsonAnswer(CHAT.whole("here"))), {
      idleCloseMs: 1000,
    });
    await using _served = await gateway.serve("m48", [engine.url]);
    const lanes = Array.from({ length: 100 }, async (_, lane) => {
      const statuses: number[] = [];
      for (let turn = 0; turn < 5; turn += 1) {
        statuses.push((await ask(gateway, CHAT, "m48", { seed: lane * 5 + turn })).status);
        if (turn < 4) await Bun.sleep(1000 + lane);
      }
      return statuses;
    });
    expect(tally((await Promise.all(lanes)).flat())).toEqual({ 200: 500 });
    const unclear = await gateway.metric("pointsman_worker_attempts_total", {
      worker: engine.url,
      outcome: "upstream_stale_socket",
    });
    expect(engine.generations).toBeWithin(500, 500 + unclear + 1);
    observe(48, `500 of 500 answered 200; ${engine.generations} generations, ${unclear} unclear`);
  });

  test("row 48: a connection that ends just as a request goes out on it: the request is made once more, on a new one", async () => {
    const used = new Set<Promise<void>>();
    await using engine = await startRawEngine(({ write, end, closed }) => {
      if (used.has(closed)) return end();
      used.add(closed);
      return write(jsonAnswer(CHAT.whole("new")));
    });
    await using _served = await gateway.serve("m48-race", [engine.url]);
    const replies = await repeat(12, 1, (seed) => ask(gateway, CHAT, "m48-race", { seed }));
    expect(tally(replies.map(({ status }) => status))).toEqual({ 200: 12 });
    const stale = { worker: engine.url, outcome: "upstream_stale_socket" };
    expect(await gateway.metric("pointsman_worker_attempts_total", stale)).toBe(engine.generations - 12);
    expect(engine.generations).toBeWithin(18, 25);
    observe(48, `closed on every second request: 12 of 12 answered 200, ${engine.generations} requests at the worker`);
  });

  test("row 47: those beyond four are refused: an answer for each client, and no socket is left over", async () => {
    let most = Number.POSITIVE_INFINITY;
    await using engine = await startRawEngine(
      async ({ write }) => {
        await Bun.sleep(20);
        write(jsonAnswer(CHAT.whole("yes")));
      },
      {
        onOpen: ({ reset }) => {
          if (engine.openConnections > most) reset();
        },
      },
    );
    await using _served = await gateway.serve("m47-refused", [engine.url]);
    const ofProbes = engine.openConnections;
    most = ofProbes + 4;
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(gateway, CHAT, "m47-refused", { seed: index })),
    );
    for (const { status } of replies) expect(status).toBeOneOf([200, 502, 503]);
    expect(replies.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(1);
    expect(engine.generations).toBeLessThanOrEqual(100);
    await eventually(() => engine.openConnections <= ofProbes, "idle connections are closed");
    const statuses = Object.entries(tally(replies.map(({ status }) => status)));
    observe(
      47,
      `beyond four reset: ${statuses.map(([status, count]) => `${count} × ${status}`).join(", ")}; no socket left`,
    );
  });
});

describe("a worker that takes few connections", () => {
  test("row 47: those beyond four wait for their turn: all are answered, and no socket is left over", async () => {
    const waiting: (() => void)[] = [];
    let running = 0;
    const next = (): void => {
      while (running < 4) {
        const start = waiting.shift();
        if (!start) return;
        running += 1;
        start();
      }
    };
    await using engine = await startRawEngine(({ write }) => {
      waiting.push(() =>
        setTimeout(() => {
          write(jsonAnswer(CHAT.whole("in turn")));
          running -= 1;
          next();
        }, 5),
      );
      next();
    });
    await using _served = await gateway.serve("m47", [engine.url]);
    const ofProbes = engine.openConnections;
    const before = gateway.descriptors();
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(gateway, CHAT, "m47", { seed: index })),
    );
    expect(tally(replies.map(({ status }) => status))).toEqual({ 200: 100 });
    expect(engine.generations).toBe(100);
    // Unused ones are closed after three seconds; the rest are those of this test's own requests.
    await eventually(() => engine.openConnections <= ofProbes, "idle connections are closed");
    expect(gateway.descriptors()).toBeLessThanOrEqual(before + 100);
    observe(47, "beyond four wait: 100 × 200, 100 generations, no socket left");
  });

  test("row 47: with a bound of four there are never more, and all are answered", async () => {
    // A probe has a connection of its own, which would count.
    const flags = ["--max-connections-per-worker", "4", "--health-check-interval-secs", "3600"];
    await using bounded = await startFaultGateway(flags);
    let most = 0;
    await using engine = await startRawEngine(async ({ write }) => {
      most = Math.max(most, engine.openConnections - ofProbes);
      await Bun.sleep(5);
      write(jsonAnswer(CHAT.whole("in turn")));
    });
    await using _served = await bounded.serve("m47-bounded", [engine.url]);
    const ofProbes = engine.openConnections;
    const replies = Array.from({ length: 100 }, (_, seed) => ask(bounded, CHAT, "m47-bounded", { seed }));
    expect(tally((await Promise.all(replies)).map(({ status }) => status))).toEqual({ 200: 100 });
    expect([most <= 4, engine.generations]).toEqual([true, 100]);
    observe(47, `bound 4: 100 × 200, ${most} connections at most`);
  });

  test("row 47: where all four stay taken another worker has the request, or it is 503 after the connect timeout", async () => {
    await using bounded = await startFaultGateway([
      ...["--max-connections-per-worker", "4", "--first-byte-timeout-secs", "10"],
      ...["--retry-max-retries", "1", "--cb-failure-threshold", "1"],
    ]);
    const held: (() => void)[] = [];
    await using full = await startRawEngine(({ write }) => {
      held.push(() => write(jsonAnswer(CHAT.whole("at last"))));
    });
    await using _full = await bounded.serve("m47-full", [full.url]);
    const first = Array.from({ length: 4 }, (_, seed) => ask(bounded, CHAT, "m47-full", { seed }));
    await eventually(() => held.length === 4, "all are taken");
    for (const api of APIS) {
      const { status, text, headers, ms } = await ask(bounded, api, "m47-full");
      const code: unknown = dig(JSON.parse(text), "error", "code");
      expect([api.name, status, code, headers.get("retry-after")]).toEqual([
        api.name,
        api.status(503),
        "upstream_connections_full",
        "1",
      ]);
      expect(ms).toBeWithin(450, 1000);
    }
    await using other = await startRawEngine(({ write }) => write(jsonAnswer(CHAT.whole("elsewhere"))));
    await using _other = await bounded.serve("m47-full", [other.url]);
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, index) => ask(bounded, CHAT, "m47-full", { seed: 4 + index })),
    );
    expect(tally(replies.map(({ status }) => status))).toEqual({ 200: 10 });
    expect([held.length, other.generations]).toEqual([4, 10]);
    for (const release of held) release();
    expect(tally((await Promise.all(first)).map(({ status }) => status))).toEqual({ 200: 4 });
    observe(
      47,
      "bound 4, all taken: 503 `upstream_connections_full` with Retry-After after the connect timeout; with another worker 10 × 200",
    );
  });
});
