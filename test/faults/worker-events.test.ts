import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { post } from "../support/gateway.ts";
import { chunk, type RawExchange, startRawEngine, STREAM_HEAD } from "../support/engine.ts";
import { type Api, APIS, CHAT, expectCut, expectError, MESSAGES, RESPONSES } from "./apis.ts";
import { ask, expectOneLineEach, lineOf, type Reply, workerView } from "./ask.ts";
import { expectSameProcessServes, observe } from "./observe.ts";
import { type FaultGateway, startFaultGateway } from "./setup.ts";

let gateway: FaultGateway;
beforeAll(async () => {
  gateway = await startFaultGateway(["--parse-output", "parsed-*", "--cb-failure-threshold", "1000"]);
});
afterAll(async () => {
  await expectSameProcessServes(gateway);
  await expectOneLineEach(gateway);
  await gateway[Symbol.asyncDispose]();
});

const COMPLETIONS: Api = {
  ...CHAT,
  name: "/v1/completions",
  path: "/v1/completions",
  body: (model, extra = {}) => ({ model, prompt: "a", ...extra }),
};
const GENERATE: Api = {
  ...CHAT,
  name: "/generate",
  path: "/generate",
  body: (model, extra = {}) => ({ model, text: "a", ...extra }),
};

const data = (event: object): string => `data: ${JSON.stringify(event)}\n\n`;

/** What a client gets of a stream of these events, which ends in order. */
async function through(
  api: Api,
  model: string,
  events: readonly string[],
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Reply> {
  await using engine = await startRawEngine(({ write }) =>
    write(`${STREAM_HEAD}${events.map(chunk).join("")}0\r\n\r\n`),
  );
  await using _served = await gateway.serve(model, [engine.url]);
  return await ask(gateway, api, model, { stream: true, ...extra });
}

describe("a reason to stop that is none", () => {
  const piece = (content: string, finish_reason: string | null): string =>
    data({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason }] });
  const native = (text: string, finish_reason: unknown): string =>
    data({ text, index: 0, meta_info: { finish_reason } });

  for (const nothing of ["", "null"]) {
    const shown = JSON.stringify(nothing);

    test(`row 127: ${shown} in each event: a stream that is cut is told as cut`, async () => {
      const reply = await through(CHAT, `cut-${nothing}`, [piece("one", nothing), piece("two", nothing)]);
      expectCut(CHAT, reply, ["one", "two"], { code: "upstream_truncated" });
      const generated = await through(GENERATE, `generate-${nothing}`, [native("one", nothing)]);
      expectCut(GENERATE, generated, [], { code: "upstream_truncated" });
      observe(127, `${shown}: \`upstream_truncated\`, no \`[DONE]\`, on chat and /generate`);
    });

    test(`row 127: ${shown} in each event: a whole stream without its end marker gets it`, async () => {
      const reply = await through(CHAT, `whole-${nothing}`, [piece("one", nothing), piece("", "stop")]);
      expect(reply.text).toBe(`${piece("one", nothing)}${piece("", "stop")}data: [DONE]\n\n`);
      const said = [native("one", nothing), native("one two", { type: "length", length: 2 })];
      expect((await through(GENERATE, `native-${nothing}`, said)).text).toBe(`${said.join("")}data: [DONE]\n\n`);
    });

    test(`row 127: ${shown} in each event: with \`parse_output\` a call is told as a call`, async () => {
      const events = ['<tool_call>\n{"name": "f", ', '"arguments": {"x": 1}}\n</tool_call>'].map((text) =>
        piece(text, nothing),
      );
      const reply = await through(
        CHAT,
        `parsed-qwen3-${nothing === "" ? "empty" : nothing}`,
        [...events, piece("", "stop"), "data: [DONE]\n\n"],
        { tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }] },
      );
      expect(reply.text).toContain('"name":"f"');
      expect(reply.text).not.toContain("<tool_call>");
      expect(reply.text).toContain('"finish_reason":"tool_calls"');
      observe(127, `${shown}, parsed: the call, \`finish_reason\` tool_calls`);
    });
  }
});

