import { describe, expect, test } from "bun:test";
import { ByteBudget } from "../../src/server/byte-budget.ts";
import { textReply } from "../../src/transport/downstream.ts";
import { eventually } from "../faults/observe.ts";
import { head, openWire } from "../faults/wire.ts";
import { bodyOf, echo, startHttpServer } from "../support/http-server.ts";

const KB = 1024;

/** A server whose handler answers when it is told to, and what it holds. */
function startCounting(most = 100_000 * KB): {
  readonly url: string;
  readonly budget: ByteBudget;
  readonly begun: Promise<void>;
  release(): void;
  [Symbol.dispose](): void;
} {
  const budget = new ByteBudget(most);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: begun, resolve: onBegun } = Promise.withResolvers<void>();
  const started = startHttpServer(
    async (request) => {
      if (request.path !== "/held") return echo(request);
      onBegun();
      await released;
      return textReply(String((await bodyOf(request)).length));
    },
    { account: budget },
  );
  return { url: started.url, budget, begun, release, [Symbol.dispose]: () => started[Symbol.dispose]() };
}

const post = (path: string, length: number): string => head(`POST ${path}`, [`content-length: ${length}`]);

describe("bytes of requests are counted as they are held", () => {
  test("what has come of a body, not what was announced, until its request is answered", async () => {
    using server = startCounting();
    using wire = await openWire(server.url, post("/held", 1000 * KB));
    await server.begun;
    expect(server.budget.held).toBe(0);
    await wire.write("x".repeat(100 * KB));
    await eventually(() => server.budget.held >= 100 * KB, "it has come");
    expect(server.budget.held).toBeLessThan(110 * KB);
    await wire.write("x".repeat(900 * KB));
    server.release();
    await wire.answers(1);
    expect(server.budget.held).toBe(0);
  });

  test("those of a client that leaves until it is gone", async () => {
    using server = startCounting();
    using wire = await openWire(server.url, post("/held", 1000 * KB) + "x".repeat(100 * KB));
    await eventually(() => server.budget.held >= 100 * KB, "it has come");
    wire.hangUp();
    await eventually(() => server.budget.held === 0, "nothing is held");
    server.release();
  });

  test("what stands behind the request that is answered, and a head that is not whole", async () => {
    using server = startCounting();
    using wire = await openWire(server.url, head("GET /held", []));
    await server.begun;
    await wire.write(head("GET /behind", []).repeat(1000) + head("GET /last", []));
    await eventually(() => server.budget.held >= 35 * KB, "it has come");
    server.release();
    await wire.until("GET /last");
    expect(server.budget.held).toBe(0);
    await wire.write("GET /slow HTTP/1.1\r\n");
    await eventually(() => server.budget.held === 20, "a head has begun");
    wire.hangUp();
    await eventually(() => server.budget.held === 0, "nothing is held");
  });

  test("what is put around the bytes of a body is not kept with them", async () => {
    using server = startCounting();
    const chunk = `1;${"a".repeat(120)}\r\nx\r\n`;
    const body = chunk.repeat(150);
    using wire = await openWire(server.url, head("POST /held", ["transfer-encoding: chunked"]) + body);
    await server.begun;
    await eventually(() => server.budget.held >= 150, "it has come");
    // 18 kB on the wire, of which 150 bytes are kept, in one piece or a few.
    expect(server.budget.held).toBeLessThan(2 * KB);
    await wire.write("0\r\n\r\n");
    server.release();
    expect((await wire.answers(1)).map(({ body }) => body)).toEqual(["150"]);
  });
});

describe("beyond the bytes that may be held", () => {
  test("a body has no room beside others, and its client is told so", async () => {
    using server = startCounting(300 * KB);
    using first = await openWire(server.url, post("/held", 200 * KB) + "x".repeat(200 * KB));
    await eventually(() => server.budget.held >= 200 * KB, "the first is there");
    using second = await openWire(server.url, post("/echo", 150 * KB) + "x".repeat(150 * KB));
    const [refused] = await second.answers(1);
    expect([refused?.status, refused?.body]).toEqual([503, "memory_full"]);
    await eventually(() => server.budget.held < 201 * KB, "the second is not held");
    using third = await openWire(server.url, head("GET /health", []));
    expect((await third.answers(1))[0]?.status).toBe(200);
    server.release();
    expect((await first.answers(1))[0]?.body).toBe(String(200 * KB));
    expect(server.budget.held).toBe(0);
  });

  test("one that is alone has all the room that it needs", async () => {
    using server = startCounting(100 * KB);
    using wire = await openWire(server.url, post("/echo", 500 * KB) + "x".repeat(500 * KB));
    expect((await wire.answers(1))[0]?.status).toBe(200);
    expect(server.budget.held).toBe(0);
  });

  test("requests behind another are not kept: the connection ends with that one's answer", async () => {
    using server = startCounting(210 * KB);
    using full = await openWire(server.url, post("/held", 200 * KB) + "x".repeat(200 * KB));
    await eventually(() => server.budget.held >= 200 * KB, "there is little room");
    using wire = await openWire(server.url, head("GET /held", []));
    await Bun.sleep(20);
    await wire.write(head("GET /behind", []).repeat(1000));
    await Bun.sleep(20);
    server.release();
    await wire.closed;
    const answers = await wire.answers(1);
    expect(answers.map(({ status, headers }) => [status, headers.get("connection")])).toEqual([[200, "close"]]);
    expect((await full.answers(1))[0]?.status).toBe(200);
    expect(server.budget.held).toBe(0);
  });
});
