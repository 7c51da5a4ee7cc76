import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { jsonAnswer, type RawExchange, startRawEngine } from "../support/engine.ts";
import { APIS, CHAT, expectError } from "./apis.ts";
import { ask, expectOneLineEach, repeat, tally } from "./ask.ts";
import { eventually, expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

const REQUEST_MS = 3000;
const LF_HEAD = "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: ";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway([
    ...["--request-timeout-secs", String(REQUEST_MS / 1000)],
    ...["--max-connections-per-worker", "2", "--connect-timeout-secs", "2"],
  ]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** Nothing is held of requests that are over. */
async function expectNoneHeld(): Promise<void> {
  await eventually(async () => {
    const inFlight = await gateway.metric("pointsman_worker_in_flight");
    return inFlight === 0 && (await gateway.metric("pointsman_admitted_requests")) === 0;
  }, "all counts are back at none");
}

describe("sockets that several requests use", () => {
  test("row 123: a socket that is closed as it is handed to the next in line: that one has another, and none waits for ever", async () => {
    const body = "no JSON at all";
    await using engine = await startRawEngine(({ write }) => {
      write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
      );
      // A segment of its own, so that the answer is read in two pieces.
      setTimeout(() => write(body.slice(5)), 2);
    });
    await using _served = await gateway.serve("m210", [engine.url]);
    const replies = await Promise.all(Array.from({ length: 40 }, (_, seed) => ask(gateway, CHAT, "m210", { seed })));
    for (const reply of replies) expectError(CHAT, reply, 502, { code: "invalid_upstream_response" });
    expect(engine.generations).toBe(40);
    await expectNoneHeld();
    const slowest = Math.max(...replies.map(({ ms }) => ms));
    observe(
      123,
      `40 requests over 2 sockets: 40 × 502 in ${slowest.toFixed(0)} ms at most, 40 generations, all counts at none`,
    );
  });

  test("row 124: a second answer that comes late, in a segment of its own: one request at most is given it, and then no socket is used again", async () => {
    let extra = 0;
    const late = ({ body, write }: RawExchange): void => {
      const { seed } = JSON.parse(body) as { seed: number };
      write(jsonAnswer(CHAT.whole(`answer ${seed}`)));
      extra += 1;
      // By the time that the first one of them comes, its socket may have been given to another request.
      setTimeout(() => write(jsonAnswer(CHAT.whole(`extra ${seed}`))), seed % 3);
    };
    await using engine = await startRawEngine(late);
    await using _served = await gateway.serve("m211", [engine.url]);
    const replies = await repeat(100, 1, (seed) => ask(gateway, CHAT, "m211", { seed }));
    const wrong = replies.filter(({ text }, seed) => text !== CHAT.whole(`answer ${seed}`));
    expect(tally(replies.map(({ status }) => status))).toEqual({ 200: 100 });
    expect(wrong.length).toBeLessThanOrEqual(1);
    observe(124, `${extra} extra answers, 0 to 2 ms late: ${wrong.length} of 100 requests had one`);
  });

  test("row 125: a head whose lines end in a line feed alone is read, and one that can never be whole is refused at once", async () => {
    await using engine = await startRawEngine((exchange) => {
      const text = CHAT.whole("plain");
      exchange.write(`${LF_HEAD}${Buffer.byteLength(text)}\n\n${text}`);
    });
    await using _served = await gateway.serve("m212", [engine.url]);
    const reply = await ask(gateway, CHAT, "m212");
    expect([reply.status, reply.text]).toEqual([200, CHAT.whole("plain")]);
    for (const [index, head] of [
      `${LF_HEAD}2\r\n\r\n{}`,
      "HTTP/1.1 200 OK\r\nx-a: 1\n",
      "\x15\x03\x03\x00\x02",
    ].entries()) {
      await using broken = await startRawEngine(({ write }) => write(head));
      await using _broken = await gateway.serve(`m212-${index}`, [broken.url]);
      for (const api of APIS) {
        const refused = await ask(gateway, api, `m212-${index}`);
        expectError(api, refused, 502, { code: "upstream_protocol_error" });
        expect(refused.ms).toBeLessThan(500);
      }
    }
    observe(
      125,
      "line feeds alone: 200; the two kinds mixed, and TLS: 502 `upstream_protocol_error` at once, in 3 APIs",
    );
  });

  test("row 126: HTTP/1.0 with chunks, or a length told of an answer without a body: read, and the socket is not used again", async () => {
    const chunked = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    const closed: Promise<void>[] = [];
    await using old = await startRawEngine((exchange) => {
      closed.push(exchange.closed);
      exchange.write(
        `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunked(CHAT.whole("old"))}`,
      );
    });
    await using _old = await gateway.serve("m213", [old.url]);
    const replies = await repeat(5, 1, () => ask(gateway, CHAT, "m213"));
    for (const { status, text } of replies) expect([status, text]).toEqual([200, CHAT.whole("old")]);
    await using empty = await startRawEngine((exchange) => {
      closed.push(exchange.closed);
      exchange.write("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n");
    });
    await using _empty = await gateway.serve("m213-204", [empty.url]);
    for (const api of APIS) expect((await ask(gateway, api, "m213-204")).status).toBe(api.status(502));
    const answered = performance.now();
    await Promise.all(closed);
    // Sooner than idle ones are closed.
    expect(performance.now() - answered).toBeLessThan(500);
    observe(126, `${closed.length} of ${5 + APIS.length} sockets closed`);
  });
});