describe("fewer answers than were asked for", () => {
  const chosen = (index: number, reason: string | null): string =>
    data({ id: "c", choices: [{ index, text: "x", delta: {}, finish_reason: reason }] });
  const native = (index: number, reason: object | null): string =>
    data({ text: "x", index, meta_info: { finish_reason: reason } });
  const first = [chosen(0, null), chosen(0, "stop")];
  const CASES: readonly (readonly [name: string, api: Api, asked: object, first: string[], second: string[]])[] = [
    ["n", CHAT, { n: 2 }, first, [chosen(1, "length")]],
    ["n", COMPLETIONS, { n: 2 }, first, [chosen(1, "stop")]],
    ["two prompts", COMPLETIONS, { prompt: ["a", "b"] }, first, [chosen(1, "stop")]],
    ["two lists of token ids", COMPLETIONS, { prompt: [[1], [2]] }, first, [chosen(1, "stop")]],
    ["a batch of texts", GENERATE, { text: ["a", "b"] }, [native(0, { type: "stop" })], [native(1, { type: "stop" })]],
    [
      "a batch of token ids, with n",
      GENERATE,
      { text: undefined, input_ids: [[1], [2]], sampling_params: { n: 2 } },
      [0, 1, 2].map((index) => native(index, { type: "stop" })),
      [native(3, { type: "length" })],
    ],
  ];
  for (const [index, [name, api, asked, begun, rest]] of CASES.entries()) {
    test(`row 128: ${name}: the stream ends too early, and is told as cut: ${api.name}`, async () => {
      const reply = await through(api, `few-${index}`, begun, { ...asked });
      expectCut(api, reply, [], { code: "upstream_truncated" });
      expect((await lineOf(gateway, reply))["error"]).toBe("upstream_truncated");
      const whole = await through(api, `all-${index}`, [...begun, ...rest], { ...asked });
      expect(whole.text).toBe(`${[...begun, ...rest].join("")}data: [DONE]\n\n`);
      expect((await lineOf(gateway, whole))["error"]).toBeUndefined();
      observe(128, `${name}: \`upstream_truncated\`; with all of them \`[DONE]\` added (${api.name})`);
    });
  }
});

describe("events that tell nothing of the answer", () => {
  const FORMS: Readonly<Record<string, string>> = {
    "empty data": "data:\n\n",
    "a space as data": "data: \n\n",
    "empty data with CRLF": "data:\r\n\r\n",
    "a ping with empty data": "event: ping\ndata:\n\n",
    "a name without data": "event: content_block_delta\n\n",
    "a ping in words": "event: ping\ndata: ping\n\n",
    "a heartbeat with a number": "event: heartbeat\ndata: 1764163200\n\n",
  };
  for (const [index, [name, form]] of Object.entries(FORMS).entries()) {
    test(`row 129: ${name}, before the first event, between events and before the end: the client gets the stream without it`, async () => {
      for (const api of APIS) {
        const model = `nothing-${index}-${api.name}`;
        const pieces = [api.opening + api.delta("one", 0), api.delta("two", 1), api.ending(2)];
        const reply = await through(api, model, [form, ...pieces.flatMap((piece) => [form, piece])]);
        const end = api === RESPONSES ? "data: [DONE]\n\n" : "";
        expect([reply.status, reply.text]).toEqual([200, `${pieces.join("")}${end}`]);
        expect((await lineOf(gateway, reply))["error"]).toBeUndefined();
      }
      observe(129, `${name}: left out in each API, the stream whole`);
    });
  }

  test("row 129: white space around the end marker: the stream is whole", async () => {
    const events = [CHAT.delta("one", 0), CHAT.ending(1).replace("[DONE]", "[DONE] ")];
    const reply = await through(CHAT, "spaced", events);
    expect(reply.text).toBe(events.join(""));
    expect((await lineOf(gateway, reply))["error"]).toBeUndefined();
  });

  test("row 129: data that is neither JSON nor by a foreign name is told as before, and so is broken JSON", async () => {
    for (const [at, bad] of [
      "data: ping\n\n",
      "event: error\ndata: gone\n\n",
      'event: ping\ndata: {"a\n\n',
    ].entries()) {
      const reply = await through(CHAT, `bad-${at}`, [CHAT.delta("one", 0), bad, CHAT.ending(1)]);
      expectCut(CHAT, reply, ["one"], { code: "upstream_event_invalid" });
    }
  });
});

