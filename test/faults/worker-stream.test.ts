import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openRaw, rawPost } from "../support/client.ts";
import {
  byteChunk,
  chunk,
  jsonAnswer,
  type RawEngine,
  type RawExchange,
  startRawEngine,
  STREAM_HEAD,
} from "../support/engine.ts";
import { type Api, APIS, CHAT, expectCut, expectError, MESSAGES, piecesIn, RESPONSES } from "./apis.ts";
import { ask, lineOf, readEvents, type Reply, repeat, workerView, expectOneLineEach } from "./ask.ts";
import { expectSameProcessServes, observe, rssRise } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

const IDLE_MS = 1000;
/** Faults that open a breaker. */
const THRESHOLD = 3;

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--cb-failure-threshold", String(THRESHOLD)]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

/** How many models there were: each stream gets one of its own. */
let models = 0;

interface Streamed {
  readonly reply: Reply;
  readonly engine: RawEngine;
  readonly model: string;
}

/**
 * A stream of the API from a worker that sends `before`, and once the client has all of its pieces does `then`.
 * The client has nothing to wait for where `before` has no piece.
 */
async function stream(
  api: Api,
  before: readonly string[],
  then: (exchange: RawExchange) => void,
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Streamed> {
  models += 1;
  const model = `stream-${models}`;
  let proceed = (): void => undefined;
  await using engine = await startRawEngine((exchange) => {
    exchange.write(STREAM_HEAD + chunk(api.opening + before.map((piece, index) => api.delta(piece, index)).join("")));
    let isDone = false;
    proceed = () => {
      if (!isDone) then(exchange);
      isDone = true;
    };
    if (before.length === 0) proceed();
  });
  await using _served = await gateway.serve(model, [engine.url]);
  const reply = await ask(gateway, api, model, { stream: true, ...extra }, (text) => {
    if (piecesIn(api, text).length >= before.length) proceed();
  });
  return { reply, engine, model };
}

const PIECES = ["one", "two", "three"];

describe("a stream that is cut", () => {
  const CUTS: Readonly<
    Record<string, { readonly code: string; readonly cut: (api: Api, exchange: RawExchange) => void }>
  > = {
    "row 6: by a broken connection": { code: "upstream_reset", cut: (_api, { reset }) => reset() },
    "row 7: by the end of the connection within a chunk": {
      code: "upstream_truncated",
      cut: (api, { write, end }) => {
        write(chunk(api.delta("four", 3)).slice(0, -20));
        end();
      },
    },
    "row 8: in order, without having said why it stopped": {
      code: "upstream_truncated",
      cut: (_api, { write }) => write("0\r\n\r\n"),
    },
  };
  for (const [name, { code, cut }] of Object.entries(CUTS)) {
    for (const api of APIS) {
      test(`${name}: what came is delivered once, then the error is told: ${api.name}`, async () => {
        const { reply, engine, model } = await stream(api, PIECES, (exchange) => cut(api, exchange));
        expectCut(api, reply, PIECES, { code });
        const { attempts, status, error, stream: isStream } = await lineOf(gateway, reply);
        expect({ attempts, status, error, isStream }).toEqual({
          attempts: 1,
          status: 200,
          error: code,
          isStream: true,
        });
        expect(engine.generations).toBe(1);
        expect(await gateway.metric("pointsman_request_errors_total", { model, code })).toBe(1);
        observe(Number(name.slice(4, 5)), `3 of 3 pieces once, then \`${code}\`, 1 generation, in each API`);
      });
    }
  }

  test("rows 6, 7, 8: each counts one fault of the worker", async () => {
    await using engine = await startRawEngine(({ write, end }) => {
      write(STREAM_HEAD + chunk(CHAT.delta("one", 0)));
      end();
    });
    await using served = await gateway.serve("cut", [engine.url]);
    const seen: unknown[] = [];
    for (let seed = 0; seed < THRESHOLD; seed += 1) {
      await ask(gateway, CHAT, "cut", { stream: true, seed });
      seen.push((await workerView(gateway, served.ids[0]))["breaker"]);
    }
    expect(seen).toEqual(["closed", "closed", "open"]);
    for (const row of [6, 7, 8]) observe(row, `breaker of threshold ${THRESHOLD} open after ${seen.length}`);
  });

  test("row 8: after it has said why it stopped: the end marker is added, and it is no failure", async () => {
    const model = "unmarked";
    const said = CHAT.opening + PIECES.map((piece, index) => CHAT.delta(piece, index)).join("");
    const ending = CHAT.ending(PIECES.length).replace("data: [DONE]\n\n", "");
    await using engine = await startRawEngine(({ write }) => write(`${STREAM_HEAD}${chunk(said + ending)}0\r\n\r\n`));
    await using _served = await gateway.serve(model, [engine.url]);
    const reply = await ask(gateway, CHAT, model, { stream: true });
    expect(piecesIn(CHAT, reply.text)).toEqual([...PIECES]);
    expect(reply.text).toEndWith('"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
    expect((await lineOf(gateway, reply))["error"]).toBeUndefined();
    expect(await gateway.metric("pointsman_request_errors_total", { model })).toBe(0);
    expect(await gateway.metric("pointsman_requests_total", { model, status: "200" })).toBe(1);
    expect(await gateway.metric("pointsman_added_end_markers_total", { model })).toBe(1);
    observe(8, "after `finish_reason`: `[DONE]` added and counted, no error counted");
  });

  for (const marker of ["", "data: [DONE]\n\n"]) {
    const shown = marker === "" ? "nothing" : "`[DONE]`";
    test(`row 8: messages that have said why they stopped, and then ${shown}: their last event is added`, async () => {
      const model = `unmarked messages ${marker.length}`;
      const whole = MESSAGES.opening + MESSAGES.delta("one", 0) + MESSAGES.ending(1);
      const said = whole.slice(0, whole.lastIndexOf("event: message_stop"));
      await using engine = await startRawEngine(({ write }) => write(`${STREAM_HEAD}${chunk(said + marker)}0\r\n\r\n`));
      await using _served = await gateway.serve(model, [engine.url]);
      const reply = await ask(gateway, MESSAGES, model, { stream: true });
      expect(reply.text).toBe(whole);
      expect((await lineOf(gateway, reply))["error"]).toBeUndefined();
      expect(await gateway.metric("pointsman_added_end_markers_total", { model })).toBe(1);
      observe(8, "after `stop_reason`: `message_stop` added and counted");
    });
  }

  for (const api of [MESSAGES, RESPONSES]) {
    test(`row 8: \`[DONE]\` in the place of the last event is no end: ${api.name}`, async () => {
      const { reply } = await stream(api, ["one"], ({ write }) => write(`${chunk("data: [DONE]\n\n")}0\r\n\r\n`));
      expectCut(api, reply, ["one"], { code: "upstream_truncated" });
    });
  }
});

describe.concurrent("a stream and time", () => {
  for (const api of APIS) {
    test(`row 14: silence within a stream is told when the idle time is over: ${api.name}`, async () => {
      const silent = Promise.withResolvers<number>();
      const { reply } = await stream(api, ["one"], ({ closed }) => {
        const since = performance.now();
        void closed.then(() => silent.resolve(performance.now() - since));
      });
      expectCut(api, reply, ["one"], { code: "upstream_stalled", anthropic: "timeout_error" });
      const silentMs = await silent.promise;
      expect(silentMs).toBeWithin(IDLE_MS - 250, IDLE_MS + 350);
      observe(14, `bound ${IDLE_MS} ms: cut after ${silentMs.toFixed(0)} ms (${api.name})`);
    });
  }

  test("row 14: a token now and then is not silence, however long it takes", async () => {
    const { reply } = await stream(CHAT, ["one"], ({ write }) => {
      let index = 0;
      const timer = setInterval(() => {
        index += 1;
        if (index < 7) write(chunk(CHAT.delta(`t${index}`, index)));
        else {
          clearInterval(timer);
          write(`${chunk(CHAT.ending(index))}0\r\n\r\n`);
        }
      }, IDLE_MS / 2);
    });
    expect(reply.ms).toBeGreaterThan(3 * IDLE_MS);
    observe(14, `a token each ${IDLE_MS / 2} ms: whole after ${reply.ms.toFixed(0)} ms`);
    expect(piecesIn(CHAT, reply.text)).toEqual(["one", "t1", "t2", "t3", "t4", "t5", "t6"]);
    expect(reply.text).toEndWith("data: [DONE]\n\n");
  });

  test("row 14: while a worker is silent the client hears that the connection lives, and it changes no event", async () => {
    await using lively = await startFaultGateway(["--stream-keep-alive-secs", "1", "--idle-timeout-secs", "5"]);
    await Promise.all(
      APIS.map(async (api) => {
        const whole = api.opening + api.delta("one", 0) + api.delta("two", 1) + api.ending(2);
        await using engine = await startRawEngine(async ({ write }) => {
          write(STREAM_HEAD + chunk(api.opening + api.delta("one", 0)));
          await Bun.sleep(2500);
          write(`${chunk(api.delta("two", 1) + api.ending(2))}0\r\n\r\n`);
        });
        await using _served = await lively.serve(api.name, [engine.url]);
        const { text } = await ask(lively, api, api.name, { stream: true });
        const between = text.slice(text.indexOf("one"), text.indexOf("two"));
        expect(between).toMatch(
          api === MESSAGES ? /\nevent: ping\ndata: \{"type":"ping"\}\n\n/ : /\n\n:[^\n]*\ndata:|\n\n:[^\n]*\nevent:/,
        );
        const events = readEvents(text).filter(({ name, data }) => name !== "ping" && data !== "[DONE]");
        expect(events).toEqual(readEvents(whole).filter(({ data }) => data !== "[DONE]"));
      }),
    );
  });

  test("row 15: a byte at a time: whole events, none lost, and none held back", async () => {
    const events = Array.from({ length: 10 }, (_, index) => CHAT.delta(`piece ${index}`, index));
    const bytes = [...Buffer.from(events.join("") + CHAT.ending(10))];
    const firstEnds = Buffer.byteLength(events[0] ?? "");
    let firstSentAt = 0;
    await using engine = await startRawEngine(async ({ write }) => {
      write(STREAM_HEAD);
      for (const [index, byte] of bytes.entries()) {
        if (index % 4 === 0) await Bun.sleep(1);
        write(chunk(String.fromCharCode(byte)));
        if (index === firstEnds - 1) firstSentAt = performance.now();
        if (index === firstEnds - 1) await Bun.sleep(100);
      }
      write("0\r\n\r\n");
    });
    await using _served = await gateway.serve("m15", [engine.url]);
    const client = await openRaw(gateway.url, rawPost("/v1/chat/completions", CHAT.body("m15", { stream: true })));
    await client.until("piece 0");
    const heldMs = performance.now() - firstSentAt;
    expect(heldMs).toBeLessThan(50);
    const received = await client.until("0\r\n\r\n");
    client.hangUp();
    const writes = writesIn(received);
    expect(writes.join("")).toBe(events.join("") + CHAT.ending(10));
    expect(writes.length).toBeLessThanOrEqual(2 * (events.length + 2));
    for (const write of writes) expect(write).toEndWith("\n\n");
    observe(
      15,
      `${events.length + 2} events in ${writes.length} writes; the first ${heldMs.toFixed(1)} ms after its last byte`,
    );
  });
});

describe("an answer in the other form", () => {
  for (const api of APIS) {
    test(`row 23: JSON where a stream was asked for is not passed on as a stream: ${api.name}`, async () => {
      await using engine = await startRawEngine(({ write }) => write(jsonAnswer(api.whole("whole"))));
      await using _served = await gateway.serve(`m23 ${api.name}`, [engine.url]);
      const reply = await ask(gateway, api, `m23 ${api.name}`, { stream: true });
      if (reply.status === 200) {
        expect(reply.headers.get("content-type")).toStartWith("text/event-stream");
        expect(piecesIn(api, reply.text).join("")).toBe("whole");
      } else {
        expectError(api, reply, 502, { code: "invalid_upstream_response" });
      }
      expect(engine.generations).toBe(1);
      observe(23, `${reply.status}, 1 generation`);
    });

    test(`row 24: a stream where a whole answer was asked for is not passed on as one: ${api.name}`, async () => {
      await using engine = await startRawEngine(({ write }) =>
        write(`${STREAM_HEAD}${chunk(api.opening + api.delta("streamed", 0) + api.ending(1))}0\r\n\r\n`),
      );
      await using _served = await gateway.serve(`m24 ${api.name}`, [engine.url]);
      const reply = await ask(gateway, api, `m24 ${api.name}`);
      if (reply.status === 200) {
        expect(reply.headers.get("content-type")).toStartWith("application/json");
        expect(JSON.stringify(JSON.parse(reply.text))).toContain("streamed");
      } else {
        expectError(api, reply, 502, { code: "invalid_upstream_response" });
      }
      expect(engine.generations).toBe(1);
      observe(24, `${reply.status}, 1 generation`);
    });
  }
});

describe("events that are none", () => {
  for (const api of APIS) {
    test(`row 27: data that is not JSON: the events before it are kept, and the error is told: ${api.name}`, async () => {
      const { reply, model } = await stream(api, ["one"], ({ write }) =>
        write(`${chunk(`data: {not json\n\n${api.delta("two", 1)}${api.ending(2)}`)}0\r\n\r\n`),
      );
      expectCut(api, reply, ["one"], { code: "upstream_event_invalid" });
      expect(reply.text).not.toContain("{not json");
      const errors = { model, code: "upstream_event_invalid" };
      expect(await gateway.metric("pointsman_request_errors_total", errors)).toBe(1);
      observe(27, "1 of 1 earlier pieces, then `upstream_event_invalid`, in each API");
    });
  }

  const ENGINE_ERRORS: readonly { readonly api: Api; readonly name: string; readonly event: string }[] = [
    {
      api: CHAT,
      name: "vLLM's",
      event: `data: {"error":{"object":"error","message":"EngineCore died at /root/secret.py","type":"InternalServerError","param":null,"code":500}}\n\ndata: [DONE]\n\n`,
    },
    {
      api: CHAT,
      name: "a bare one",
      event: `data: {"object":"error","message":"EngineCore died at /root/secret.py","code":500}\n\ndata: [DONE]\n\n`,
    },
    {
      api: MESSAGES,
      name: "Anthropic's",
      event: `event: error\ndata: {"type":"error","error":{"type":"internal_error","message":"EngineCore died at /root/secret.py"}}\n\n${MESSAGES.ending(1)}`,
    },
    {
      api: RESPONSES,
      name: "of the Responses API",
      event: `event: error\ndata: {"type":"error","code":"500","message":"EngineCore died at /root/secret.py","param":null,"sequence_number":2}\n\ndata: [DONE]\n\n`,
    },
  ];
  for (const { api, name, event } of ENGINE_ERRORS) {
    test(`row 28: an error that the engine tells within its stream, ${name}, is told in the API's own shape`, async () => {
      const { reply } = await stream(api, ["one"], ({ write }) => write(`${chunk(event)}0\r\n\r\n`));
      const { error } = await lineOf(gateway, reply);
      expect(error).toBeString();
      expectCut(api, reply, ["one"], { code: String(error) });
      observe(28, `\`${String(error)}\`, no end marker`);
    });
  }

  test("row 28: such errors are faults of the worker", async () => {
    const event = ENGINE_ERRORS[0]?.event ?? "";
    await using engine = await startRawEngine(({ write }) =>
      write(`${STREAM_HEAD}${chunk(CHAT.delta("one", 0) + event)}0\r\n\r\n`),
    );
    await using served = await gateway.serve("m28", [engine.url]);
    for (let seed = 0; seed < THRESHOLD; seed += 1) await ask(gateway, CHAT, "m28", { stream: true, seed });
    expect((await workerView(gateway, served.ids[0]))["breaker"]).toBe("open");
    expect(await gateway.metric("pointsman_request_errors_total", { model: "m28" })).toBe(THRESHOLD);
    observe(28, `breaker open after ${THRESHOLD}`);
  });

  const AFTER_DONE: Readonly<Record<string, (exchange: RawExchange) => void>> = {
    "in the same piece": ({ write }) => write(`${chunk(CHAT.ending(1) + CHAT.delta("late", 1))}0\r\n\r\n`),
    "in the next piece": ({ write }) => {
      write(chunk(CHAT.ending(1)));
      setTimeout(() => write(`${chunk(CHAT.delta("late", 1))}0\r\n\r\n`), 20);
    },
    "a second end marker": ({ write }) => {
      write(chunk(CHAT.ending(1)));
      setTimeout(() => write(`${chunk("data: [DONE]\n\n")}0\r\n\r\n`), 20);
    },
  };
  for (const [name, then] of Object.entries(AFTER_DONE)) {
    test(`row 29: nothing follows the end marker, and the connection is not used again: ${name}`, async () => {
      const closed = Promise.withResolvers<void>();
      await using engine = await startRawEngine((exchange) => {
        void exchange.closed.then(closed.resolve);
        exchange.write(STREAM_HEAD + chunk(CHAT.delta("one", 0)));
        then(exchange);
      });
      await using _served = await gateway.serve(`m29 ${name}`, [engine.url]);
      const reply = await ask(gateway, CHAT, `m29 ${name}`, { stream: true });
      expect(reply.text).toBe(CHAT.delta("one", 0) + CHAT.ending(1));
      // Well before it would be closed for having been idle.
      expect(await Promise.race([closed.promise.then(() => "closed"), Bun.sleep(1000)])).toBe("closed");
      observe(29, "nothing behind `[DONE]`, socket closed");
    });
  }
});

describe("the many forms of one stream", () => {
  const text = (content: string): string => JSON.stringify({ choices: [{ index: 0, delta: { content } }] });
  const PLAIN = [text("caf\u00e9"), text("\u{1F686} \u{1F9E1}"), "[DONE]"].map((data) => `data: ${data}\n\n`).join("");
  const FORMS: Readonly<Record<string, string>> = {
    LF: PLAIN,
    CRLF: PLAIN.replaceAll("\n", "\r\n"),
    CR: PLAIN.replaceAll("\n", "\r"),
    "no space after the colon": PLAIN.replaceAll("data: ", "data:"),
    "comments between and within": `: hello\n\n${PLAIN.replaceAll("data: ", ":ping\ndata: ")}`,
    "ids and retry": PLAIN.replaceAll("data: ", "id: 7\nretry: 1000\ndata: "),
    "data over several lines": PLAIN.replaceAll('"choices":[', '"choices":\ndata: ['),
    "a byte order mark": `\uFEFF${PLAIN}`,
  };
  /** What a client makes of it. */
  const meaning = (stream: string): unknown[] =>
    readEvents(stream).map(({ data }): unknown => (data === "[DONE]" ? data : JSON.parse(data)));

  for (const [name, form] of Object.entries(FORMS)) {
    test(`row 30: ${name}: means the same to the client, wherever it is split`, async () => {
      const bytes = Buffer.from(form);
      await using engine = await startRawEngine(async ({ body, write }) => {
        const { seed } = JSON.parse(body) as { seed: number };
        write(STREAM_HEAD);
        write(byteChunk(bytes.subarray(0, seed)));
        await Bun.sleep(2);
        write(byteChunk(bytes.subarray(seed)));
        write("0\r\n\r\n");
      });
      await using _served = await gateway.serve(`m30 ${name}`, [engine.url]);
      const wrong = await repeat(bytes.length - 1, 24, async (index) => {
        const reply = await ask(gateway, CHAT, `m30 ${name}`, { stream: true, seed: index + 1 });
        return Bun.deepEquals(meaning(reply.text), meaning(PLAIN)) ? undefined : [index + 1, reply.text];
      });
      expect(wrong.find((one) => one !== undefined)).toBeUndefined();
      observe(30, `${name}: ${bytes.length - 1} of ${bytes.length - 1} splits the same`);
    });
  }
});

describe("a line without end", () => {
  const MB = 1024 * 1024;
  const endless = ({ write }: RawExchange): void => {
    const piece = byteChunk(Buffer.alloc(64 * 1024, "a"));
    write(chunk('data: {"choices":[{"delta":{"content":"'));
    for (let sent = 0; sent < 64 * MB; sent += 64 * 1024) write(piece);
  };

  test("row 31: before any event: an error", async () => {
    await using engine = await startRawEngine((exchange) => {
      exchange.write(STREAM_HEAD);
      endless(exchange);
    });
    await using _served = await gateway.serve("m31", [engine.url]);
    expectError(CHAT, await ask(gateway, CHAT, "m31", { stream: true }), 502, { code: "upstream_event_too_large" });
  });

  test("row 31: after an event: cut at the cap, told, and it takes no memory", async () => {
    const closed = Promise.withResolvers<number>();
    let streamed: Streamed | undefined;
    const rise = await rssRise(gateway, async () => {
      streamed = await stream(CHAT, ["one"], (exchange) => {
        void exchange.closed.then(() => closed.resolve(exchange.writtenBytes));
        endless(exchange);
      });
    });
    if (!streamed) throw new Error("no stream");
    expectCut(CHAT, streamed.reply, ["one"], { code: "upstream_event_too_large" });
    // What the system holds for the two sockets comes on top of the cap.
    const taken = await closed.promise;
    expect(taken).toBeLessThan(16 * MB);
    expect(rise).toBeLessThanOrEqual(16);
    observe(
      31,
      `\`upstream_event_too_large\` after ${(taken / MB).toFixed(1)} MiB sent, resident memory ${rise.toFixed(1)} MB more`,
    );
  });
});

/** The chunks of a chunked answer, in which each is a write of the server. */
function writesIn(answer: string): string[] {
  const writes: string[] = [];
  let at = answer.indexOf("\r\n\r\n") + 4;
  for (;;) {
    const lineEnd = answer.indexOf("\r\n", at);
    const size = Number.parseInt(answer.slice(at, lineEnd), 16);
    if (!(size > 0)) return writes;
    writes.push(answer.slice(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
