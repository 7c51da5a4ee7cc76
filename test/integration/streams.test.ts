import { expect, test } from "bun:test";
import { openRaw, rawPost } from "../support/client.ts";
import { chunk, deltaChunk, startEngine, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const STREAM = { ...HELLO, model: "raw", stream: true };
const FINISH = 'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n';

/** A gateway before a raw engine, and what a client of its chat stream gets. */
async function streamThrough(
  answer: Parameters<typeof startRawEngine>[0],
  config = {},
): Promise<{ text: string; line: Record<string, unknown>; generations: number }> {
  await using engine = await startRawEngine(answer);
  await using gateway = await startGateway({ workers: [engine.url], config });
  const line = gateway.nextLine();
  const response = await post(`${gateway.url}/v1/chat/completions`, STREAM);
  const text = await response.text();
  const settled = await line;
  expect(gateway.context.ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
  return { text, line: settled, generations: engine.generations };
}

test("a stream is the same bytes before and behind the gateway", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  const body = { ...HELLO, stream: true, stream_options: { include_usage: true } };
  const strip = (text: string): string => text.replace(/"(id|created)":("[^"]*"|\d+)/g, "");
  const direct = strip(await (await post(`${engine.url}/v1/chat/completions`, body)).text());
  const response = await post(`${gateway.url}/v1/chat/completions`, body);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(response.headers.get("cache-control")).toBe("no-cache");
  expect(response.headers.get("content-length")).toBeNull();
  // What the engine has cached by now is the one thing that may differ.
  const cached = /"cached_tokens":\d+/;
  expect(strip(await response.text()).replace(cached, "")).toBe(direct.replace(cached, ""));
});

test("the access line has the time to the first token and the counts of the usage block", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  const line = gateway.nextLine();
  await (
    await post(`${gateway.url}/v1/chat/completions`, {
      ...HELLO,
      max_tokens: 5,
      stream: true,
      stream_options: { include_usage: true },
    })
  ).text();
  const { ttft_ms, prompt_tokens, completion_tokens, status, attempts, model, policy, worker, request_id } = await line;
  expect(ttft_ms).toBeGreaterThan(0);
  expect(prompt_tokens).toBeGreaterThan(0);
  expect([completion_tokens, status, attempts, model, policy]).toEqual([5, 200, 1, "sim-1", "round_robin"]);
  expect([typeof worker, typeof request_id]).toEqual(["string", "string"]);
});

test("a client that hangs up mid-stream frees the worker at once", async () => {
  await using engine = await startRawEngine(({ write }) => write(STREAM_HEAD + deltaChunk("one")));
  await using gateway = await startGateway({ workers: [engine.url] });
  const line = gateway.nextLine();
  const client = await openRaw(gateway.url, rawPost("/v1/chat/completions", STREAM));
  await client.until("one");
  expect(gateway.context.ledger.totals().inFlight).toBe(1);
  client.hangUp();
  await engine.sawClose;
  expect((await line)["status"]).toBe(499);
  expect(gateway.context.ledger.totals()).toEqual({ inFlight: 0, pendingPromptTokens: 0, decoding: 0 });
});

test("a client that hangs up before the first token frees the worker at once", async () => {
  const { promise: got, resolve } = Promise.withResolvers<void>();
  await using engine = await startRawEngine(() => resolve());
  await using gateway = await startGateway({ workers: [engine.url] });
  const line = gateway.nextLine();
  const client = await openRaw(gateway.url, rawPost("/v1/chat/completions", STREAM));
  await got;
  client.hangUp();
  await engine.sawClose;
  expect((await line)["status"]).toBe(499);
  expect(gateway.context.ledger.totals().inFlight).toBe(0);
  expect(engine.generations).toBe(1);
});

test("a stream that the worker breaks ends with an error event and no end marker", async () => {
  const { text, line, generations } = await streamThrough(({ write, reset }) => {
    write(STREAM_HEAD + deltaChunk("one") + deltaChunk("two"));
    setTimeout(reset, 30);
  });
  expect(text.match(/"content":"(one|two)"/g)).toHaveLength(2);
  const last = JSON.parse(text.trim().split("\n\n").at(-1)?.slice(6) ?? "");
  expect(Object.keys(last.error).sort()).toEqual(["code", "message", "param", "type"]);
  expect(text).not.toContain("[DONE]");
  expect([line["attempts"], generations]).toEqual([1, 1]);
  expect(["upstream_reset", "upstream_truncated"]).toContain(String(line["error"]));
});

test("a stream cut within an event never shows the half of it", async () => {
  const { text, line } = await streamThrough(({ write, end }) => {
    write(STREAM_HEAD + deltaChunk("one") + chunk('data: {"choices":[{"delta":{"content":"hal'));
    setTimeout(end, 30);
  });
  expect(text).not.toContain('"hal');
  expect(text).toContain('"error"');
  expect(line["error"]).toBe("upstream_truncated");
});

test("a stream that ends in order but without its end marker is reported as cut", async () => {
  const { text, line } = await streamThrough(({ write }) => write(`${STREAM_HEAD}${deltaChunk("one")}0\r\n\r\n`));
  expect(text).not.toContain("[DONE]");
  expect(JSON.parse(text.trim().split("\n\n").at(-1)?.slice(6) ?? "").error.code).toBe("upstream_truncated");
  expect(line["error"]).toBe("upstream_truncated");
});

test("an answer that said why it stopped gets the end marker that the worker forgot", async () => {
  const { text, line } = await streamThrough(({ write }) =>
    write(`${STREAM_HEAD}${deltaChunk("one")}${chunk(FINISH)}0\r\n\r\n`),
  );
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  expect(line["error"]).toBeUndefined();
});

test("nothing comes after the end marker", async () => {
  const { text } = await streamThrough(({ write }) =>
    write(`${STREAM_HEAD}${deltaChunk("one")}${chunk("data: [DONE]\n\ndata: late\n\ndata: [DONE]\n\n")}0\r\n\r\n`),
  );
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  expect(text).not.toContain("late");
  expect(text.split("[DONE]")).toHaveLength(2);
});

test("streams whose engine writes an end marker behind the API's own last event share a connection to it", async () => {
  const connections = new Set<Promise<void>>();
  await using engine = await startRawEngine(({ write, closed }) => {
    connections.add(closed);
    const events = [{ type: "message_start", message: {} }, { type: "message_stop" }].map(
      (event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`,
    );
    write(`${STREAM_HEAD}${[...events, "data: [DONE]\n\n"].map(chunk).join("")}0\r\n\r\n`);
  });
  await using gateway = await startGateway({ workers: [engine.url] });
  for (let count = 0; count < 20; count += 1) {
    const text = await (await post(`${gateway.url}/v1/messages`, { ...STREAM, max_tokens: 1 })).text();
    expect([text.includes("message_stop"), text.includes("[DONE]")]).toEqual([true, false]);
  }
  // One, but for those whose last bytes were on their way when the next request came.
  expect(connections.size).toBeLessThan(10);
});

test("silence within a stream ends it, and a slow stream is not silence", async () => {
  const { text, line } = await streamThrough(
    ({ write }) => {
      write(STREAM_HEAD);
      let count = 0;
      const timer = setInterval(() => {
        count += 1;
        if (count > 6) clearInterval(timer);
        else write(deltaChunk(`t${count}`));
      }, 150);
    },
    { idleTimeoutSecs: 0.4 },
  );
  expect(text).toContain('"t6"');
  expect(line["error"]).toBe("upstream_stalled");
  expect(text).not.toContain("[DONE]");
});

test("a JSON error to a stream keeps its status and is not labelled a stream", async () => {
  await using engine = await startEngine({
    respond: () =>
      Response.json({ error: { message: "context too long", param: "messages", code: null } }, { status: 400 }),
  });
  await using gateway = await startGateway({ workers: [engine.url] });
  const response = await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, stream: true });
  expect(response.status).toBe(400);
  expect(response.headers.get("content-type")).toContain("application/json");
});

test("a slow reader stops the worker", async () => {
  const piece = deltaChunk("x".repeat(60_000));
  let sent = 0;
  await using engine = await startEngine({
    respond: () => {
      const source: Bun.DirectUnderlyingSource<Uint8Array> = {
        type: "direct",
        async pull(controller) {
          for (let count = 0; count < 2000; count += 1) {
            await controller.write(piece);
            sent += piece.length;
          }
          controller.close();
        },
      };
      return new Response(new ReadableStream(source), { headers: { "content-type": "text/event-stream" } });
    },
  });
  await using gateway = await startGateway({ workers: [engine.url] });
  const client = await openRaw(gateway.url, rawPost("/v1/chat/completions", { ...HELLO, stream: true }));
  client.pause();
  // Until nothing moves any more: the buffers of the system are full, and nobody in between takes more.
  for (let before = -1; before !== sent;) {
    before = sent;
    await Bun.sleep(300);
  }
  expect(sent).toBeLessThan(20_000_000);
  client.hangUp();
});