describe("errors in odd forms", () => {
  const NAMED: readonly (readonly [api: Api, end: string])[] = [
    [CHAT, CHAT.ending(1)],
    [MESSAGES, MESSAGES.ending(1)],
    [RESPONSES, RESPONSES.ending(1)],
  ];
  for (const [api, end] of NAMED) {
    test(`row 130: an event by the name of error whose data has no error is one: ${api.name}`, async () => {
      const told = 'event: error\ndata: {"message":"EngineCore died at /root/secret.py"}\n\n';
      const reply = await through(api, `named-${api.name}`, [api.opening + api.delta("one", 0), told, end]);
      expectCut(api, reply, ["one"], { code: "upstream_stream_error" });
      observe(130, `\`event: error\` without an error in it: \`upstream_stream_error\`, no end marker (${api.name})`);
    });
  }

  test("row 130: an empty error in each event is none", async () => {
    for (const [at, error] of ["", {}, null].entries()) {
      const events = ["one", "two"].map((content) => data({ choices: [{ index: 0, delta: { content } }], error }));
      const reply = await through(CHAT, `empty-error-${at}`, [...events, CHAT.ending(2)]);
      expect(reply.text).toBe(events.join("") + CHAT.ending(2));
    }
    observe(130, "an empty `error` beside an answer: the stream whole");
  });
});

describe("a worker that is lost before it has told anything of the answer", () => {
  const FIRST: Readonly<Record<string, string>> = {
    nothing: "",
    "a comment": ": processing\n\n",
    "`retry:`": "retry: 1000\n\n",
    "an event without data": "event: error\n: engine shut down\n\n",
    "empty data": "data:\n\n",
    "a ping": 'event: ping\ndata: {"type":"ping"}\n\n',
  };
  const THEN: Readonly<Record<string, (exchange: RawExchange) => void>> = {
    "ends the stream": ({ write }) => write("0\r\n\r\n"),
    "breaks the connection": ({ reset }) => setTimeout(reset, 20),
    "falls silent": () => undefined,
  };
  for (const [what, first] of Object.entries(FIRST)) {
    for (const [how, then] of Object.entries(THEN)) {
      test(`row 131: ${what}, then it ${how}: another worker answers, in each API`, async () => {
        await Promise.all(
          APIS.map(async (api) => {
            const model = `early ${what} ${how} ${api.name}`;
            const whole = api.opening + api.delta("one", 0) + api.ending(1);
            await using bad = await startRawEngine((exchange) => {
              exchange.write(STREAM_HEAD + (first === "" ? "" : chunk(first)));
              then(exchange);
            });
            await using good = await startRawEngine(({ write }) => write(`${STREAM_HEAD}${chunk(whole)}0\r\n\r\n`));
            await using _served = await gateway.serve(model, [bad.url, good.url]);
            for (let seed = 0; bad.generations === 0 && seed < 4; seed += 1) {
              const reply = await ask(gateway, api, model, { stream: true, seed });
              expect(reply.text).toStartWith(whole);
              expect(await lineOf(gateway, reply)).not.toHaveProperty("error");
            }
            expect(bad.generations).toBe(1);
          }),
        );
        observe(131, `${what}, then it ${how}: whole from the other worker, in each API`);
      });
    }
  }

  test("row 131: alone it is an error with its status, and the fault counts once", async () => {
    await using engine = await startRawEngine(({ write, reset }) => {
      write(STREAM_HEAD + chunk(": processing\n\n"));
      setTimeout(reset, 20);
    });
    await using served = await gateway.serve("early-alone", [engine.url]);
    const reply = await ask(gateway, CHAT, "early-alone", { stream: true });
    expectError(CHAT, reply, 502, { code: "upstream_closed" });
    expect([engine.generations, (await workerView(gateway, served.ids[0]))["breaker"]]).toEqual([1, "closed"]);
  });

  test("row 131: comments before the first event reach the client with it, and many of them take no memory", async () => {
    const comments = [": one\n\n", "retry: 5\n\n", ": three\n\n"];
    const reply = await through(CHAT, "commented", [...comments, CHAT.delta("a", 0) + CHAT.ending(1)]);
    expect(reply.text).toBe(comments.join("") + CHAT.delta("a", 0) + CHAT.ending(1));
    const many = Array.from({ length: 64 }, () => `: ${"x".repeat(32_768)}\n\n`);
    const much = await through(CHAT, "much", [...many, CHAT.delta("a", 0) + CHAT.ending(1)]);
    expect(much.text).toEndWith(CHAT.delta("a", 0) + CHAT.ending(1));
    // What came in one piece with the first event is passed with it.
    expect(much.text.length).toBeLessThan(1_000_000);
  });
});

describe("answers that are no JSON by right", () => {
  const NUMBERS = Buffer.from(Float32Array.of(0.5, -1, Number.NaN).buffer);
  const METADATA = '{"id":"e","data":[{"index":0,"shape":[3]}],"usage":{"prompt_tokens":5,"total_tokens":5}}';
  const head = (headers: string, length: number): string =>
    `HTTP/1.1 200 OK\r\n${headers}content-length: ${length}\r\n\r\n`;

  async function embed(model: string, headers: string, body: Buffer, asked: object): Promise<Response> {
    await using engine = await startRawEngine(({ write }) =>
      write(Buffer.concat([Buffer.from(head(headers, body.length)), body])),
    );
    await using _served = await gateway.serve(model, [engine.url]);
    return await post(`${gateway.url}/v1/embeddings`, { model, input: "a", ...asked });
  }

  test("row 134: embeddings as bytes pass as they are, with what they are where the worker says it", async () => {
    for (const [format, metadata] of [
      ["bytes", `metadata: ${METADATA}\r\n`],
      ["bytes_only", ""],
    ] as const) {
      const headers = `content-type: application/octet-stream\r\n${metadata}`;
      const response = await embed(`as-${format}`, headers, NUMBERS, { encoding_format: format });
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/octet-stream"]);
      expect(response.headers.get("metadata")).toBe(format === "bytes" ? METADATA : null);
      expect(Buffer.from(await response.arrayBuffer())).toEqual(NUMBERS);
      const line = await gateway.accessLine(response.headers.get("x-request-id") ?? "");
      expect([line["status"], line["prompt_tokens"]]).toEqual([200, format === "bytes" ? 5 : undefined]);
      observe(134, `\`encoding_format: ${format}\`: 200, the bytes, no fault`);
    }
  });

  test("row 134: bytes that nobody asked for are none, and an error is one whatever was asked for", async () => {
    const headers = "content-type: application/octet-stream\r\n";
    for (const asked of [{}, { encoding_format: "float" }]) {
      const response = await embed(`unasked-${Object.keys(asked).length}`, headers, NUMBERS, asked);
      expect([response.status, await response.text()]).toEqual([
        502,
        expect.stringContaining("invalid_upstream_response"),
      ]);
    }
  });

  test("row 134: JSON without a type, or by another name of it, is JSON; what is none is not", async () => {
    const json = Buffer.from('{"object":"list","data":[]}');
    const names = [
      "",
      "content-type: application/problem+json; charset=utf-8\r\n",
      "content-type: Application/JSON\r\n",
    ];
    for (const [at, headers] of names.entries()) {
      const response = await embed(`json-${at}`, headers, json, {});
      expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([
        200,
        "application/json",
        json.toString(),
      ]);
      const page = await embed(`page-${at}`, headers, Buffer.from("<html>"), {});
      expect([page.status, await page.text()]).toEqual([502, expect.stringContaining("invalid_upstream_response")]);
    }
    for (const [at, type] of ["text/plain", "text/html", "application/jsonlines"].entries()) {
      const response = await embed(`other-${at}`, `content-type: ${type}\r\n`, json, {});
      expect([type, response.status]).toEqual([type, 502]);
    }
    observe(134, "JSON without a type and as `application/problem+json`: 200 as JSON");
  });
});

test("row 129: what is left out counts as silence: the client hears of the gateway all the same", async () => {
  await using lively = await startFaultGateway(["--stream-keep-alive-secs", "1", "--idle-timeout-secs", "5"]);
  await using engine = await startRawEngine(({ write }) => {
    write(STREAM_HEAD + chunk(CHAT.delta("one", 0)));
    const timer = setInterval(() => write(chunk("data:\n\n")), 300);
    setTimeout(() => {
      clearInterval(timer);
      write(`${chunk(CHAT.delta("two", 1) + CHAT.ending(2))}0\r\n\r\n`);
    }, 2600);
  });
  await using _served = await lively.serve("pinged", [engine.url]);
  const { text } = await ask(lively, CHAT, "pinged", { stream: true });
  expect(text.slice(text.indexOf("one"), text.indexOf("two"))).toContain("\n\n: keep-alive\ndata: ");
});
